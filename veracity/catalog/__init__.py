"""What exists: layers, detectors, profiles, weights and the provenance of installed models."""
