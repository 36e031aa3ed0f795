"""A verdict's explanation as pictures with captions. They come from the verdict, which the signature covers."""

from __future__ import annotations

import io

from PIL import Image, UnidentifiedImageError

from veracity_client.explanation import Moment, MouthStrip, Spectrogram
from veracity_client.span import Span
from veracity_client.verdict import Verdict
from veracity_gateway.report.evidence import Picture
from veracity_gateway.report.plain import clock

LAYERS = {"2_visual": "face", "4_semantic": "whole picture"}


def pictures_of(verdict: Verdict) -> tuple[Picture, ...]:
    """Return what the models were shown and reacted to; nothing where no explanation was asked for."""
    found = verdict.explanation
    if found is None:
        return ()
    sound = [_sound(found.spectrogram)] if found.spectrogram else []
    return (*(_moment(moment) for moment in found.moments), *sound, *(_mouths(strip) for strip in found.mouths))


def _moment(moment: Moment) -> Picture:
    what = LAYERS.get(moment.layer, moment.layer)
    who = "" if moment.face is None else f" {moment.face}"
    said = f"Score {moment.score:.2f}."
    if moment.cam is None:
        return Picture(f"The {what}{who} at {clock(moment.time)}", said, moment.crop)
    caption = f"{said} Colour shows where in the crop the model found its evidence."
    return Picture(f"The {what}{who} at {clock(moment.time)}", caption, _over(moment.crop, moment.cam.png))


def _sound(found: Spectrogram) -> Picture:
    caption = f"From {clock(found.seconds_start)} to {clock(found.seconds_end)}. {_spans(found.spans)}"
    return Picture("The sound: mel bands up to 8 kHz over time", caption, found.png)


def _mouths(strip: MouthStrip) -> Picture:
    caption = f"At {', '.join(clock(time) for time in strip.times)}. {_spans(strip.windows or ())}"
    return Picture(f"The mouth of face {strip.face}", caption, strip.png)


def _spans(spans: tuple[Span, ...]) -> str:
    said = ", ".join(f"{span.score:.2f} at {clock(span.start)} to {clock(span.end)}" for span in spans)
    return f"Scores: {said}." if said else ""


def _over(crop: bytes, heat: bytes) -> bytes:
    """Lay the heat map over the crop; a picture that does not open is shown as it came."""
    try:
        below, above = (Image.open(io.BytesIO(png)).convert("RGBA") for png in (crop, heat))
        out = io.BytesIO()
        Image.alpha_composite(below, above.resize(below.size)).convert("RGB").save(out, "PNG")
        return out.getvalue()
    except (OSError, UnidentifiedImageError, ValueError):
        return crop
