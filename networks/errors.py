"""The error of this room; needs no torch."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or holds another network, or a network that cannot be built; says which."""
