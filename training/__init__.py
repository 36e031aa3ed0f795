"""Training of the starter networks: `python -m training --help`."""
