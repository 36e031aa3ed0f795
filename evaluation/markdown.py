"""Cells, rows and tables in Markdown, from a result's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOTHING = "–"
HANDFUL = 5  # clips, below which resampling gives an interval that means nothing
Group = Mapping[str, Any]
"""Figures of some clips: an entry of a subject's ``by``."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells hold Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def figure(value: Mapping[str, float] | None) -> str:
    """A figure and its interval: ``0.78 [0.72, 0.84]``."""
    return f"{value['value']:.2f} [{value['low']:.2f}, {value['high']:.2f}]" if value else NOTHING


def percent(share: float | None) -> str:
    """A share in whole percents."""
    return NOTHING if share is None else f"{share:.0%}".replace("%", " %")


def auc(group: Group) -> str:
    """The AUC of a group, where it has one."""
    return figure((group.get("figures") or {}).get("auc"))


def verdicts(groups: Iterable[Group], word: str) -> int:
    """On how many clips of the groups the verdict was this word."""
    return sum(group["called"].get(word, 0) for group in groups)


def share(group: Group, word: str) -> str:
    """On which part of a group's clips the verdict was this word; one without a score is ``inconclusive``, too."""
    words = (word, "no score") if word == "inconclusive" else (word,)
    return percent(sum(verdicts([group], one) for one in words) / group["clips"])


def by_kind(subject: Mapping[str, Any]) -> dict[str, dict[str, Group]]:
    """The groups ``real``, ``fake`` and ``both`` of each kind of file."""
    found: dict[str, dict[str, Group]] = {}
    for group in subject["by"]["kind"]:
        found.setdefault(group["kind"], {})[group["label"]] = group
    return found


def wrong_of_decided(real: Iterable[Group], fake: Iterable[Group]) -> float | None:
    """Which part of the verdicts that were not inconclusive was wrong; None where none was decided."""
    real, fake = list(real), list(fake)
    wrong = verdicts(real, "fake") + verdicts(fake, "real")
    decided = wrong + verdicts(real, "real") + verdicts(fake, "fake")
    return wrong / decided if decided else None


def by_source(subject: Mapping[str, Any], *, verdict: bool) -> str:
    """A row for each source and label that was scored; no AUC of sources with a handful of clips."""
    words = ("fake", "real", "inconclusive") if verdict else ("fake", "real")
    rows = []
    for group in subject["by"]["source"]:
        if group["scored"] and group["label"] != "both":
            worth = auc(group) if group["scored"] >= HANDFUL else NOTHING
            called = (str(verdicts([group], word)) for word in words)
            mean = f"{group['mean_fake_probability']:.2f}"
            rows.append((group["source"], group["label"], str(group["scored"]), mean, worth, *called))
    return table(("source", "label", "scored", "mean P(fake)", "AUC", *(f"called {word}" for word in words)), rows)


def origin(document: Mapping[str, Any], command: str = "") -> str:
    """When, with what and where a result was measured, and by which command, if not that of its name."""
    machine, command = document["machine"], command or f"python -m benchmarks {document['benchmark']}"
    return (
        f"Measured on {document['date'][:10]} with version {document['version']} at commit `{document['commit']}`, "
        f"{machine['cores']} cores of {machine['cpu']}: `{command}`."
    )
