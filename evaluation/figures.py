"""Curves as SVG that takes its colours from the page around it, so that it can be read in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit
from scipy.stats import norm

from evaluation.forensic import pav, tippett
from evaluation.selective import risk_coverage
from veracity.calibrate.bootstrap import whole

matplotlib.use("svg")

# Placeholder colours, and the CSS variables that replace them.
INK, REAL, FAKE, FAINT = "#010203", "#010204", "#010205", "#010206"
_PAGE = {INK: "currentColor", REAL: "var(--real)", FAKE: "var(--fake)", FAINT: "var(--faint)"}
_PRINTED = {INK: "#333333", REAL: "#1f6fb2", FAKE: "#c0392b", FAINT: "#999999"}
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "veracity",  # the same figures make the same file
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
_INCHES = (3.7, 3.3)
_RATES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95)  # marks of the DET axes
_WORST = 0.99  # where they end; they begin as far from 0
_ABOVE: dict[str, Any] = {
    "loc": "lower center",
    "ncols": 2,
    "bbox_to_anchor": (0.5, 1.0),
}  # a legend: no curve is there
_BINS = np.linspace(0, 1, 11)
LN10 = np.log(10)

Truth = npt.NDArray[np.bool_]
Odds = npt.NDArray[np.float64]


def panels(labels: Truth, scores: Odds, name: str, about: dict[str, str]) -> dict[str, str]:
    """An SVG each of PANELS, of labels [n] and log odds of fake [n]; both labels are there.

    ``about`` says of each what it shows, for those who cannot see it; ``name`` tells this one's from others' parts.
    """
    return {panel: _svg(draw, labels, scores, f"{name}-{panel}", about[panel]) for panel, draw in PANELS.items()}


def sheet(labels: Truth, scores: Odds) -> str:
    """ROC, Tippett, PAV and risk against coverage side by side: one SVG on white, for documents."""
    file = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_INCHES[0] * len(ON_SHEET), _INCHES[1]), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(ON_SHEET)), ON_SHEET):
            PANELS[panel](axes, labels, scores)
        figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    for colour, printed in _PRINTED.items():
        text = text.replace(colour, printed)
    return text


def _roc(axes: Axes, labels: Truth, scores: Odds) -> None:
    alarms, hits = (rates[0] for rates in whole(labels, scores).rates)
    axes.plot((0, 1), (0, 1), color=FAINT, linestyle=":", label="guessing")
    axes.plot(alarms, hits, color=FAKE)
    axes.set(xlabel="share of reals called fake", ylabel="share of fakes found", xlim=(-0.01, 1), ylim=(0, 1.01))
    axes.legend(**_ABOVE)


def _det(axes: Axes, labels: Truth, scores: Odds) -> None:
    """The two error rates, each on the scale on which a normal distribution's is straight."""
    alarms, hits = (rates[0] for rates in whole(labels, scores).rates)
    place, ends = norm.ppf(_RATES), norm.ppf((1 - _WORST, _WORST))
    axes.plot(ends, ends, color=FAINT, linestyle=":", label="as many of both")
    axes.plot(*(norm.ppf(np.clip(rate, 1 - _WORST, _WORST)) for rate in (alarms, 1 - hits)), color=FAKE)
    words = [f"{rate:.0%}" for rate in _RATES]
    axes.set(xlabel="reals called fake", ylabel="fakes missed", xlim=ends, ylim=ends)
    axes.set_xticks(place, words)
    axes.set_yticks(place, words)
    axes.legend(**_ABOVE)


def _reliability(axes: Axes, labels: Truth, scores: Odds) -> None:
    """The share of fakes in each tenth of P(fake); the larger a dot, the more clips."""
    probability = expit(scores)
    bins = np.minimum((probability * 10).astype(int), 9)
    found = np.unique(bins)
    predicted = [probability[bins == one].mean() for one in found]
    true = [labels[bins == one].mean() for one in found]
    size = [10 + 200 * np.mean(bins == one) for one in found]
    axes.plot((0, 1), (0, 1), color=FAINT, linestyle=":", label="it is as it says")
    axes.plot(predicted, true, color=FAKE, linewidth=1)
    axes.scatter(predicted, true, s=size, color=FAKE, clip_on=False)
    axes.set(xlabel="predicted P(fake)", ylabel="share of fakes", xlim=(0, 1), ylim=(-0.03, 1.03))
    axes.legend(**_ABOVE)


def _histogram(axes: Axes, labels: Truth, scores: Odds) -> None:
    probability = expit(scores)
    both = [probability[~labels], probability[labels]]
    shares = [np.full(len(one), 1 / len(one)) for one in both]
    axes.hist(both, _BINS.tolist(), weights=shares, color=[REAL, FAKE], label=["real", "fake"])
    axes.set(xlabel="P(fake)", ylabel="share of the clips of a label", xlim=(0, 1))
    axes.legend(**_ABOVE)


def _tippett(axes: Axes, labels: Truth, scores: Odds) -> None:
    """Over each log likelihood ratio the shares of reals and of fakes that have at least that."""
    at, reals, fakes = tippett(labels, scores)
    axes.axvline(0, color=FAINT, linestyle=":")
    axes.step(at / LN10, reals, where="pre", color=REAL, label="real")
    axes.step(at / LN10, fakes, where="pre", color=FAKE, label="fake")
    axes.set(xlabel="log₁₀ likelihood ratio of fake", ylabel="share of at least that", ylim=(0, 1.01))
    axes.legend(**_ABOVE)


def _pav(axes: Axes, labels: Truth, scores: Odds) -> None:
    """The ratio that a score claims, and the one that the labels give; infinite ones lie at the edge."""
    at, ratio = pav(labels, scores)
    end = max(2.0, 1.05 * np.abs(at / LN10).max())
    axes.plot((-end, end), (-end, end), color=FAINT, linestyle=":", label="calibrated")
    axes.plot(at / LN10, np.clip(ratio / LN10, -end, end), color=FAKE, marker=".", markersize=3, linewidth=1)
    axes.set(xlabel="log₁₀ likelihood ratio claimed", ylabel="after PAV", xlim=(-end, end), ylim=(-end, end))
    axes.legend(**_ABOVE)


def _risk(axes: Axes, labels: Truth, scores: Odds) -> None:
    coverage, risk = risk_coverage(labels, scores)
    axes.plot(coverage, risk, color=FAKE)
    axes.set(xlabel="share answered, the surest first", ylabel="wrong, of those", xlim=(0, 1), ylim=(0, 1.01))


PANELS: dict[str, Callable[[Axes, Truth, Odds], None]] = {
    "ROC": _roc, "DET": _det, "reliability": _reliability, "scores": _histogram,
    "Tippett": _tippett, "PAV": _pav, "risk": _risk,
}  # fmt: skip
ON_SHEET = ("ROC", "Tippett", "PAV", "risk")


def _svg(draw: Callable[[Axes, Truth, Odds], None], labels: Truth, scores: Odds, name: str, about: str) -> str:
    """The figure without header, date and links, in the page's colours; its parts' names begin with ``name``."""
    file = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        draw(figure.subplots(), labels, scores)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, word in _PAGE.items():
        text = text.replace(colour, word)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{escape(about)}"', text, count=1)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
