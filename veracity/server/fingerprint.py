"""What a server's answers depend on beside the file and its options, as one digest.

Clients find it in the configuration of ``deepfake_detector`` and tell by it whether an answer that they keep is still
what this server would say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import veracity
import veracity_client
from veracity.catalog import provenance
from veracity.catalog.tensorrt import PLAN
from veracity.decision.calibration import FILE as CALIBRATION
from veracity.install.files import sha256
from veracity.settings import variable
from veracity_client.info import versioned

FILES = (
    Path(provenance.FILE),
    provenance.GRAPH,
    provenance.GRAPH.with_name(PLAN),
)  # the first says the others' digests
# Settings that change no answer. Models, calibration and voice-activity detector are taken by what they hold.
NAMES = """
    env model_repository weights mirror calibration triton ffmpeg media_root decoder_isolation open_models hosts
    answers api_keys api_keys_file insecure tls_cert tls_key tls_client_ca drain_seconds log_level
    memory memory_budget memory_idle_seconds
"""
WITHOUT_EFFECT = frozenset(NAMES.split())


def fingerprint(repository: Path, models: Iterable[str], env: Mapping[str, str]) -> str:
    """Return version and digest of a server of these models, whose processes have ``env``."""
    unread = {"VERACITY_CONFIG", *map(variable, WITHOUT_EFFECT)}
    parts = {
        "code": code_sha256(),
        "settings": {name: value for name, value in env.items() if name not in unread},
        "calibration": _digest(Path(env.get(variable("calibration")) or CALIBRATION)),
        "models": {name: _first_digest(repository / name) for name in models},
    }
    return versioned(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())


@cache
def code_sha256() -> str:
    """Return one digest of our programs, without those of the gateway, which take no part in an answer."""
    found = hashlib.sha256()
    for package in (veracity, veracity_client):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{package.__name__}/{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return found.hexdigest()


def _first_digest(folder: Path) -> str:
    return next(filter(None, (_digest(folder / file) for file in FILES)), "")


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError:  # without it the server answers differently
        return ""
