"""Isolation: what a decoder that a file has taken over can still reach, and what of it stays."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import media_samples as samples
import pytest

from veracity.media import Limits, isolation
from veracity.media.ffmpeg import find_ffmpeg
from veracity.media.sandbox import running
from veracity_client.errors import BadVideo, VeracityError

SECONDS = 20  # a hang is a failure


@pytest.fixture
def landlock() -> None:
    if not isolation.found().landlock:
        pytest.skip(f"this system does not isolate: {isolation.found()}")


@pytest.fixture
def seccomp() -> None:
    if not isolation.found().seccomp:
        pytest.skip(f"this system does not isolate: {isolation.found()}")


def told(code: str, source: Path, isolated: isolation.Level = "auto") -> str:
    """Run Python code as a decoder of ``source``; return what it prints."""

    async def run() -> str:
        with source.open("rb") as file:
            command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]
            async with running(command, file.fileno(), Limits(isolation=isolated)) as child:
                output = await child.rest(1 << 16)
                said = await child.end()
                return (output.decode() or said).strip()

    return samples.run(run())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("the file under analysis")
    return path


def test_no_connection_leaves_it(source: Path, seccomp: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
            import socket
            try: socket.create_connection(("127.0.0.1", {server.getsockname()[1]})).sendall(b"secret")
            except OSError as error: print(type(error).__name__)
            else: print("connected")
        """
        assert told(code, source, "off") == "connected"
        assert told(code, source) == "PermissionError"


def test_ffmpeg_itself_cannot_connect(source: Path, seccomp: None) -> None:
    """Without our list of protocols, which keeps it from trying."""

    async def callers(isolated: isolation.Level) -> int:
        seen: list[asyncio.StreamWriter] = []

        def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer)
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        url = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with source.open("rb") as file:
            command = [str(find_ffmpeg()), "-v", "error", "-i", url, "-f", "null", "-"]
            async with server, running(command, file.fileno(), Limits(isolation=isolated)) as child:
                assert await child.end()
        return len(seen)

    assert samples.run(callers("off")) == 1
    assert samples.run(callers("auto")) == 0


def test_it_reads_the_one_file_and_no_other(source: Path, tmp_path: Path, landlock: None) -> None:
    other = tmp_path / "other"
    other.write_text("another file")
    code = f"""
        def read(path):
            try: return open(path).read()
            except OSError as error: return type(error).__name__
        print(read("/proc/self/fd/0"), read({str(other)!r}), read("/proc/{os.getpid()}/cmdline"), sep="; ")
    """
    assert told(code, source, "off").startswith("the file under analysis; another file; ")
    assert told(code, source) == "the file under analysis; PermissionError; PermissionError"


@pytest.mark.parametrize(
    "deed",
    [
        "os.unlink({path!r})",
        "os.rename({path!r}, {path!r} + '2')",
        "os.mkdir({path!r} + 's')",
        "os.listdir('/')",
        "os.truncate({path!r}, 0)",
        "os.chmod({path!r}, 0)",
        "os.utime({path!r})",
        "os.kill({process}, 0)",
        "os.pidfd_open({process})",
        "resource.prlimit({process}, resource.RLIMIT_CPU)",
        "subprocess.run(['unshare', '--user', 'true'], check=True)",
    ],
)
def test_what_it_may_not_do(deed: str, source: Path, landlock: None, seccomp: None) -> None:
    """Whatever is tried succeeds for root, and for the owner of the file, where it is not refused."""
    deed = deed.format(path=str(source), process=os.getpid())
    code = f"""
        import os, resource, subprocess
        try: {deed}
        except (OSError, subprocess.CalledProcessError): print("refused")
        else: print("done")
    """
    assert told(code, source) == "refused"
    assert source.read_text() == "the file under analysis"


def test_threads_are_no_processes(source: Path) -> None:
    code = "import threading; t = threading.Thread(target=print, args=('a thread',)); t.start(); t.join()"
    assert told(code, source) == "a thread"


def test_an_abort_is_the_files_fault_still(source: Path) -> None:
    with pytest.raises(BadVideo, match="broke down"):
        told("import os; os.abort()", source)


def test_the_server_is_not_confined(source: Path, tmp_path: Path) -> None:
    told("print(1)", source)
    (tmp_path / "written").write_text("by this process")
    socket.socket().close()


def test_a_stray_that_holds_the_pipes_holds_nobody_up(source: Path) -> None:
    code = """
        import os, time
        told, tell = os.pipe()
        if os.fork():
            os.read(told, 1)  # not before the other has left: the group is killed when this one ends
            print("decoded", os.getpid(), flush=True)
        else:
            os.setsid() if {leaves} else None
            os.write(tell, b"1")
            time.sleep(1000)
    """
    for leaves in (False, True):
        said = told(code.format(leaves=leaves), source)
        assert said.startswith("decoded")
        for _ in range(SECONDS * 10):  # who was killed is there for a moment still
            if leaves or not strays():
                break
            time.sleep(0.1)
        assert bool(strays()) == leaves
        for stray in strays():
            os.kill(stray, signal.SIGKILL)


def strays() -> list[int]:
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if b"time.sleep(1000)" in cmdline(p)]


def cmdline(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_required_is_refused_where_something_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = isolation.Isolation(0, True, ("no Landlock: Function not implemented",))
    monkeypatch.setattr(isolation, "found", lambda: lacking)
    isolation.check("auto")
    isolation.check("off")
    with pytest.raises(VeracityError, match=r"VERACITY_DECODER_ISOLATION is required.*seccomp; no Landlock"):
        isolation.check("required")


@pytest.mark.parametrize("isolated", ["auto", "off"])
def test_ffmpeg_dies_with_a_process_that_is_killed(isolated: str, tmp_path: Path) -> None:
    film = tmp_path / "film.gif"
    film.write_bytes(samples.gif(64, 64, 4000))
    code = f"""
        import asyncio
        from veracity.media import Limits
        from veracity.media.sandbox import running
        async def decode():
            command = [{str(find_ffmpeg())!r}, "-v", "error", "-re", "-i", "file:/proc/self/fd/0", "-f", "null", "-"]
            with open({str(film)!r}, "rb") as file:
                async with running(command, file.fileno(), Limits(isolation={isolated!r})) as child:
                    print(child._process._process.pid, flush=True)
                    await child.end()
        asyncio.run(decode())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        decoder = int(parent.stdout.readline())
        handle = os.pidfd_open(decoder)
        try:
            while Path(f"/proc/{decoder}/comm").read_text().strip() != "ffmpeg":
                pass
            assert not select.select([handle], [], [], 0)[0]  # it plays 400 seconds, in real time, and writes nothing
            parent.kill()
            assert select.select([handle], [], [], SECONDS)[0]
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
