"""What the doctor says of one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "optional", "warning", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing examined; ``detail`` says what was found, and of a fault what to do about it.

    ``optional`` is not there and not needed. ``fatal``: the chosen profile cannot run while it is so.
    """

    what: str
    state: State
    detail: str
    fatal: bool = False
