"""Curves as SVG that takes its colours from the page around it, so that it can be read in light and dark."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit
from scipy.stats import norm

from training.draws import whole

matplotlib.use("svg")

# Colours that nothing else has, and what the page calls them.
INK, REAL, FAKE, FAINT = "#010203", "#010204", "#010205", "#010206"
_PAGE = {INK: "currentColor", REAL: "var(--real)", FAKE: "var(--fake)", FAINT: "var(--faint)"}
_STYLE = {
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "veracity",  # the same figures make the same file
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # marks of the DET axes
_BINS = np.linspace(0, 1, 11)


def panels(labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], title: str) -> str:
    """ROC, DET, reliability and histogram of labels [n] and log odds of fake [n], as one SVG; both labels are there."""
    probability = expit(scores)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(13, 3.2), layout="constrained")
        roc, det, reliability, histogram = figure.subplots(1, 4)
        alarms, hits = (rates[0] for rates in whole(labels, scores).rates)
        _roc(roc, alarms, hits)
        _det(det, alarms, hits)
        _reliability(reliability, labels, probability)
        _histogram(histogram, labels, probability)
        return _svg(figure, title)


def _roc(axes: Axes, alarms: npt.NDArray[np.float64], hits: npt.NDArray[np.float64]) -> None:
    axes.plot((0, 1), (0, 1), color=FAINT, linestyle=":")
    axes.plot(alarms, hits, color=FAKE)
    axes.set(title="ROC", xlabel="reals called fake", ylabel="fakes found", xlim=(-0.01, 1), ylim=(0, 1.01))


def _det(axes: Axes, alarms: npt.NDArray[np.float64], hits: npt.NDArray[np.float64]) -> None:
    """The two error rates, each on the scale on which a normal distribution's is straight."""
    place = norm.ppf(_RATES)
    ends = norm.ppf((0.005, 0.9))
    axes.plot(ends, ends, color=FAINT, linestyle=":")
    axes.plot(*(norm.ppf(np.clip(rate, 1e-4, 1 - 1e-4)) for rate in (alarms, 1 - hits)), color=FAKE)
    words = [f"{rate:.0%}" for rate in _RATES]
    axes.set(title="DET", xlabel="reals called fake", ylabel="fakes missed", xlim=ends, ylim=ends)
    axes.set_xticks(place, words)
    axes.set_yticks(place, words)


def _reliability(axes: Axes, labels: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64]) -> None:
    """The share of fakes in each tenth of P(fake); the larger a dot, the more clips."""
    bins = np.minimum((probability * 10).astype(int), 9)
    found = np.unique(bins)
    said = [probability[bins == one].mean() for one in found]
    true = [labels[bins == one].mean() for one in found]
    size = [10 + 200 * np.mean(bins == one) for one in found]
    axes.plot((0, 1), (0, 1), color=FAINT, linestyle=":")
    axes.plot(said, true, color=FAKE, linewidth=1)
    axes.scatter(said, true, s=size, color=FAKE)
    axes.set(
        title="reliability", xlabel="P(fake) that was said", ylabel="share of fakes", xlim=(0, 1), ylim=(-0.03, 1.03)
    )


def _histogram(axes: Axes, labels: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64]) -> None:
    both = [probability[~labels], probability[labels]]
    shares = [np.full(len(one), 1 / len(one)) for one in both]
    axes.hist(both, _BINS.tolist(), weights=shares, color=[REAL, FAKE], label=["real", "fake"])
    axes.set(title="scores", xlabel="P(fake)", ylabel="share of the label")
    axes.legend(frameon=False)


def _svg(figure: Figure, title: str) -> str:
    """The figure without header, date and links, in the page's colours; its names begin with the title."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for colour, name in _PAGE.items():
        text = text.replace(colour, name)
    text = re.sub(
        r'width="[\d.]+pt" height="[\d.]+pt"',
        f'role="img" aria-label="{title}: ROC, DET, reliability, scores"',
        text,
        count=1,
    )
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{title}-", text)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
