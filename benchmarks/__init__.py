"""Measurements, each a command: ``python -m benchmarks latency``, ``python -m benchmarks throughput``."""
