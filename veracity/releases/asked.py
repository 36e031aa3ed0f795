"""What a release says of labelled clips, asked in this process."""

from __future__ import annotations

import hashlib
from pathlib import Path

from veracity.calibrate import run
from veracity.calibrate.labelled_clips import read_clips
from veracity.calibrate.scores import ScoredClip
from veracity.releases.store import CALIBRATION, REPOSITORY, Store
from veracity.settings import Settings


def ask(store: Store, name: str, clips: Path) -> dict[str, ScoredClip]:
    """Return each clip with what the release says of it, by the clip's id; what was asked before is kept beside it."""
    folder, release = store.path(name), store.release(name)
    settings = Settings.from_env().replace(
        profile=release.profile, models="", model_repository=folder / REPOSITORY, calibration=folder / CALIBRATION
    )
    which = hashlib.sha256(str(clips.resolve()).encode()).hexdigest()[:12]
    return {clip.id: clip for clip in run.score(read_clips(clips), settings, folder / f"gate-{which}.scores.jsonl")}
