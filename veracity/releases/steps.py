"""The steps of a release: staged, shadow, canary, promoted, taken back. Each leaves a line in the audit log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from veracity.releases.gate_result import GATE, Gate
from veracity.releases.serving import serving
from veracity.releases.store import Release, ReleaseError, State, Store

POLL_SECONDS = 0.2


def stage(store: Store, name: str, profile: str, repository: Path, calibration: Path) -> Release:
    """Copy a release in. It replaces the candidate before it, unless that is being tried."""
    with store.changing() as state:
        if state.trying:
            raise ReleaseError(f"{state.trying} is being tried ({state.mode}): promote it or roll it back first")
        release = store.stage(name, profile, repository, calibration)
        _put(store, msgspec.structs.replace(state, candidate=name, mode="staged", share=0.0), "staged", name)
    return release


def attempt(store: Store, mode: Any, share: float) -> State:
    """Have the candidate see a share of the requests: copies of them (shadow), or to answer them itself (canary)."""
    with store.changing() as state:
        name = _candidate(state)
        if state.current is None:
            raise ReleaseError("there is no current release beside which it could be tried: promote it")
        store.verified(name)
        wanted = msgspec.structs.replace(state, mode=mode, share=share)
        _put(store, wanted, mode, name, f" on {share:.2%} of the requests")
    return wanted


def record_gate(store: Store, name: str, found: Gate) -> None:
    """Keep what the gate found, with the release that it is about."""
    with store.changing():
        (store.path(name) / GATE).write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        word = "passed" if found.passed else f"not passed: {'; '.join(found.why)}"
        store.audit("gate", f"{name}: {word}", found.candidate)


def promote(store: Store, name: str | None, reason: str = "") -> State:
    """Make the candidate the current release, if it passed the gate against the current one; or for a ``reason``."""
    with store.changing() as state:
        chosen = name or _candidate(state)
        if chosen == state.current:
            raise ReleaseError(f"{chosen} is the current release")
        release = store.verified(chosen)
        if state.current and not reason:
            _require_gate(store, release, store.release(state.current))
        wanted = State(current=chosen, previous=state.current)
        _put(store, wanted, "promoted", chosen, f" without the gate: {reason}" if reason else "")
    return wanted


def roll_back(store: Store) -> State:
    """End a trial; where there is none, make the previous release the current one again."""
    with store.changing() as state:
        if state.trying:
            wanted = msgspec.structs.replace(state, mode="staged", share=0.0)
            _put(store, wanted, "rolled back", state.trying, f": no more {state.mode}")
        elif state.previous:
            store.verified(state.previous)
            wanted = State(current=state.previous, candidate=state.current)
            _put(store, wanted, "rolled back", str(state.current), f" to {state.previous}")
        else:
            raise ReleaseError("there is nothing to roll back to: no trial runs, and no release was current before")
    return wanted


def follow(store: Store, change: Callable[[], State], seconds: float) -> tuple[State, bool]:
    """Make a change, and wait until the process that serves the folder routes so; False where none serves it.

    Where it cannot, the change is undone, and :class:`ReleaseError` raised.
    """
    before = store.state()
    wanted = change()
    try:
        return wanted, _wait(store, wanted, seconds)
    except ReleaseError as error:
        with store.changing():
            store.audit("undone", f"{wanted.trying or wanted.current}: {error.message}", None)
            store.put(before)
        raise


def _wait(store: Store, wanted: State, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (now := serving(store)) is not None:
        routed = (
            State(**{name: now["routed"].get(name) for name in ("current", "candidate")}) if now["routed"] else State()
        )
        shares = now["routed"].get("share"), now["routed"].get("mode")
        if (routed.current, routed.candidate) == (wanted.current, wanted.trying) and shares == (
            wanted.share,
            wanted.mode,
        ):
            return True
        for name in (wanted.current, wanted.trying):
            if name in now["failed"]:
                raise ReleaseError(f"{name} does not start: {now['failed'][name]}; requests go on as before")
        if time.monotonic() > until:
            raise ReleaseError(f"the server did not follow within {seconds:g} s; requests go on as before: see its log")
        time.sleep(POLL_SECONDS)
    return False


def _candidate(state: State) -> str:
    if state.candidate is None:
        raise ReleaseError("there is no candidate: `veracity release stage NAME` first")
    return state.candidate


def _require_gate(store: Store, release: Release, current: Release) -> None:
    try:
        found = msgspec.json.decode((store.path(release.name) / GATE).read_bytes(), type=Gate)
    except FileNotFoundError:
        raise ReleaseError(f"{release.name} did not pass the gate yet: `veracity release gate CLIPS`") from None
    if (found.candidate, found.current) != (release.digest, current.digest):
        raise ReleaseError(f"the gate of {release.name} was not against {current.name}: `veracity release gate CLIPS`")
    if not found.passed:
        raise ReleaseError(f"{release.name} did not pass the gate: {'; '.join(found.why)}")


def _put(store: Store, state: State, event: str, name: str, more: str = "") -> None:
    """Log first: nothing happens that is not logged."""
    store.audit(event, f"{name}{more}", store.release(name).digest)
    store.put(state)
