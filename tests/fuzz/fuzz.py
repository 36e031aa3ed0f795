"""Fuzz our parsers, guided by what of them is reached: make fuzz SECONDS=60 [ARGS="facts keys"].

    python tests/fuzz/fuzz.py SECONDS [TARGET…]

Each target runs for so long in a process of its own, or until the first finding, which is printed and written to
.fuzz/findings. A finding becomes a line of FOUND in test_targets.py. What was reached stays in .fuzz/reached.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import atheris

FOLDER = Path(__file__).parents[2] / ".fuzz"
LONGEST = 1 << 14  # bytes of an input
MEGABYTES = 1024  # that a target may use


def main(seconds: str, *names: str) -> int:
    """Fuzz the targets one after another; the exit status is 1 where one has a finding."""
    import targets

    found = []
    for name in names or targets.TARGETS:
        print(f"== {name}, {seconds} s", flush=True)
        if subprocess.run([sys.executable, __file__, "--one", name, seconds]).returncode:
            found.append(name)
    print(f"findings in {', '.join(found)}: {FOLDER / 'findings'}" if found else "no findings")
    return bool(found)


def fuzz(name: str, seconds: str) -> None:
    """Fuzz one target; ends the process."""
    with atheris.instrument_imports(include=["veracity", "veracity_client", "targets"]):
        import targets
    target = targets.TARGETS[name]
    reached, findings = FOLDER / "reached" / name, FOLDER / "findings"
    reached.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (reached / f"seed-{number}").write_bytes(seed)
    options = {"max_total_time": seconds, "max_len": LONGEST, "rss_limit_mb": MEGABYTES, "timeout": 10, "verbosity": 0}
    given = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([name, *given, "-print_final_stats=1", f"-artifact_prefix={findings}/{name}-", str(reached)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(*sys.argv[2:])
    sys.exit(main(*sys.argv[1:]))
