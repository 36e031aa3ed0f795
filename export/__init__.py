"""From trained networks to the graphs that Triton serves: `python -m export --help`."""
