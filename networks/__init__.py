"""Torch networks, shared by `export/` and `training/`: ours here, other people's in `published/`. No training code."""
