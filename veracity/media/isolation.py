"""What a decoder may do to this system: Landlock and seccomp, put on the thread that starts it.

Both hold for one thread and all that it starts. They want no rights and no further program at each start (1.5 ms), and
work in ordinary containers, which forbid the namespaces that bubblewrap is made of. Landlock leaves a decoder its
libraries and the one file; seccomp refuses what no decoder asks of the system, sockets above all. A decoder that works
on a GPU has :class:`Grants`.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from veracity import log
from veracity.media import landlock, seccomp
from veracity.media.scripts import script
from veracity_client.errors import VeracityError

Level = Literal["auto", "required", "off"]

SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")
LIBRARIES = ("av", "PIL", "pi_heif")  # of the scripts in this folder

logger = log.get(__name__)


@dataclass(frozen=True)
class Grants:
    """What a decoder that works on a device may use beyond its libraries and the one file.

    ``devices`` are patterns of names in /dev that it writes and controls, ``readable`` files and folders, ``variables``
    those of our environment that it sees. It also writes into its own folder of /proc, and listens on a Unix socket.
    """

    devices: tuple[str, ...]
    readable: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Our values of the variables, of those that are set."""
        return {name: os.environ[name] for name in self.variables if name in os.environ}


@dataclass(frozen=True)
class Isolation:
    """What this system allows: Landlock's version (0: none), seccomp, and why what is not there is not."""

    landlock: int
    seccomp: bool
    lacks: tuple[str, ...]

    def __str__(self) -> str:
        has = [f"Landlock {self.landlock}"] * bool(self.landlock) + ["seccomp"] * self.seccomp
        return "; ".join([" and ".join(has) or "neither Landlock nor seccomp", *self.lacks])


def check(level: Level) -> None:
    """Log what this system does not allow. Raises :class:`VeracityError` where it is required."""
    if level == "off":
        logger.warning("decoders are not isolated: VERACITY_DECODER_ISOLATION is off")
    elif found().lacks:
        if level == "required":
            raise VeracityError(f"VERACITY_DECODER_ISOLATION is required; this system has {found()}")
        logger.warning("decoders are isolated in part only", found=str(found()))


@functools.cache
def found() -> Isolation:
    """Try out what this system allows: once a process, in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_tried).result()


def confine(program: str, source: int) -> None:
    """Confine this thread, and all that it starts, for ever: to ``program`` and the open file ``source``.

    Whatever else runs in the thread is confined too, finalizers of other objects among it: let it do nothing else.
    Raises OSError where what was found fails all the same.
    """
    landlock.forbid_privileges()
    if found().landlock:
        landlock.restrict(found().landlock, _readable_by(program), source)
    if found().seccomp:
        seccomp.load()


def confined_from_within(program: str, grants: Grants) -> list[str]:
    """Return the command in front of one that runs ``program``, by which it confines itself to ``grants`` and that.

    It costs the start of a Python (30 ms), and it has to be so: what a process may do in its own folder of /proc can be
    said only once the folder is there.
    """
    devices = [str(path) for pattern in grants.devices for path in sorted(Path("/dev").glob(pattern))]
    return script(
        "confine_script.py", landlock=found().landlock, seccomp=found().seccomp,
        readable=[*_readable_by(program), *grants.readable], writable=[*devices, "/proc/self"],
    )  # fmt: skip


def _tried() -> Isolation:
    """Confine this thread and see whether what must not be possible is not."""
    lacks = []
    version, filtered = 0, False
    try:
        landlock.forbid_privileges()
        seccomp.load()
        _expect_refusal(lambda: socket.socket().close())
        filtered = True
    except OSError as error:
        lacks.append(f"no seccomp: {error.strerror or error}")
    try:
        version = landlock.version()
        landlock.restrict(version, (), -1)
        _expect_refusal(lambda: os.close(os.open("/proc/version", os.O_RDONLY)))
    except OSError as error:
        version = 0
        lacks.append(f"no Landlock: {error.strerror or error}")
    return Isolation(version, filtered, tuple(lacks))


def _expect_refusal(deed: Callable[[], None]) -> None:
    try:
        deed()
    except PermissionError:
        return
    raise OSError("it refuses nothing")


def _readable_by(program: str) -> tuple[str, ...]:
    return (*_readable(), program, *_libraries_of(program))


@functools.cache
def _readable() -> tuple[str, ...]:
    """Return the files and folders that every decoder may read: programs, libraries and our scripts."""
    specs = (importlib.util.find_spec(name) for name in LIBRARIES)
    folders = (str(Path(spec.origin).parent.parent) for spec in specs if spec is not None and spec.origin)
    return tuple(dict.fromkeys((*SYSTEM, sys.base_prefix, str(Path(__file__).parent), *folders)))


def _libraries_of(program: str) -> tuple[str, ...]:
    folder = Path(program).resolve().parent
    return (str(folder.parent / "lib"),) if folder.name == "bin" else ()
