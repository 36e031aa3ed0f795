"""Which models are in memory, who uses them, and which of them has to go for another: the counts, not the loading.

One object knows all, under one lock. Whoever uses a model holds it for one inference and waits for nothing meanwhile:
so every wait ends. Who waits for memory is served in the order of arrival, together with all who wait for the same
model by then; those who come later wait behind, also for models that are loaded, since else a model that is always in
use would never go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from veracity_client.errors import ModelUnavailable

POLL_SECONDS = 0.5  # between two looks whether a caller that waits is still there

Phase = Literal["loading", "loaded", "leaving"]


@dataclass
class _Resident:
    size: int
    phase: Phase = "loading"
    users: int = 0
    last_used: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class _Ticket:
    model: str
    wants_memory: bool = False
    counted: bool = False  # as a user of its model, which came for another who waited too


def _stays() -> bool:
    return False


class Residency:
    """Models in a memory of ``budget`` bytes, None for any size; ``sizes`` are theirs, in bytes.

    ``load`` and ``unload`` do the work and return when it is done, also where it failed. They are called without the
    lock, never for one model at the same time, and ``unload`` only for models that nobody uses.
    """

    def __init__(
        self, sizes: Mapping[str, int], budget: int | None, load: Callable[[str], None], unload: Callable[[str], None]
    ) -> None:
        self._sizes, self._budget, self._load, self._unload = sizes, budget, load, unload
        self._changed = threading.Condition()
        self._residents: dict[str, _Resident] = {}
        self._tickets: list[_Ticket] = []  # of all who wait to use a model, in the order of their arrival
        self._closed = False

    def acquire(self, model: str, seconds: float, gone: Callable[[], bool] = _stays) -> bool:
        """Count a user of a model, once it is loaded; returns False without memory for it within ``seconds``.

        Least recently used models that nobody uses make room. ``gone`` says that nobody waits any more. Raises
        :class:`ModelUnavailable` after :meth:`close`.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            ticket = _Ticket(model)
            self._tickets.append(ticket)
            try:
                while not (ticket.counted or self._may_enter(model, ticket)):
                    if not self._wait(deadline, gone) and not ticket.counted:
                        return False
                is_new = model not in self._residents
                victims = self._make_room(model) if is_new else []
                resident = self._residents.setdefault(model, _Resident(self._sizes[model]))
                self._count(resident, [ticket, *(other for other in self._tickets if is_new and other.model == model)])
            finally:
                self._tickets.remove(ticket)
                self._changed.notify_all()
        self.let_go(victims)
        if is_new:
            self._bring_in(model, resident)
            return True
        with self._changed:
            while resident.phase == "loading":
                if not self._wait(deadline, gone):
                    self._leave(resident)
                    return False
        return True

    def acquire_loaded(self, model: str) -> bool:
        """Count a user of a model if it is loaded; returns whether it is."""
        with self._changed:
            resident = self._residents.get(model)
            if self._closed or resident is None or resident.phase != "loaded":
                return False
            resident.users += 1
            return True

    def release(self, model: str, *, used: bool = True) -> None:
        """Count a user less; one that only looked has not ``used`` the model."""
        with self._changed:
            resident = self._residents[model]
            if used:
                resident.last_used = time.monotonic()
            self._leave(resident)

    def __contains__(self, model: str) -> bool:
        with self._changed:
            return model in self._residents

    def used_bytes(self) -> int:
        """Return what the models take that are in memory, come or leave."""
        with self._changed:
            return sum(resident.size for resident in self._residents.values())

    def take_idle(self, seconds: float) -> list[str]:
        """Return the models that nobody used for so long: from now on they leave, and :meth:`let_go` is due."""
        with self._changed:
            before = time.monotonic() - seconds
            idle = [name for name, resident in self._idle() if resident.last_used <= before]
            return self._mark_leaving(idle)

    def let_go(self, models: Iterable[str]) -> None:
        """Unload models that leave, and forget them."""
        for model in models:
            try:
                self._unload(model)
            finally:
                with self._changed:
                    del self._residents[model]
                    self._changed.notify_all()

    def close(self) -> None:
        """Refuse whoever waits or comes, and wait until nothing is being loaded or unloaded."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while any(resident.phase != "loaded" for resident in self._residents.values()):
                self._changed.wait()

    def _may_enter(self, model: str, ticket: _Ticket) -> bool:
        if self._closed:
            raise ModelUnavailable(f"{model} cannot be loaded now: the server is being restarted")
        resident = self._residents.get(model)
        ticket.wants_memory = resident is None
        if any(other.wants_memory for other in takewhile(lambda other: other is not ticket, self._tickets)):
            return False
        return self._fits(model) if resident is None else resident.phase != "leaving"

    def _fits(self, model: str) -> bool:
        return self._missing(model) <= sum(resident.size for _, resident in self._idle())

    def _missing(self, model: str) -> int:
        """Return the bytes that a model lacks beside those that are in memory."""
        if self._budget is None:
            return 0
        return self._sizes[model] + sum(resident.size for resident in self._residents.values()) - self._budget

    def _idle(self) -> list[tuple[str, _Resident]]:
        """Return the models that nobody uses, the one first that was used least recently."""
        idle = [(n, r) for n, r in self._residents.items() if r.phase == "loaded" and not r.users]
        return sorted(idle, key=lambda item: item[1].last_used)

    def _make_room(self, model: str) -> list[str]:
        missing, victims = self._missing(model), []
        for name, resident in self._idle():
            if missing <= 0:
                break
            missing -= resident.size
            victims.append(name)
        return self._mark_leaving(victims)

    def _mark_leaving(self, models: list[str]) -> list[str]:
        for name in models:
            self._residents[name].phase = "leaving"
        return models

    def _bring_in(self, model: str, resident: _Resident) -> None:
        try:
            self._load(model)
        finally:
            with self._changed:
                resident.phase, resident.last_used = "loaded", time.monotonic()
                self._changed.notify_all()

    def _count(self, resident: _Resident, tickets: Iterable[_Ticket]) -> None:
        for ticket in tickets:
            resident.users += not ticket.counted
            ticket.counted = True

    def _leave(self, resident: _Resident) -> None:
        resident.users -= 1
        self._changed.notify_all()

    def _wait(self, deadline: float, gone: Callable[[], bool]) -> bool:
        """Wait for a change; returns whether to look again."""
        left = deadline - time.monotonic()
        if left <= 0 or gone():
            return False
        self._changed.wait(min(left, POLL_SECONDS))
        return True
