"""Sound of any length at a bounded cost: speech is searched for at places, and windows are chosen in two passes.

The first pass is spread over all of the sound, and the clip's score is pooled from it. The second takes the neighbours
of the windows that scored highest: it tells where a voice is fake, and says nothing of the sound as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.catalog.layers import AUDIO_WINDOWS, SAMPLE_RATE, WINDOW_SAMPLES
from veracity.evidence.speech import Pcm, Spans, Stopped, Vad, never

ONE_PASS_SECONDS = 90.0  # of sound, up to which the first pass is all
STEP_SECONDS = 50.0  # a window each; with a place's length less than a minute, so that each minute holds a whole place
PLACES = 72  # an hour's
PLACE_SECONDS = 9.0  # two windows, and a second for the pause before them
SEARCHED_SECONDS = PLACES * PLACE_SECONDS  # searched for speech at most, unless there is less than ENOUGH_SECONDS there
ENOUGH_SECONDS = AUDIO_WINDOWS * WINDOW_SAMPLES / SAMPLE_RATE  # of speech
HIGHEST = 12  # windows whose neighbours the second pass takes


def first_pass(windows: int, seconds: float) -> list[int]:
    """Return which of so many windows the first pass scores: of up to 400 s AUDIO_WINDOWS, of an hour PLACES."""
    wanted = min(PLACES, max(AUDIO_WINDOWS, math.ceil(seconds / STEP_SECONDS)), windows)
    return [int(k) for k in np.linspace(0, windows - 1, wanted).round()]


def second_pass(first: Sequence[int], logits: NDArray[np.floating[Any]], windows: int) -> list[int]:
    """Return the neighbours of the HIGHEST windows of the first pass, by its ``logits``, that were not in it."""
    highest = [first[k] for k in np.argsort(-logits, kind="stable")[:HIGHEST]]
    near = {k for one in highest for k in (one - 1, one + 1) if 0 <= k < windows}
    return sorted(near - set(first))


def search_places(pcm: Pcm, vad: Vad, stopped: Stopped = never) -> Spans:
    """Return where somebody speaks in PLACES of the sound, from its beginning to its end."""
    width = round(PLACE_SECONDS * SAMPLE_RATE)
    found = []
    for start in np.linspace(0, len(pcm) - width, PLACES).astype(int):
        offset = float(start / SAMPLE_RATE)
        spans = vad(pcm[start : start + width], stopped=stopped)
        found += [(offset + begin, offset + end) for begin, end in spans]
    return found
