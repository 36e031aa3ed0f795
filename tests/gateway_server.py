"""A gateway as ``veracity gateway`` serves it, on a free port, in a thread of the test's process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veracity_gateway.command import make_server
from veracity_gateway.settings import Settings

NOWHERE = "localhost:1"  # no Veracity server answers there
START_SECONDS = 30.0


def settings_in(folder: Path, **given: Any) -> Settings:
    """Settings of a gateway that keeps everything in a folder, by default in front of no server."""
    return Settings(**{"data": folder, "urls": (NOWHERE,), "jobs_at_once": 1, "port": 0, **given})


@contextmanager
def gateway(settings: Settings) -> Iterator[str]:
    """Serve until the end of the block; gives the base URL."""
    server = make_server(settings)
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        until = time.monotonic() + START_SECONDS
        while not server.started:
            assert thread.is_alive(), "the gateway did not start; see its log above"
            assert time.monotonic() < until, f"the gateway did not start within {START_SECONDS} s"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        assert not thread.is_alive(), "the gateway did not end"
