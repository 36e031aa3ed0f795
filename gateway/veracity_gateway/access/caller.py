"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["analyze", "read", "review", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class Caller:
    """An API key, or whoever is on this machine where there is none. ``id`` owns what it makes."""

    id: str
    name: str
    scopes: frozenset[Scope]

    @property
    def sees(self) -> str | None:
        """The owner whose jobs it sees; None: everyone's."""
        return None if "admin" in self.scopes else self.id


LOCAL = Caller("local", "local", frozenset(SCOPES))
