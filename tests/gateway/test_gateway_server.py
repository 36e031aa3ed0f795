"""The command's own server: it says where it listens, and the tests' helper serves the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from gateway_server import NOWHERE, gateway, settings_in


def test_answers_at_the_port_that_it_took(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        assert httpx.get(f"{url}/health/live").json() == {"status": "live"}


def test_the_command_says_the_port_that_it_took(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "veracity.cli", "gateway", "--url", NOWHERE, "--port", "0", "--data", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout
        name, url = process.stdout.readline().split()
        assert name == "gateway"
        assert httpx.get(f"{url}/health/live").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
