"""Errors about the clips, labels and score files that a calibration or a measurement is given."""

from __future__ import annotations

from veracity_client.errors import VeracityError


class ManifestError(VeracityError, ValueError):
    """The manifest or a file that it names cannot be used; the message says which, and what is wrong."""
