"""Every sentence of a verdict, made from codes and numbers. Nothing is decided here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from veracity.catalog import LAYERS, MODELS, Layer
from veracity.catalog.layers import FPS, MOUTH_FRAMES, FileKind, Track
from veracity.decision.calibration import Fusion
from veracity_client.reasons import Reason, ReasonCode
from veracity_client.verdict import InputInfo, Label, LayerResult, OperatingPoint, Span, Thresholds

KINDS: Mapping[FileKind, str] = {"sound": "sound files", "still": "pictures", "film": "videos"}
NO_SUPPORT = "no support for either"
SUPPORT = (  # from log10 of the likelihood ratio on
    (6.0, "extremely strong support"),
    (5.0, "very strong support"),
    (4.0, "strong support"),
    (3.0, "moderately strong support"),
    (2.0, "moderate support"),
    (0.301, "weak support"),
    (0.0, NO_SUPPORT),
)
TEMPLATES: Mapping[ReasonCode, str] = {
    "not_requested": "not requested",
    "not_needed": "not needed: {why} (policy {policy})",
    "uninformative": "measured, and does not separate real from fake; the policy exhaustive asks it nevertheless",
    "no_audio": "the file has no audio track",
    "no_video": "the file has no video track",
    "no_speech": "no speech was found",
    "no_face": "no face was found",
    "face_too_small": "every face is under {pixels} pixels wide: too small to judge",
    "picture_too_small": "a picture under {pixels} pixels high or wide is too small to judge",
    "mouth_still": "no mouth moves",
    "face_not_followed": "no face could be followed over {frames} frames",
    "too_short": "less than {needed}",
    "weights_missing": "{why}",
    "model_rejected": "{why}",
    "other_kind": "{model} is for {kinds} alone",
    "model_down": "{models} does not answer",
    "model_failed": "{why}",
    "audio_unreadable": "{why}",
    "frames_unreadable": "{why}",
    "truncated": "{why}",
    "nothing_scored": "no layer could score this file",
    "evidence_too_weak": "only {share:.0%} of the evidence could be weighed",
    "evidence_conflicts": "layers disagree: {fake} say fake, {real} say real",
    "part_fake": "real as a whole, and {layer} would be fake at {start:.1f}–{end:.1f} s alone, "
    "P(fake) {probability:.2f}",
    "not_supported": "{kinds} cannot be called {label} at the operating point {point}: what was measured, "
    "{reals} real and {fakes} fake clips, does not show that this would be right often enough",
    "between_thresholds": "P(fake) {probability:.2f} lies between {real} (real) and {fake} (fake)",
    "uncalibrated": "no thresholds were measured for {models}: `veracity calibrate` fits them on labelled clips",
    "untrained": "{why}",
    "out_of_domain": "the file is unlike the data that the models were measured on: {why}",
    "nobody_speaks": "no face in the picture is seen to speak",
    "speaker_unclear": "faces {faces} look as if they speak",
}
UNINFORMATIVE = "uninformative: on measured clips it does not separate real from fake, so it carries no weight"
BY_VOICE = ", by the voice alone, as a sound file"
UNTRAINED = "Untrained:"  # how a sentence that rests on made-up weights begins
TIMED_ONLY = "the profile bench measures time and judges nothing"
OPENING: Mapping[Label, str] = {"fake": "Fake", "real": "Real", "inconclusive": "Inconclusive"}
FINDING: Mapping[Label, str] = {"fake": "manipulated", "real": "genuine", "inconclusive": "unclear"}


def reason(code: ReasonCode, **facts: object) -> Reason:
    """Return a reason with its sentence; ``facts`` are what the code's template names."""
    return Reason(code, TEMPLATES[code].format(**facts))


def joined(reasons: Sequence[Reason]) -> Reason:
    """Return several reasons as one, with the code of the first."""
    return Reason(reasons[0].code, "; ".join(dict.fromkeys(one.text for one in reasons)))


def needs_sound(model: str, why: Reason) -> Reason:
    """Return why a model that compares mouths with the sound cannot answer."""
    return Reason(why.code, f"{model} needs the sound: {why.text}")


def other_kind(model: str) -> Reason:
    """Return that a model is made for other kinds of file than this one."""
    kinds = " and ".join(KINDS[kind] for kind in MODELS[model].file_kinds)
    return reason("other_kind", model=model, kinds=kinds)


def of_layer(layer: Layer, why: Reason) -> Reason:
    """Return a reason with the layer that it is about."""
    return Reason(why.code, f"{layer.looks_at}: {why.text}")


def without_track(needed: Track, tracks: Sequence[str]) -> Reason:
    """Return why a layer that needs a kind of track cannot look at a file, which has only the others."""
    if needed == "motion" and "video" in tracks:
        return reason("too_short", needed=f"{MOUTH_FRAMES / FPS:g} s of video")
    return reason("no_audio" if needed == "audio" else "no_video")


def too_small(model: str) -> Reason:
    """Return that every face is narrower than a model can judge, or the picture for a model that takes no faces."""
    if MODELS[model].least_face:
        return reason("face_too_small", pixels=MODELS[model].least_face)
    return reason("picture_too_small", pixels=MODELS[model].size)


def left_out(model: str, why: Reason, fallback: str | None) -> str:
    """Say that a model of the profile is not in a layer's score, why, and which model is there in its place."""
    what = f"{fallback} stands in for {model}" if fallback else f"{model} is left out"
    return f"{what}: {why.text}"


def small_faces_left_out(model: str) -> str:
    """Say that a model judged only the larger faces."""
    return f"faces under {MODELS[model].least_face} pixels wide were left out"


