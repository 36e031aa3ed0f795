"""Content credentials (C2PA), read and checked. Only in the child process: :mod:`veracity_gateway.provenance.child`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import c2pa

from veracity_gateway.provenance.records import Action, Credentials, Problem, Signer, State, TimeStamp
from veracity_gateway.provenance.words import ACTIONS, MOST, SOURCE_TYPES, clean, cleaned, problem, source_type

STATES: dict[str, State] = {"Trusted": "trusted", "Valid": "valid", "Invalid": "invalid"}
SIGNERS, AUTHORITIES, BOTH = "urn:veracity:signers", "urn:veracity:authorities", "urn:veracity:both"
UNTRUSTED = "signingCredential.untrusted"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\w+/=\s]+-----END CERTIFICATE-----", re.A)
ACTION_LABEL = "c2pa.actions"  # also c2pa.actions.v2, and c2pa.actions.v2__1 where there are several


class Unreadable(Exception):
    """The credentials could not be read; the message says why."""


def settings(signers: Path, authorities: Path) -> dict[str, Any]:
    """Return c2pa's settings: whom to trust, and that the network is never asked.

    c2pa ignores a name that it does not know; a test holds these. ``decode_identity_assertions`` would ask for
    a ``did:web`` whatever ``allowed_network_hosts`` says (contentauth/c2pa-rs#1645).
    """
    return {
        "version": 1,
        "trust": {"anchors": _anchors(_certificates(signers), _certificates(authorities))},
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "core": {
            "allowed_network_hosts": [],
            "allow_redirects": False,
            "decode_identity_assertions": False,
            "max_decompressed_manifest_size_in_mb": 64,
        },
    }


def _certificates(path: Path) -> list[str]:
    return CERTIFICATE.findall(path.read_text())


def _anchors(signers: list[str], authorities: list[str]) -> list[dict[str, str]]:
    """Return the lists as c2pa takes them.

    c2pa 0.91 accepts a signer by any of them, whatever their kind. It does say by which: so no certificate is on two.
    """
    both = [certificate for certificate in signers if certificate in authorities]
    lists = (
        (SIGNERS, "manifest", [certificate for certificate in signers if certificate not in both]),
        (BOTH, "manifest", both),
        (BOTH, "tsa", both),
        (AUTHORITIES, "tsa", [certificate for certificate in authorities if certificate not in both]),
    )
    return [
        {"trust_uri": uri, "trust_kind": kind, "trust_anchors": "\n".join(certificates)}
        for uri, kind, certificates in lists
        if certificates
    ]


def read(source: IO[bytes], options: dict[str, Any]) -> tuple[State, Credentials | None]:
    """Return what the credentials of an open file are worth, and what they say. Raises :class:`Unreadable`."""
    try:
        with c2pa.Context.from_dict(options) as context, c2pa.Reader(source, context=context) as reader:
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        if isinstance(error, c2pa.C2paError.ManifestNotFound):
            return "none", None
        raise Unreadable(_reason(error)) from error
    state = STATES[report["validation_state"]]
    if state == "trusted" and report["validation_results"].get("trustListUri") not in (SIGNERS, BOTH):
        state = "valid"
    return state, _credentials(report, state)


def _reason(error: c2pa.C2paError) -> str:
    said = str(error)
    if said.startswith("Remote"):
        address = clean(said.rpartition(" ")[2])
        return f"the file's content credentials lie elsewhere, and nothing is fetched: {address}"
    if isinstance(error, c2pa.C2paError.NotSupported) or "type is unsupported" in said:
        return "content credentials of this kind of file cannot be read"
    return f"the content credentials are damaged: {clean(said)}"


def _credentials(report: dict[str, Any], state: State) -> Credentials:
    manifests = report["manifests"]
    active = manifests[report["active_manifest"]]
    signature = active.get("signature_info") or {}
    results = report["validation_results"]
    failures = _failures(results)
    if state == "valid" and UNTRUSTED not in failures:
        failures.append(UNTRUSTED)
    return Credentials(
        signer=Signer(
            cleaned(signature.get("common_name")), cleaned(signature.get("issuer")), cleaned(signature.get("alg"))
        ),
        signed_at=cleaned(signature.get("time")),
        time_stamp=_time_stamp(results),
        generator=_generator(active),
        actions=tuple(_actions(report))[:MOST],
        ingredients=len(active.get("ingredients", ())),
        manifests=len(manifests),
        problems=tuple(Problem(code, problem(code)) for code in failures)[:MOST],
    )


def _failures(results: dict[str, Any]) -> list[str]:
    """Return the codes of what failed, ingredients included."""
    deltas = (delta.get("validationDeltas") or {} for delta in results.get("ingredientDeltas") or ())
    parts = [results.get("activeManifest") or {}, *deltas]
    return list(dict.fromkeys(clean(entry["code"]) for part in parts for entry in part.get("failure") or ()))


def _time_stamp(results: dict[str, Any]) -> TimeStamp | None:
    """Return what the time stamp is worth. By which list it is trusted, c2pa says at the end of its explanation."""
    active = results.get("activeManifest") or {}
    said = {entry["code"]: entry for entries in active.values() if isinstance(entries, list) for entry in entries}
    trusted = str(said.get("timeStamp.trusted", {}).get("explanation"))
    if trusted.endswith((f": {AUTHORITIES}", f": {BOTH}")):
        return "trusted"
    if said.keys() & {"timeStamp.trusted", "timeStamp.untrusted", "timeStamp.validated"}:
        return "unknown authority"
    return "invalid" if any(code.startswith("timeStamp.") for code in said) else None


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
