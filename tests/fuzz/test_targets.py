"""What the fuzzer starts from and what it found: each is parsed, or refused with an error of ours."""

from __future__ import annotations

import json

import pytest
from targets import FILE_FACTS, FILM, TARGETS

SEEDS = [
    pytest.param(name, seed, id=f"{name}-seed{k}") for name in TARGETS for k, seed in enumerate(TARGETS[name].seeds)
]
FOUND = [
    ("facts", b"[]"),
    ("facts", b'{"tracks": [{}]}'),
    ("facts", json.dumps(FILE_FACTS | {"tracks": [FILM | {"aspect": [0, 0]}]}).encode()),
    ("facts", json.dumps(FILE_FACTS | {"tracks": [FILM | {"end": None, "fps": 1e-300}]}).encode()),
    ("facts", json.dumps(FILE_FACTS | {"tracks": [], "declared": 1e308}).encode()),
    ("answers", b"[" * 100_000),
    ("answers", b'{"verdict": ' + b"[" * 100_000),
    ("addresses", b"[::1:8001"),
]


@pytest.mark.parametrize(("name", "content"), SEEDS)
def test_seeds(name: str, content: bytes) -> None:
    TARGETS[name](content)


@pytest.mark.parametrize(("name", "content"), FOUND)
def test_what_was_found(name: str, content: bytes) -> None:
    TARGETS[name](content)
