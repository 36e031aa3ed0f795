"""A verdict in plain words, and the text filters of the templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from veracity_client.console import printable
from veracity_client.reasons import MEANINGS
from veracity_client.verdict import LayerResult, LikelihoodRatio, Verdict

LABELS = {
    "fake": (
        "Called fake",
        "What was found speaks for a forgery, strongly enough for this word at the operating point that was asked for. "
        "It is not proof.",
    ),
    "real": (
        "Called real",
        "What was found speaks against a forgery, strongly enough for this word at the operating point that was asked "
        "for. It does not prove that the file is genuine.",
    ),
    "inconclusive": (
        "Inconclusive",
        "What was found does not allow this file to be called fake or real. That is an answer and not an error: it is "
        "neither a weak “fake” nor a weak “real”.",
    ),
}
STATUS = {
    "scored": "examined",
    "abstained": "not examined: it had nothing that it could judge",
    "skipped": "not examined: it was not asked",
    "failed": "not examined: it failed",
}
CREDENTIALS = {
    "trusted": "Trusted",
    "valid": "Valid, of a signer who is on no list",
    "invalid": "Invalid",
    "none": "none in the file",
    "unreadable": "not readable",
}
OPINIONS = {"agree": "agrees", "disagree": "disagrees", "cannot_tell": "cannot tell"}
PRIORS = (0.01, 0.1, 0.5, 0.9)


def headline(verdict: Verdict) -> tuple[str, str]:
    """Return the label for people, and what it means."""
    return LABELS.get(verdict.label, (f"Called {verdict.label}", ""))


def why_inconclusive(verdict: Verdict) -> list[str]:
    """Return why there is no other word: in general, and for this file."""
    reason = verdict.inconclusive_reason
    if verdict.label != "inconclusive" or reason is None:
        return []
    return [said for said in (MEANINGS.get(reason.code), sentence(reason.text)) if said]


def speaks(verdict: Verdict, face: int) -> str:
    """Return when a face is the one that is seen to speak; empty where no explanation links speech to it."""
    speakers = verdict.explanation and verdict.explanation.speakers
    linked = [span for one in (speakers.faces if speakers else ()) if one.face == face for span in one.speaks]
    said = ", ".join(f"{clock(span.start)} to {clock(span.end)}" for span in linked)
    return f" Seen to speak, and speech is heard, at {said}; whose voice it is was not examined." if said else ""


def rates(verdict: Verdict) -> str | None:
    """Say how the operating point measured."""
    if (found := verdict.rates) is None:
        return None
    return (
        f"Measured at the operating point “{verdict.operating_point}” on {found.reals} real and {found.fakes} fake "
        f"clips of sources that nothing was fitted on: {percent(found.real_called_fake)} of the real ones called fake, "
        f"{percent(found.fake_called_real)} of the fakes real (of the kind of fake with the most), and "
        f"{percent(found.inconclusive)} of all inconclusive."
    )


def likelihood(ratio: LikelihoodRatio) -> str:
    """Say how much likelier the findings are under which assumption."""
    times = 10 ** abs(ratio.log10)
    shown = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
    first, second = ("fake", "real") if ratio.log10 >= 0 else ("real", "fake")
    return (
        f"These findings are about {shown} times as likely if the clip is {first} as if it is {second} "
        f"(log10 of the likelihood ratio fake to real: {signed(ratio.log10)}, held within {signed(ratio.low)} and "
        f"{signed(ratio.high)}). In words: {ratio.words}."
    )


def posteriors(ratio: LikelihoodRatio) -> Iterator[tuple[float, float]]:
    """Return what the probability of fake would be for other probabilities beforehand."""
    for prior in PRIORS:
        odds = prior / (1 - prior) * 10**ratio.log10
        yield prior, odds / (1 + odds)


def looked_at(result: LayerResult) -> str:
    """Say how much of the clip a layer examined."""
    if (found := result.coverage) is None:
        return "–"
    plural = "" if found.samples == 1 else "s"
    return f"{found.samples} sample{plural}, {found.seconds_examined:.2f} of {found.seconds_total:.2f} s"


def why(result: LayerResult) -> str:
    """Say why a layer has the score that it has, or none."""
    said = (result.reasoning, result.reason) if result.status == "scored" else (result.reason, result.reasoning)
    return sentence(said[0] or said[1])


def signature(verdict: Verdict, result: LayerResult) -> str | None:
    """Say how strong the traces of a generator are: a number, and its word where an explanation was asked for."""
    if result.generative_signature is None:
        return None
    word = verdict.explanation.generative_signature_words if verdict.explanation else None
    return ", ".join(filter(None, (word, score(result.generative_signature))))


def asked(options: Mapping[str, Any]) -> str:
    """Say what was asked for."""
    shown = {name: ", ".join(map(str, held)) if isinstance(held, list) else held for name, held in options.items()}
    return "; ".join(f"{name} {held}" for name, held in shown.items() if held is not None)


def visible(text: object) -> str:
    """Return text on one line, with escapes for what could not be seen, or would turn the text around it."""
    return printable(str(text))


def sentence(text: str) -> str:
    """Begin with a capital and end with a stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def signed(number: float) -> str:
    """Return a number with its sign: +1.04, −2.36."""
    return f"{number:+.2f}".replace("-", "−")


def percent(share: float) -> str:
    """Return 0.0127 as 1.3 %."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def score(value: float | None) -> str:
    """Return a probability, or a dash."""
    return "–" if value is None else f"{value:.2f}"


def clock(seconds: float) -> str:
    """Return 63.25 s as 1:03.25."""
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes}:{rest / 100:05.2f}"


def moment(time: datetime) -> str:
    """Return a time in UTC."""
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def is_object(value: Any) -> bool:
    """Whether a value of a JSON document is an object."""
    return isinstance(value, dict)
