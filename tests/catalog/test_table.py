"""What a detector's module names by its dotted name is there, and the table is the folder."""

from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

import pytest

from veracity.catalog import ASSETS, FACE_DETECTOR, MODELS, SPEAKER, Model, detectors
from veracity.catalog.profiles import BENCH, PROFILES, children, choose, served
from veracity.catalog.table import DETECTORS
from veracity.evidence.detector import detector
from veracity.evidence.excerpts import Excerpt, FaceInFrame, FaceRun, WholeFrame
from veracity.evidence.speech import SpeechWindow

SCORING = [model for model in MODELS.values() if model.layer]
EXCERPTS: dict[str, set[type[Excerpt]]] = {
    "audio": {SpeechWindow},
    "visual": {FaceInFrame},
    "lipsync": {FaceRun},
    "semantic": {WholeFrame},
}


def test_every_module_of_a_detector_is_a_line_of_the_table() -> None:
    (folder,) = map(Path, detectors.__path__)
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == set(DETECTORS)
    assert [model.name for model in MODELS.values()] == list(DETECTORS)


@pytest.mark.parametrize("model", SCORING, ids=lambda m: m.name)
def test_a_detector_has_a_kind_that_looks_where_its_layer_does(model: Model) -> None:
    made = detector(model.name)
    assert made.model is model
    assert model.layer
    assert made.excerpt in EXCERPTS[model.layer]
    assert callable(made.pool)
    assert not model.pool or made.pool is resolve_name(model.pool)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.name)
def test_what_makes_and_proves_a_graph_is_there(model: Model) -> None:
    for module in (model.export, *model.golden.values()):
        assert find_spec(module), module


def test_a_file_is_declared_once() -> None:
    names = [name for source in ASSETS for name in (source.name, *source.old_names)]
    assert len(names) == len(set(names))


def test_a_profile_serves_what_scores_rest_on_and_what_its_explanations_ask() -> None:
    """The scores of ``bench`` mean nothing: it explains none of them."""
    for profile in PROFILES:
        scoring = children(choose(profile))
        assert served(profile) == (scoring if profile == BENCH else (*scoring, SPEAKER.name))
    assert served("starter", "visual_sbi_b4")[:3] == (FACE_DETECTOR.name, "audio_starter", "visual_sbi_b4")
