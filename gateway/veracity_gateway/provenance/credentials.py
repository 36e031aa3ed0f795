"""Content credentials (C2PA), read and checked. Only in the child process: :mod:`veracity_gateway.provenance.child`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import c2pa

from veracity_gateway.provenance.records import Action, Credentials, Problem, Signer, State
from veracity_gateway.provenance.words import ACTIONS, MOST, SOURCE_TYPES, clean, cleaned, problem, source_type

STATES: dict[str, State] = {"Trusted": "trusted", "Valid": "valid", "Invalid": "invalid"}
ACTION_LABEL = "c2pa.actions"  # also c2pa.actions.v2, and c2pa.actions.v2__1 where there are several


class Unreadable(Exception):
    """The credentials could not be read; the message says why."""


def settings(signers: Path, authorities: Path) -> dict[str, Any]:
    """Return c2pa's settings: whom to trust, and that the network is never asked.

    c2pa ignores a name that it does not know, so each of these has a test. ``decode_identity_assertions`` would ask for
    a ``did:web`` whatever ``allowed_network_hosts`` says (contentauth/c2pa-rs#1645).
    """
    anchors = [
        {"trust_anchors": path.read_text(), "trust_kind": kind}
        for path, kind in ((signers, "manifest"), (authorities, "tsa"))
        if path.stat().st_size
    ]
    return {
        "version": 1,
        "trust": {"anchors": anchors},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "core": {
            "allowed_network_hosts": [],
            "allow_redirects": False,
            "decode_identity_assertions": False,
            "max_decompressed_manifest_size_in_mb": 64,
        },
    }


def read(source: IO[bytes], options: dict[str, Any]) -> tuple[State, Credentials | None]:
    """Return what the credentials of an open file are worth, and what they say. Raises :class:`Unreadable`."""
    try:
        with c2pa.Context.from_dict(options) as context, c2pa.Reader(source, context=context) as reader:
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        if isinstance(error, c2pa.C2paError.ManifestNotFound):
            return "none", None
        raise Unreadable(_reason(error)) from error
    return STATES[report["validation_state"]], _credentials(report)


def _reason(error: c2pa.C2paError) -> str:
    said = str(error)
    if said.startswith("Remote"):
        address = clean(said.rpartition(" ")[2])
        return f"the file's content credentials lie elsewhere, and nothing is fetched: {address}"
    if isinstance(error, c2pa.C2paError.NotSupported) or "type is unsupported" in said:
        return "content credentials of this kind of file cannot be read"
    return f"the content credentials are damaged: {clean(said)}"


def _credentials(report: dict[str, Any]) -> Credentials:
    manifests = report["manifests"]
    active = manifests[report["active_manifest"]]
    signature = active.get("signature_info") or {}
    failures, codes = _results(report["validation_results"])
    return Credentials(
        signer=Signer(
            cleaned(signature.get("common_name")), cleaned(signature.get("issuer")), cleaned(signature.get("alg"))
        ),
        signed_at=cleaned(signature.get("time")),
        time_stamp=_time_stamp(codes),
        generator=_generator(active),
        actions=tuple(_actions(report))[:MOST],
        ingredients=len(active.get("ingredients", ())),
        manifests=len(manifests),
        problems=tuple(Problem(code, problem(code)) for code in failures)[:MOST],
    )


def _results(results: dict[str, Any]) -> tuple[list[str], set[str]]:
    """Return the codes of what failed, ingredients included, and all codes about the file's own manifest."""
    active = results.get("activeManifest") or {}
    parts = [active, *(delta.get("validationDeltas") or {} for delta in results.get("ingredientDeltas") or ())]
    failures = [clean(entry["code"]) for part in parts for entry in part.get("failure") or ()]
    codes = {entry["code"] for entries in active.values() if isinstance(entries, list) for entry in entries}
    return list(dict.fromkeys(failures)), codes


def _time_stamp(codes: set[str]) -> Any:
    if "timeStamp.trusted" in codes:
        return "trusted"
    if "timeStamp.untrusted" in codes or "timeStamp.validated" in codes:
        return "unknown authority"
    return "invalid" if any(code.startswith("timeStamp.") for code in codes) else None


def _generator(manifest: dict[str, Any]) -> str | None:
    named = [_software(entry) for entry in manifest.get("claim_generator_info") or ()]
    return ", ".join(name for name in named if name) or cleaned(manifest.get("claim_generator"))


def _software(agent: Any) -> str | None:
    if isinstance(agent, dict):
        return cleaned(" ".join(str(agent[key]) for key in ("name", "version") if agent.get(key)))
    return cleaned(agent)


def _actions(report: dict[str, Any]) -> Iterator[Action]:
    """Yield the actions of this file's manifest, then those of its ingredients'."""
    active = report["active_manifest"]
    for name, manifest in sorted(report["manifests"].items(), key=lambda item: item[0] != active):
        of = "this file" if name == active else f"an ingredient, {clean(manifest.get('title') or 'without a name')}"
        for assertion in manifest.get("assertions") or ():
            if str(assertion.get("label", "")).startswith(ACTION_LABEL):
                for entry in (assertion.get("data") or {}).get("actions") or ():
                    yield _action(entry, of)


def _action(entry: dict[str, Any], of: str) -> Action:
    name, source = clean(entry.get("action", "")), source_type(entry.get("digitalSourceType"))
    return Action(
        action=name,
        means=ACTIONS.get(name, name),
        of=of,
        when=cleaned(entry.get("when")),
        software=_software(entry.get("softwareAgent")),
        digital_source_type=source,
        source_means=SOURCE_TYPES.get(source or ""),
    )
