"""Who speaks: asked for an explanation, of the seconds whose mouths are examined. No score and no label rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from veracity.analysis import deadline
from veracity.analysis.analysis import Analysis, failure
from veracity.analysis.roster import why_absent
from veracity.catalog import LAYERS, SPEAKER
from veracity.decision import wording
from veracity.evidence.requests import ModelOutput
from veracity.evidence.speaking import SpeakingSeconds
from veracity_client.errors import VeracityError
from veracity_client.reasons import Reason

LIPS = LAYERS[2]
STATE_SECONDS = 2.0  # a model that is loaded again is waited for so long
ANSWER_SECONDS = 30.0  # a busy machine's
LEFT_SECONDS = 3.0  # until the deadline: to draw the explanation and to decide


async def are_asked_for(analysis: Analysis) -> bool:
    """Return whether the speakers' model is asked of this file; the evidence says why it is not, if that is wanted."""
    if not analysis.options.explain or analysis.context.timing_only:
        return False
    if analysis.evidence.speaking is None:
        analysis.evidence.speaking = await _why_not(analysis)
    return analysis.evidence.speaking is None


async def _why_not(analysis: Analysis) -> Reason | None:
    evidence = analysis.evidence
    asked = asyncio.to_thread(why_absent, analysis.context, analysis.infer, SPEAKER.name)
    try:
        absent = await asyncio.wait_for(asked, STATE_SECONDS)
    except asyncio.TimeoutError:
        absent = wording.reason("model_down", models=SPEAKER.name)
    if absent:
        return absent
    if settled := evidence.results.get(LIPS.key):
        return wording.no_mouths(settled)
    if why := analysis.roster.face_detector or evidence.audio_error:
        return why
    return wording.reason("not_requested") if evidence.sound is None else None


async def read(requests: Sequence[asyncio.Task[ModelOutput]], runs: Sequence[range]) -> SpeakingSeconds | Reason:
    """Await what was sent of the seconds ``runs``; a model that fails or is late leaves its reason alone."""
    seconds = max(0.0, min(ANSWER_SECONDS, deadline.seconds_left() - LEFT_SECONDS))
    try:
        parts = await asyncio.wait_for(asyncio.gather(*requests), seconds)
    except asyncio.TimeoutError:
        return Reason("model_failed", f"{SPEAKER.name} did not answer within {seconds:.0f} s")
    except VeracityError as error:
        return failure(error)
    return SpeakingSeconds(tuple(runs), ModelOutput.joined(parts) if parts else None)
