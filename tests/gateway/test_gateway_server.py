"""The command's own server: it says where it listens, and the tests' helper serves the same."""

from pathlib import Path

import httpx
from gateway_server import gateway, running_gateway, settings_in


def test_answers_at_the_port_that_it_took(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        assert httpx.get(f"{url}/health/live").json() == {"status": "live"}


def test_the_command_says_the_port_that_it_took(tmp_path: Path) -> None:
    with running_gateway("--data", tmp_path) as (url, _):
        assert httpx.get(f"{url}/health/live").status_code == 200
