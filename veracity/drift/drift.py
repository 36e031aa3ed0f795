"""Compares reports with the calibration's reference, and says what moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from veracity.catalog.layers import FileKind
from veracity.drift.estimate import ASSUMED, Estimates, estimates
from veracity.drift.histogram import Shift, shift
from veracity.drift.observed import VERDICT, Observed
from veracity.drift.reference import IN_WORDS, KindReference, Reference
from veracity.drift.reports import Read

SURE = 0.95  # that all indices together do not exceed what chance allows


@dataclass(frozen=True)
class Bounds:
    """From which ``psi`` on something drifted, which share of wrong words is too many, how few files are too few."""

    psi: float = 0.25
    wrong: float = 0.10
    files: int = 100


@dataclass(frozen=True)
class KindDrift:
    """One kind of file. ``shifts`` by name, ``untold`` what the reports do not tell of; ``why`` it drifted, in words.

    ``estimates`` are None where no file has a probability.
    """

    files: int
    skipped: int
    shifts: Mapping[str, Shift]
    untold: Sequence[str]
    estimates: Estimates | None
    why: Sequence[str]
    too_few: bool = False


@dataclass(frozen=True)
class Drift:
    """All kinds of file; ``unknown`` are those that the calibration has no reference for, with how many there were."""

    kinds: Mapping[FileKind, KindDrift]
    unknown: Mapping[FileKind, int]
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def drifted(self) -> bool | None:
        """Whether anything drifted; None where no kind of file has enough files to tell."""
        if any(one.why for one in self.kinds.values()):
            return True
        return False if any(not one.too_few for one in self.kinds.values()) else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"schema": "veracity/drift/1", "drifted": self.drifted, "assumed": ASSUMED, **asdict(self)}


def compare(read: Read, reference: Reference, bounds: Bounds, share: float | None = None) -> Drift:
    """Compare each kind of file; ``share`` is that of the fakes among the files, where it is known."""
    kinds: dict[FileKind, list[Observed]] = {}
    for one in read.files:
        kinds.setdefault(one.kind, []).append(one)
    known = {kind: some for kind, some in sorted(kinds.items()) if kind in reference.kinds}
    return Drift(
        {kind: _compare(some, reference.kinds[kind], bounds, share) for kind, some in known.items()},
        {kind: len(some) for kind, some in kinds.items() if kind not in known},
        dict(read.errors),
    )


def _compare(files: Sequence[Observed], reference: KindReference, bounds: Bounds, share: float | None) -> KindDrift:
    scored = [one for one in files if one.fake_probability is not None]
    probability = [one.fake_probability or 0.0 for one in scored]
    found = estimates(probability, [one.label for one in scored], share) if scored else None
    mix = found.fakes.value if found else share if share is not None else 0.5
    names = list(reference.histograms)
    shifts: dict[str, Shift] = {}
    for name in names:
        values = [one.value(name) for one in (scored if name == VERDICT else files) if one.tells(name)]
        if values:
            shifts[name] = shift(reference.histograms[name], values, mix, 1 - (1 - SURE) / len(names))
    enough = {name: one for name, one in shifts.items() if one.clips >= bounds.files}
    why = [
        f"{name}: PSI {one.psi:.2f} is over {bounds.psi:g}; most of it at {one.moved}: "
        f"{one.expected:.0%} there, {one.found:.0%} here"
        for name, one in enough.items()
        if one.psi > max(bounds.psi, one.chance)
    ]
    if found and found.wrong and len(scored) >= bounds.files and found.wrong.low > bounds.wrong:
        why.append(f"of the decided, {found.wrong.value:.1%} are wrong by estimate, over {bounds.wrong:.0%}")
    return KindDrift(
        files=len(files),
        skipped=sum(one.skipped for one in files),
        shifts=shifts,
        untold=[name for name in names if name not in shifts],
        estimates=found,
        why=why,
        too_few=not enough,
    )


def kind_in_words(kind: FileKind, files: int) -> str:
    """Return 120 films."""
    return f"{files} {IN_WORDS[kind]}"
