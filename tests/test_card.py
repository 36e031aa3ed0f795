"""The card that a person reads."""

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
        "3_lipsync failed – lipsync_starter does not answer",
        "4_semantic abstained – weights not installed: [bold]x[/]",
        "0:00.0 – 0:04.0 0.97 1_audio",
        "1:03.2 – 1:05.0 0.91 1_audio",
        "profile starter: small networks of our own",
        "degraded: 3_lipsync failed",
        "not calibrated",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0:00.0"), (59.99, "0:59.9"), (60.0, "1:00.0"), (3725.5, "62:05.5")]
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said
