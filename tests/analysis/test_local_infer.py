"""``LocalInfer`` holds hundreds of megabytes of graphs, and lets go of them."""

import gc
import weakref
from pathlib import Path

from veracity.analysis.local_infer import LocalInfer
from veracity.catalog import FACE_DETECTOR


def test_the_sessions_go_with_the_object(full_repository: Path) -> None:
    infer = LocalInfer(full_repository)
    session = infer._session(FACE_DETECTOR.name)
    assert infer._session(FACE_DETECTOR.name) is session
    left = weakref.ref(session)
    del infer, session
    gc.collect()
    assert left() is None
