"""The way of a video: cheap evidence first, since an inference that was issued cannot be called back.

    probe ─▶ sound ─▶ voice ─▶ decided? ─▶ frames ─▶ faces, mouths, pictures, while decoding goes on ─▶ verdict

``analyze(video, infer, options, context)`` is the only implementation; ``infer`` is handed in. ``observe`` is the same
and returns what the verdict rests on as well.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from veracity.analysis import audio_stage, deadline, speakers, video_stage
from veracity.analysis.analysis import Analysis, Tell
from veracity.analysis.context import AnalysisContext
from veracity.analysis.input_info import input_info
from veracity.analysis.roster import Roster
from veracity.catalog import LAYERS
from veracity.catalog.layers import tracks_of
from veracity.decision import report, wording
from veracity.decision.decision import decide, reason_to_stop
from veracity.decision.explanation import explain
from veracity.evidence.requests import Infer, ModelOutput
from veracity.media import Media, Probe, Source
from veracity_client.errors import AnalysisTimeout
from veracity_client.explanation import Explanation
from veracity_client.verdict import Options, StageEvent, Verdict

AUDIO = LAYERS[0]


@dataclass(frozen=True)
class Observation:
    """A verdict, and the output of each model that it rests on: logits as the graphs gave them, before calibration."""

    verdict: Verdict
    outputs: Mapping[str, ModelOutput]


def ignore(_event: StageEvent) -> None:
    """Take an event and do nothing with it."""


async def analyze(
    video: Source, infer: Infer, options: Options, context: AnalysisContext, tell: Tell = ignore, *, waited: float = 0.0
) -> Verdict:
    """Analyse one file and return the verdict; ``tell`` gets an event for every stage. Raises as :func:`observe`."""
    return (await observe(video, infer, options, context, tell, waited=waited)).verdict


async def observe(
    video: Source, infer: Infer, options: Options, context: AnalysisContext, tell: Tell = ignore, *, waited: float = 0.0
) -> Observation:
    """Analyse one file and return the verdict with the models' own outputs.

    ``waited`` seconds of the deadline have passed before. A layer that fails is reported in the verdict. What raises is
    the file (:class:`BadVideo`, :class:`LimitExceeded`), the options (:class:`BadOption`), the clock
    (:class:`AnalysisTimeout`) or a decoder that the system ended twice (:class:`ModelUnavailable`).
    """
    try:
        left = max(0.0, options.deadline_seconds - waited)
        with deadline.within(left):
            return await asyncio.wait_for(_observe(video, infer, options, context, tell), left)
    except asyncio.TimeoutError:
        raise AnalysisTimeout(
            f"no verdict within {options.deadline_seconds:g} s; allow more, or a policy that stops earlier"
        ) from None


async def _observe(video: Source, infer: Infer, options: Options, context: AnalysisContext, tell: Tell) -> Observation:
    begun = time.monotonic()
    parts = context.limits, context.ffmpeg, options.video_track, context.decoder
    async with Media.opened(video, *parts) as media:
        roster = await asyncio.to_thread(Roster.decide, context, infer)
        analysis = Analysis(infer, options, context, roster, tell, begun)
        try:
            await _gather_evidence(analysis, media)
            explanation = await _explain(analysis) if options.explain and not context.timing_only else None
            return Observation(_conclude(analysis, explanation), analysis.evidence.outputs)
        finally:
            analysis.cancel()


async def _gather_evidence(analysis: Analysis, media: Media) -> None:
    """Go through the stages in the order of their cost."""
    if AUDIO.name in analysis.options.layers:
        media.begin_sound()
    async with analysis.stage("probe"):
        probe = await media.probe()
    evidence = analysis.evidence
    evidence.tracks = tracks_of(bool(probe.audio), await media.video_seconds() if probe.video else None)
    analysis.roster = analysis.roster.for_file(evidence.tracks, analysis.options.operating_point)
    if probe.video:
        analysis.meet({"video_codec": probe.video.codec, "width": probe.video.width})
    _skip_impossible_layers(analysis)
    if AUDIO in analysis.pending:
        await audio_stage.score_voice(analysis, media, probe)
    if _frames_are_needed(analysis, probe):
        await video_stage.score_frames(analysis, media, probe)
    evidence.read_warnings.extend(wording.reason("truncated", why=note) for note in media.damage)
    evidence.input = input_info(media, probe, analysis.options, evidence)


def _skip_impossible_layers(analysis: Analysis) -> None:
    """Settle the layers that cannot be scored for this file, each with its reason."""
    tracks = analysis.evidence.tracks or ()
    if "audio" not in tracks:
        analysis.lose_sound(wording.reason("no_audio"))
    for layer in LAYERS:
        if layer.name not in analysis.options.layers:
            analysis.skip_layer(layer, "skipped", wording.reason("not_requested"))
        elif layer.about not in tracks:
            analysis.skip_layer(layer, "abstained", wording.without_track(layer.about, tracks))
        elif unable := analysis.roster.why_unable(layer):
            analysis.skip_layer(layer, *unable)
    if analysis.options.policy != "exhaustive" and not analysis.context.timing_only:
        _skip_silent_layers(analysis)


def _skip_silent_layers(analysis: Analysis) -> None:
    """Leave out the layers that say nothing of such a file, unless no other can be asked."""
    silent = [layer for layer in analysis.pending if analysis.roster.is_silent(layer)]
    if len(silent) < len(analysis.pending):
        for layer in silent:
            analysis.skip_layer(layer, "skipped", wording.reason("uninformative"))


def _frames_are_needed(analysis: Analysis, probe: Probe) -> bool:
    """Ask the policy whether frames must be decoded; settle what is left out.

    Profile ``bench`` always goes the whole way: what its models score must not decide what is timed.
    """
    requested = any(layer.about != "audio" and layer.name in analysis.options.layers for layer in LAYERS)
    if probe.video is None or not requested:
        return False
    if analysis.context.timing_only:
        return True
    evidence = analysis.evidence
    why = reason_to_stop(evidence.results, evidence.tracks or (), analysis.roster.calibration, analysis.options.policy)
    if why is None:
        return True
    for layer in analysis.pending:
        analysis.skip_layer(layer, "skipped", why)
    return False


async def _explain(analysis: Analysis) -> Explanation:
    """Draw the explanation. Scores of profile ``bench`` mean nothing, so they get none."""
    async with analysis.stage("explanation"):
        await speakers.are_asked_for(analysis)  # where no frame was looked at, the evidence now says why
        return await asyncio.to_thread(explain, analysis.evidence, analysis.roster.calibration)


def _conclude(analysis: Analysis, explanation: Explanation | None) -> Verdict:
    decision = decide(analysis.evidence, analysis.roster.calibration, timing_only=analysis.context.timing_only)
    return report.verdict(
        analysis.evidence,
        decision,
        video_id=str(uuid.uuid4()),
        policy=analysis.options.policy,
        profile=analysis.roster.profile,
        seconds=time.monotonic() - analysis.begun,
        explanation=explanation,
    )
