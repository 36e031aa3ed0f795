from pathlib import Path

import pytest

from veracity.settings import Settings
from veracity_client.errors import BadOption


def test_defaults_without_environment() -> None:
    assert Settings.from_env({}) == Settings()


def test_values_are_read_by_their_type() -> None:
    given = {"VERACITY_MAX_BYTES": "5", "VERACITY_MAX_SECONDS": "2.5", "VERACITY_MEDIA_ROOT": "/media"}
    settings = Settings.from_env(given)
    assert (settings.max_bytes, settings.max_seconds, settings.media_root) == (5, 2.5, Path("/media"))


def test_settings_survive_the_way_through_an_environment() -> None:
    settings = Settings(media_root=Path("/media"), max_seconds=2.5, vad="energy")
    assert Settings.from_env(settings.to_env()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_BYTES", "many"),
        ("MAX_BYTES", "-1"),
        ("MAX_SECONDS", "0"),
        ("ENV", "staging"),
        ("VAD", "ears"),
        ("PROFILE", "best"),
        ("LOG_LEVEL", "loud"),
        ("MAX_SECONDS", "nan"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadOption, match=f"VERACITY_{name}"):
        Settings.from_env({f"VERACITY_{name}": value})


def test_crops_that_no_model_would_see_are_refused() -> None:
    """The starter's layer 4 sees the whole picture, once."""
    five = {"VERACITY_SEMANTIC_CROPS": "5"}
    with pytest.raises(BadOption, match="VERACITY_SEMANTIC_CROPS must be 1 here: semantic_starter sees the whole"):
        Settings.from_env(five)
    for sees in ({"VERACITY_PROFILE": "published"}, {"VERACITY_MODELS": "semantic_starter,semantic_clip_vitl14"}):
        assert Settings.from_env(five | sees).semantic_crops == 5
