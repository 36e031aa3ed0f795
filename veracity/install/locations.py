"""Where files live: in the checkout, or, where Veracity was installed as a package, in a folder of the user's."""

from __future__ import annotations

from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent.parent


def checkout() -> Path | None:
    """Return the checkout that this package is run from; None where it was installed from a wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "model_repository").is_dir() else None


def packaged_repository() -> Path:
    """Return the model folders that come with this version: configurations, heads and the graphs that are ours."""
    return (checkout() or PACKAGE) / "model_repository"


def data() -> Path:
    """Return the folder of what is fetched and built. It need not exist yet."""
    return checkout() or platformdirs.user_data_path("veracity", appauthor=False)


MODEL_REPOSITORY = data() / "model_repository"  # what Triton serves
WEIGHTS = data() / "weights"  # the fetched files
