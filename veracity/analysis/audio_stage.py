"""Layer 1: the sound alone. No frame is decoded for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veracity.analysis.analysis import Analysis, Requests
from veracity.catalog import LAYERS
from veracity.catalog.layers import SAMPLE_RATE
from veracity.decision import wording
from veracity.evidence.detector import NO_SOUND, detector, samples
from veracity.evidence.long_sound import ONE_PASS_SECONDS, first_pass, second_pass
from veracity.evidence.requests import ModelOutput
from veracity.evidence.sound import bandwidth, find_speech, read_sound
from veracity.evidence.speech import MIN_SPEECH_SECONDS, Bounds, window, window_bounds
from veracity.media import Media, Probe
from veracity_client.errors import BadOption, ModelUnavailable, VeracityError
from veracity_client.reasons import Reason

AUDIO = LAYERS[0]


async def score_voice(analysis: Analysis, media: Media, probe: Probe) -> None:
    """Decode the sound, find speech and score the voice."""
    await _decode_sound(analysis, media, probe)
    evidence = analysis.evidence
    if evidence.audio_error:
        return analysis.skip_layer(AUDIO, "failed", evidence.audio_error)
    sound, speech = evidence.sound if evidence.sound is not None else NO_SOUND, list(evidence.speech or ())
    windows, seconds = list(window_bounds(speech, len(sound))), len(sound) / SAMPLE_RATE
    too_little = _too_little(speech)
    if not windows:
        return analysis.skip_layer(AUDIO, "abstained", too_little)
    async with analysis.stage(AUDIO.key):
        first = first_pass(len(windows), seconds)
        sent = {name: [task] for name, task in _send(analysis, [windows[k] for k in first]).items()}
        if seconds > ONE_PASS_SECONDS:
            near = second_pass(first, await _logits(sent), len(windows))
            for name, task in _send(analysis, [windows[k] for k in near], near=True).items():
                sent[name].append(task)
        await analysis.score_layer(AUDIO, sent, too_little)


def _send(analysis: Analysis, windows: Sequence[Bounds], *, near: bool = False) -> dict[str, asyncio.Task[ModelOutput]]:
    """Send windows to each model of the layer; nothing where there is no window."""
    sound, cut = analysis.evidence.sound, {}
    assert sound is not None
    for name in analysis.roster.layers[AUDIO.name].answering if windows else ():
        found = (sample for bounds in windows for sample in samples(detector(name), window(sound, *bounds)))
        cut[name] = [replace(sample, near=near) for sample in found]
    return {name: analysis.send(name, given) for name, given in cut.items()}


async def _logits(sent: Requests) -> NDArray[np.floating[Any]]:
    """Return the mean logit of the models that answered, of each window; none where all of them failed."""
    answers = await asyncio.gather(*(task for tasks in sent.values() for task in tasks), return_exceptions=True)
    outputs = [answer.averaged().logits for answer in answers if isinstance(answer, ModelOutput)]
    return np.mean(outputs, axis=0) if outputs else np.zeros(0)


async def provide_sound(analysis: Analysis, media: Media, probe: Probe) -> None:
    """Have the sound ready where a model of the pictures takes it; settle the layers that nobody can score without."""
    evidence, layers = analysis.evidence, analysis.roster.layers
    taking = any(detector(name).sound != "none" for layer in analysis.pending for name in layers[layer.name].answering)
    if taking and not evidence.audio_error:
        if evidence.sound is None:
            await _decode_sound(analysis, media, probe)
            if evidence.audio_error:
                evidence.read_warnings.append(evidence.audio_error)
        if not evidence.speech and not evidence.audio_error:
            analysis.lose_sound(wording.reason("no_speech"))
    analysis.skip_unable_layers()


async def _decode_sound(analysis: Analysis, media: Media, probe: Probe) -> None:
    """Decode the sound and find the speech in it.

    Sound that cannot be decoded is recorded where there are pictures, and raised where the file has nothing else.
    """
    evidence, track = analysis.evidence, analysis.options.audio_track
    if track is not None and track >= len(probe.audio):
        raise BadOption(f"audio_track {track} is not there; the file has {len(probe.audio)}, counted from 0")
    try:
        async with analysis.stage("sound"):
            sounds = await read_sound(media, track)
    except VeracityError as error:
        if probe.video is None or isinstance(error, ModelUnavailable):
            raise
        return analysis.lose_sound(wording.reason("audio_unreadable", why=error.message))
    async with analysis.stage("speech"):
        stop = threading.Event()  # a thread goes on when nobody awaits it any more
        try:
            heard, evidence.speech = await asyncio.to_thread(find_speech, sounds, analysis.context.vad, stop.is_set)
        finally:
            stop.set()
    evidence.sound, evidence.audio_track, evidence.audio_channel = heard.samples, heard.track, heard.channel
    if heard.samples.size:
        band = await asyncio.to_thread(bandwidth, heard.samples)
        analysis.meet({"audio_codec": probe.audio[heard.track].codec, "bandwidth": band})


def _too_little(speech: list[tuple[float, float]]) -> Reason:
    if not speech:
        return wording.reason("no_speech")
    return wording.reason("too_short", needed=f"{MIN_SPEECH_SECONDS:g} s of speech")
