"""How good detectors are: manifests, scores of clips, metrics with intervals, reports. NumPy only, no torch."""
