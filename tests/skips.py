"""Skips are held against a list: a test that is skipped for another reason would never be missed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ALLOWED = Path(__file__).with_name("allowed_skips.txt")


def patterns(text: str) -> list[re.Pattern[str]]:
    """The expressions of a list, a line each; what begins with ``#`` is a remark."""
    return [re.compile(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def unexpected(reasons: Iterable[str], allowed: Iterable[re.Pattern[str]]) -> list[str]:
    """Return the reasons that no expression matches from its beginning to its end."""
    allowed = list(allowed)
    return sorted({reason for reason in reasons if not any(pattern.fullmatch(reason) for pattern in allowed)})


class Skips:
    """A plug-in of pytest: with CI=true, a run with a skip whose reason is not on the list fails."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple) and not hasattr(report, "wasxfail"):
            self.reasons.append(str(report.longrepr[2]).removeprefix("Skipped: "))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(session.config, "workerinput"):
            return  # a worker of pytest-xdist: its reports come together where the run was started
        found = unexpected(self.reasons, patterns(ALLOWED.read_text(encoding="utf-8")))
        if os.environ.get("CI") == "true" and found and exitstatus == pytest.ExitCode.OK:
            reporter = session.config.pluginmanager.get_plugin("terminalreporter")
            assert reporter is not None
            for reason in found:
                reporter.write_line(f"skipped for a reason that {ALLOWED.name} does not allow: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
