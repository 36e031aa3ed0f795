"""Detectors as their authors published them: network classes whose weights are named as in the checkpoints."""
