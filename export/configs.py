"""`python -m export configs [--check]`: the model repository's config.pbtxt and their variants, from the catalog."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path

from veracity.catalog.triton_config import configs


def write(repository: Path) -> None:
    """Write every configuration, and delete those of models that are no more."""
    made = configs()
    for path in sorted(_written(repository) - made.keys()):
        (repository / path).unlink()
    for path, text in made.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text, encoding="utf-8")


def check(repository: Path) -> bool:
    """Return whether the repository is what the catalog says; if not, the differences go to stdout."""
    made = configs()
    found = {path: (repository / path).read_text(encoding="utf-8") for path in _written(repository)}
    lines = [line for path in sorted({*made, *found}) for line in _difference(path, found, made)]
    sys.stdout.writelines(lines)
    return not lines


def _written(repository: Path) -> set[Path]:
    return {path.relative_to(repository) for path in repository.rglob("*.pbtxt")}


def _difference(path: Path, found: Mapping[Path, str], made: Mapping[Path, str]) -> list[str]:
    before, after = (side.get(path, "").splitlines(keepends=True) for side in (found, made))
    return list(difflib.unified_diff(before, after, f"{path} (written)", f"{path} (catalog)"))
