"""Who speaks: asked for an explanation, of the seconds whose mouths are examined. No score and no label rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from veracity.analysis.analysis import Analysis
from veracity.analysis.roster import why_absent
from veracity.catalog import LAYERS, SPEAKER
from veracity.decision import wording
from veracity.evidence.requests import ModelOutput
from veracity.evidence.speaking import SpeakingSeconds
from veracity_client.errors import AnalysisTimeout, ModelUnavailable, VeracityError
from veracity_client.reasons import Reason

LIPS = LAYERS[2]


async def are_asked_for(analysis: Analysis) -> bool:
    """Return whether the speakers' model is asked of this file; the evidence says why it is not, if that is wanted."""
    if not analysis.options.explain or analysis.context.timing_only:
        return False
    if analysis.evidence.speaking is None:
        analysis.evidence.speaking = await _why_not(analysis)
    return analysis.evidence.speaking is None


async def _why_not(analysis: Analysis) -> Reason | None:
    evidence = analysis.evidence
    if absent := await asyncio.to_thread(why_absent, analysis.context, analysis.infer, SPEAKER.name):
        return absent
    if settled := evidence.results.get(LIPS.key):
        return wording.no_mouths(settled)
    if why := analysis.roster.face_detector or evidence.audio_error:
        return why
    return wording.reason("not_requested") if evidence.sound is None else None


async def read(requests: Sequence[asyncio.Task[ModelOutput]], runs: Sequence[range]) -> SpeakingSeconds | Reason:
    """Await what was sent of the seconds ``runs``; a model that fails leaves its reason."""
    try:
        parts = await asyncio.gather(*requests)
    except AnalysisTimeout:  # there was no memory for it
        raise
    except VeracityError as error:
        return Reason("model_down" if isinstance(error, ModelUnavailable) else "model_failed", error.message)
    return SpeakingSeconds(tuple(runs), ModelOutput.joined(parts) if parts else None)
