"""The card that a person reads."""

import dataclasses
import io
import re

import canned
import pytest
from rich.console import Console

from veracity_client.card import card, clock


def test_the_card_says_all_that_a_person_needs() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(card("clip.mp4", canned.VERDICT))
    text = re.sub(r"[ │]+", " ", console.export_text())
    for said in (
        "FAKE P(fake) 0.62 confidence 0.62",
        "Fälschung – the voice",
        "1_audio scored 0.97 the voice sounds made",
        "audio_starter: AUC 0.71 on 223 clips",
        "3_lipsync failed – lipsync_starter does not answer",
        "4_semantic abstained – weights not installed: [bold]x[/]",
        "0:00.0 – 0:04.0 0.97 1_audio",
        "1:03.2 – 1:05.0 0.91 1_audio",
        "profile starter: small networks of our own",
        "degraded: lipsync_starter does not answer",
        "not calibrated",
    ):
        assert said in text


def test_a_degraded_verdict_of_which_no_layer_failed_blames_none() -> None:
    whole = {key: result for key, result in canned.LAYERS.items() if result.status != "failed"}
    console = Console(width=200, record=True, file=io.StringIO())
    older = dataclasses.replace(canned.VERDICT, layer_results=whole, degraded_reasons=())
    console.print(card("clip.mp4", older))
    assert "degraded: a model did not answer, or the file could not be read to its end" in console.export_text()


def test_words_of_a_newer_server_are_shown() -> None:
    layer = dataclasses.replace(canned.LAYERS["1_audio"], status="postponed")  # type: ignore[arg-type]
    newer = dataclasses.replace(canned.VERDICT, label="edited", layer_results={"9_smell": layer})  # type: ignore[arg-type]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(card("clip.mp4", newer))
    text = console.export_text()
    assert all(word in text for word in ("EDITED", "9_smell", "postponed"))


def test_without_a_score_nothing_is_said_of_its_calibration() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(card("clip.mp4", dataclasses.replace(canned.VERDICT, fake_probability=None)))
    assert "calibrated" not in console.export_text()


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0:00.0"), (59.99, "0:59.9"), (60.0, "1:00.0"), (3725.5, "62:05.5")]
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said
