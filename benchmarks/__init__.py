"""Measurements, each a command: ``python -m benchmarks COMMAND``.

``python -m benchmarks figures`` brings their committed results into the documents.
"""
