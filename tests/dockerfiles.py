"""Reads a Dockerfile: its stages and steps, and what of the checkout reaches its build."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from docker.utils.build import exclude_paths


@dataclass
class Stage:
    """One FROM and what follows it."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, word: str) -> str:
        return next(value for step, value in reversed(self.steps) if step == word)

    def command(self, word: str) -> list[str]:
        """Return an ENTRYPOINT or a HEALTHCHECK's CMD, which have to be in the JSON form: no shell to eat signals."""
        listed = re.search(r"\[.*\]", self.last(word))
        assert listed, f"{word} is not in the JSON form"
        found: list[str] = json.loads(listed[0])
        return found


def read(dockerfile: Path) -> tuple[dict[str, str], list[Stage]]:
    """Return the arguments before the first FROM, and the stages."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, value = line.split(maxsplit=1)
        if word == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(name or "image", expand(base, arguments)))
        elif stages:
            stages[-1].steps.append((word, value))
        else:
            arguments |= assignments(value)
    return arguments, stages


def assignments(value: str) -> dict[str, str]:
    """Return ``A=b C="d e"`` as a dictionary."""
    return dict(part.split("=", 1) for part in shlex.split(value))


def expand(value: str, env: Mapping[str, str]) -> str:
    """Replace ``${NAME}``; an unknown name is a KeyError."""
    return re.sub(r"\$\{(\w+)\}", lambda found: env[found[1]], value)


def context(checkout: Path, ignore: str = ".dockerignore") -> set[str]:
    """Return the files that an ignore file leaves to the build, by the rules of Docker's own library."""
    patterns = [p for p in (checkout / ignore).read_text().splitlines() if p and not p.startswith("#")]
    found = set(exclude_paths(str(checkout), patterns)) - {".dockerignore"}  # always sent, never wanted
    return {path for path in found if (checkout / path).is_file()}


def sources(stage: Stage) -> list[str]:
    """Return what a stage copies out of the checkout."""
    copies = [value.split() for word, value in stage.steps if word == "COPY"]
    return [source for parts in copies if not parts[0].startswith("--from=") for source in parts[:-1]]
