"""What is said of a file's origin. Each text is bounded and free of control characters; see :func:`words.clean`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["trusted", "valid", "invalid", "none", "unreadable"]
TimeStamp = Literal["trusted", "unknown authority", "invalid"]
Kind = Literal["ai", "edit", "camera"]

NOTICE = (
    "This is what the file says of itself. Anyone can write such marks, and anyone can strip them: "
    "their absence proves nothing. None of it enters the score."
)


@dataclass(frozen=True)
class Signer:
    """Who signed, by the certificate; no more than a claim unless the state is ``trusted``."""

    name: str | None
    organisation: str | None
    algorithm: str | None


@dataclass(frozen=True)
class Action:
    """What a signer says was done. ``of`` is "this file" or the ingredient that it was done to."""

    action: str
    means: str
    of: str
    when: str | None
    software: str | None
    digital_source_type: str | None
    source_means: str | None


@dataclass(frozen=True)
class Problem:
    """Why credentials do not hold: C2PA's code, and what it means."""

    code: str
    means: str


@dataclass(frozen=True)
class Credentials:
    """The content credentials in a file. Their thumbnails are left out: any picture can be put there.

    ``signed_at`` is the time stamp's; how much it is worth, ``time_stamp`` says.
    """

    signer: Signer
    signed_at: str | None
    time_stamp: TimeStamp | None
    generator: str | None
    actions: tuple[Action, ...]
    ingredients: int
    manifests: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Edit:
    """A step in the history that an editor wrote into the file."""

    action: str
    when: str | None
    software: str | None


@dataclass(frozen=True)
class Metadata:
    """What is written beside picture and sound. ``location``: whether a place is named; it is not copied."""

    format: str | None
    make: str | None
    model: str | None
    software: tuple[str, ...]
    created: tuple[str, ...]
    changed: tuple[str, ...]
    location: bool
    edits: tuple[Edit, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Declared:
    """A mark: ``what`` the file says, ``where`` it says so, and the words it ``says`` it in."""

    kind: Kind
    what: str
    where: str
    says: str


@dataclass(frozen=True)
class Provenance:
    """What a file says of its origin. ``state`` is that of its content credentials, ``means`` says it in a sentence."""

    state: State
    means: str
    reason: str | None = None
    credentials: Credentials | None = None
    metadata: Metadata | None = None
    declared: tuple[Declared, ...] = ()
    notice: str = NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)