def no_mouths(lips: LayerResult) -> Reason:
    """Return why nobody could be seen to speak: the mouths were not examined, as their layer says."""
    return Reason(lips.code or "not_requested", f"no mouths were examined: {lips.reason}")


def judged_without_sound(model: str, why: Reason) -> str:
    """Say that a model judged mouths without the sound that it also takes."""
    return f"{model} judged without the sound: {why.text}"


def uninformative(model: str) -> str:
    """Say that a model of a layer carries no weight."""
    return f"{model} is {UNINFORMATIVE}"


def layer_score(
    layer: Layer, label: Label, probability: float, highest: Span, samples: tuple[int, int], *, calibrated: bool
) -> str:
    """Say what a layer found; ``samples`` are those that count, and those that were taken near the highest."""
    count, near = samples
    more = f" and {near} near the highest of them" if near else ""
    score = f"P(fake) {probability:.2f}" + ("" if calibrated else " (uncalibrated)")
    where = f"highest {highest.score:.2f} at {highest.start:.2f}–{highest.end:.2f} s"
    return f"{layer.looks_at}: {FINDING[label]}, {score} over {count} samples{more}, {where}"


def uninformative_layer(layer: Layer) -> str:
    """Say that none of a layer's models separates real from fake."""
    return f"{layer.looks_at}: {UNINFORMATIVE}"


def made_up_weights(models: Sequence[str]) -> str:
    """Say that a layer's score was timed and means nothing."""
    return f"{UNTRAINED} {', '.join(models)} ran on made-up weights; the score means nothing"


def not_supported(kind: FileKind, label: Label, point: OperatingPoint, fitted: Fusion) -> Reason:
    """Return that the measurements do not let a kind of file be called that."""
    numbers = {"reals": fitted.reals, "fakes": fitted.fakes}
    return reason("not_supported", kinds=KINDS[kind], label=label, point=point, **numbers)


def between(probability: float, thresholds: Thresholds) -> Reason:
    """Return that a probability is on neither side; a side that nothing can be on is called never."""
    real, fake = ("never" if bound is None else f"{bound:g}" for bound in (thresholds.real, thresholds.fake))
    return reason("between_thresholds", probability=probability, real=real, fake=fake)


def part_fake(layer: Layer, part: Span) -> Reason:
    """Return that a part of the file speaks against calling the whole real."""
    where = {"start": part.start, "end": part.end, "probability": part.score}
    return reason("part_fake", layer=layer.looks_at, **where)


def support(log10: float) -> str:
    """Say a likelihood ratio on the verbal scale of the European forensic institutes (ENFSI, 2015)."""
    strength = next(words for least, words in SUPPORT if abs(log10) >= least)
    return f"{strength} that the clip is {'fake' if log10 > 0 else 'real'}" if strength != NO_SUPPORT else NO_SUPPORT


def sentence(
    label: Label,
    probability: float | None,
    results: Mapping[str, LayerResult],
    why: Reason | None = None,
    warnings: Sequence[Reason] = (),
    *,
    by_voice: bool = False,
) -> str:
    """Say the verdict in sentences that a person can use; ``why`` it is inconclusive, ``warnings`` about the file.

    ``by_voice`` where a film was judged by its voice alone, as a sound file.
    """
    if why and why.code == "untrained":
        return f"{UNTRAINED} {why.text}; timed were {_scored_names(results) or 'none'}.{_in_part(warnings)}"
    scored = [results[layer.key] for layer in LAYERS if results[layer.key].status == "scored"]
    findings = [r.reasoning for r in sorted(scored, key=lambda r: -(r.fake_probability or 0.0))]
    implied = why is None or why.code == "between_thresholds" or (why.code == "nothing_scored" and findings)
    given = "" if probability is None else f" (P(fake) {probability:.2f}{BY_VOICE if by_voice else ''})"
    opening = OPENING[label] + given
    body = "; ".join(findings if implied or why is None else [why.text, *findings])
    return f"{opening}: {body}{_not_scored(results)}.{_in_part(warnings)}"


def examined_tracks(given: InputInfo) -> str:
    """Say which of several tracks was examined, and which channel where the mix of all was not."""
    choices = []
    if (given.video_tracks or 0) > 1 and given.video_track is not None:
        last = (given.video_tracks or 0) - 1
        choices.append(f"video track {given.video_track} of 0 to {last} (video_track takes another one)")
    if given.audio_track is not None and given.audio_tracks > 1:
        last = given.audio_tracks - 1
        choices.append(f"sound track {given.audio_track} of 0 to {last} (audio_track takes another one)")
    if given.audio_channel is not None:
        choices.append(f"channel {given.audio_channel} of the sound, which the mix of all would hide")
    return f" Examined: {'; '.join(choices)}." if choices else ""


def _scored_names(results: Mapping[str, LayerResult]) -> str:
    return ", ".join(layer.looks_at for layer in LAYERS if results[layer.key].status == "scored")


def _not_scored(results: Mapping[str, LayerResult]) -> str:
    """Name the layers without a score, by reason; what to do about it stands in the layers' own reasons."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for layer in LAYERS:
        if results[layer.key].status != "scored":
            reasons[results[layer.key].reason.partition(": ")[0]].append(layer.looks_at)
    parts = [f"{', '.join(names)} ({why})" for why, names in reasons.items()]
    return "; not examined: " + ", ".join(parts) if parts else ""


def _in_part(warnings: Sequence[Reason]) -> str:
    return f" The file could be read in part only: {'; '.join(one.text for one in warnings)}." if warnings else ""
