"""Files that others made: where they come from, what they must be, and how they get here.

A file is what its sha256 says or it is not installed. Where nobody stated a digest, the one of the first file that
came is recorded in ``weights.lock.json`` and holds from then on. ``--from DIR`` reads the same files from a folder.
"""

from veracity.install.files import WeightsError, atomic, sha256, write
from veracity.install.names import find, models_of, of_profile, refuse_research_only, wanted
from veracity.install.store import can_download, fetch, require, verify

__all__ = [
    "WeightsError",
    "atomic",
    "can_download",
    "fetch",
    "find",
    "models_of",
    "of_profile",
    "refuse_research_only",
    "require",
    "sha256",
    "verify",
    "wanted",
    "write",
]
