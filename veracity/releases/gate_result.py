"""What a gate found, and how much worse than the current release a candidate may be. Needs no scipy."""

from __future__ import annotations

import msgspec

GATE = "gate.json"


class Margins(msgspec.Struct, frozen=True):
    """Of AUC, of the shares of wrong among the decided and of inconclusive among all, of the area under risk."""

    auc: float = 0.02
    wrong: float = 0.02
    inconclusive: float = 0.05
    aurc: float = 0.02


class Difference(msgspec.Struct, frozen=True):
    """A figure of both, and the candidate's less the current's with its 95 % interval; ``passed`` by its margin."""

    current: float
    candidate: float
    low: float
    high: float
    margin: float
    passed: bool


class Gate(msgspec.Struct, frozen=True):
    """What was found: of these two releases, by their digests, on so many clips. ``why`` not, in words."""

    candidate: str
    current: str
    clips: str
    real: int
    fake: int
    differences: dict[str, Difference]
    why: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may be promoted."""
        return not self.why
