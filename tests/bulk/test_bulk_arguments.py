"""What the command line of ``veracity bulk`` asks for."""

from __future__ import annotations

import argparse

import pytest

from veracity_bulk import arguments


@pytest.mark.parametrize(("more", "priority"), [((), "bulk"), (("--priority", "interactive"), "interactive")])
def test_a_run_gives_way_to_whoever_is_interactive(more: tuple[str, ...], priority: str) -> None:
    parser = argparse.ArgumentParser()
    arguments.add_arguments(parser, lambda _: 0, servers="none")
    task = arguments.task_of(parser.parse_args(["clips", "out", *more]), ("one:8001",))
    assert task.options.priority == priority
