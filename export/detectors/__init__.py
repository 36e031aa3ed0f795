"""The published detectors, a module each: network, reading of its checkpoint, way to be served, golden case."""
