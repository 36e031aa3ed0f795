"""How often two releases said the same of the same files, by what their servers recorded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec


class _Input(msgspec.Struct):
    sha256: str


class _Answer(msgspec.Struct):
    input: _Input
    label: str
    fake_probability: float | None
    processing_time: float


@dataclass(frozen=True)
class Agreement:
    """Of files that both answered: how many there are, share of the same label, largest change of P(fake), seconds."""

    answers: int
    files: int
    same_label: float | None
    largest_change: float | None
    seconds: tuple[float, float] | None


def agreement(current: Path, candidate: Path) -> Agreement:
    """Compare the last answers of both to each content."""
    before, after = _read(current), _read(candidate)
    both = [(before[sha256], after[sha256]) for sha256 in before.keys() & after.keys()]
    if not both:
        return Agreement(len(after), 0, None, None, None)
    changes = [
        abs(one.fake_probability - other.fake_probability)
        for one, other in both
        if one.fake_probability is not None and other.fake_probability is not None
    ]
    times = tuple(round(sum(pair[side].processing_time for pair in both) / len(both), 3) for side in (0, 1))
    same = sum(one.label == other.label for one, other in both) / len(both)
    return Agreement(len(after), len(both), round(same, 4), max(changes, default=None), (times[0], times[1]))


def _read(path: Path) -> dict[str, _Answer]:
    found = {}
    if path.is_file():
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):  # else it is being written
                    answer = msgspec.json.decode(line, type=_Answer)
                    found[answer.input.sha256] = answer
    return found
