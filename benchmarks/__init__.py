"""Measurements, each a command: ``python -m benchmarks latency | throughput | models | accuracy | robustness``."""
