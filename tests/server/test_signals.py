"""SIGINT and SIGTERM, one or both, at any moment: the server stops, and nothing waits for ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_models import WAIT_SECONDS, make_repository

from veracity.server import signals

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}

WAITER = """
import signal, sys, time
from pathlib import Path
from veracity.server.server import Server
from veracity.server.signals import stop_on_signals
signal.signal(signal.SIGINT, signal.SIG_IGN)  # for signals that come between two rounds
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(int(sys.argv[1])):
    server = Server(Path("unused"))
    with stop_on_signals(server):
        sys.stdout.write("x")
        sys.stdout.flush()
        server.wait()
        time.sleep(0.001)  # for the second signal, and the third, to come in the middle of something
"""
ROUNDS = 100


@pytest.fixture
def waiter() -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", WAITER, str(ROUNDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV) as process:
        yield process
        process.kill()


def test_signals_at_once_never_block_the_stop(waiter: "subprocess.Popen[bytes]") -> None:
    """A handler that set an event was interrupted by the next one in the middle of that: within 3 rounds of 100."""
    watchdog = threading.Timer(WAIT_SECONDS, waiter.kill)
    watchdog.start()
    rounds = 0
    assert waiter.stdout
    assert waiter.stderr
    while rounds < ROUNDS and waiter.stdout.read(1):
        rounds += 1
        for number in (signal.SIGINT, signal.SIGTERM) * 3:
            waiter.send_signal(number)
    waiter.wait()
    watchdog.cancel()
    assert (rounds, waiter.returncode) == (ROUNDS, 0), waiter.stderr.read().decode()


class Noted:
    def __init__(self) -> None:
        self.calls: list[bool] = []

    def request_stop(self, *, drain: bool = True) -> None:
        self.calls.append(drain)


def test_signals_together_are_one_stop_and_a_later_one_hurries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "TOGETHER_SECONDS", 0.2)
    noted, before = Noted(), signal.getsignal(signal.SIGTERM)
    with signals.stop_on_signals(noted):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        assert noted.calls == [True]
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + WAIT_SECONDS
        while len(noted.calls) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert noted.calls == [True, False]
    assert signal.getsignal(signal.SIGTERM) is before


SERVE = """
import sys
from pathlib import Path
from veracity.server import serve
from veracity.settings import Settings
sys.exit(serve(Settings(model_repository=Path(sys.argv[1])), models=["double"]))
"""


@pytest.mark.triton
def test_serve_ends_well_on_both_signals(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(make_repository(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=ENV) as process:
        assert process.stdout
        for _ in range(5):  # until the table of models
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
