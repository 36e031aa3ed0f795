"""Measurements, each a command: ``python -m benchmarks latency | throughput | models | accuracy | robustness``.

``python -m benchmarks figures`` brings their committed results into the documents.
"""
