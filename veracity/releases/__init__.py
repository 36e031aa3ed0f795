"""Releases: models and their calibration under one name, tried beside the current one, promoted, taken back."""
