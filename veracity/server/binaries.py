"""Find a tritonserver, and for the one of the pip wheel make a backends directory that serves our model repository."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from veracity_client.errors import ServerUnavailable

WHEEL = "nvidia-pytriton"
CONTAINER = Path("/opt/tritonserver")  # where NVIDIA's images have it
PYTHONS = ("3.10", "3.11", "3.12")
OUR_BACKENDS = Path(__file__).parent / "backends"
CANNOT_LINK = 127  # exit status of a program whose shared libraries are not found


@dataclass(frozen=True)
class Binaries:
    """A tritonserver ready to be started."""

    server: Path
    backends: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def backends_in_python(self) -> set[str]:
        """The backends whose models have processes of their own: Triton's Python backend, and those written for it."""
        return {"python", *(code.parent.name for code in self.backends.glob("*/model.py"))}


def find(directory: Path | None, run_dir: Path) -> Binaries:
    """Find the server: in ``directory``, else pip's wheel, else NVIDIA's image.

    NVIDIA's own tree is used as it is. For the wheel's, a backends directory is copied into ``run_dir``, since Triton
    refuses links that leave it. Raises :class:`ServerUnavailable` that says what to install.
    """
    server = find_tritonserver(directory)
    wheel = _wheel()
    if wheel is None or directory is not None:
        return Binaries(
            server, server.parent.parent / "backends", {"PYTHONPATH": os.pathsep.join(python_path(sys.path))}
        )
    check_stub(wheel)
    python = _make_environment(run_dir / "python")
    path = os.pathsep.join((str(python), os.environ.get("PATH", os.defpath)))
    return Binaries(server, _copy_backends(wheel, run_dir / "backends"), {"PATH": path, **_linking(wheel)})


def find_tritonserver(directory: Path | None = None) -> Path:
    """Return the program, in the order of :func:`find`; raises :class:`ServerUnavailable`."""
    wheel = _wheel()
    if directory is None and wheel is not None:
        server = _root(wheel) / "bin" / "tritonserver"
        if not server.is_file():
            advice = f"pip install --force-reinstall {requirement(WHEEL)}"
            raise ServerUnavailable(f"{WHEEL} lacks its tritonserver: {advice}")
        return server
    if directory is None and not CONTAINER.is_dir():
        raise ServerUnavailable(f"no tritonserver found: pip install {requirement(WHEEL)}, or set VERACITY_TRITON")
    root = directory or CONTAINER
    server = root / "bin" / "tritonserver"
    if not server.is_file() or not (root / "backends").is_dir():
        raise ServerUnavailable(f"{root} has no bin/tritonserver or no backends: correct VERACITY_TRITON")
    return server


def check_stub(wheel: Path | None = None) -> None:
    """Start the wheel's Python stub without arguments: the loader names a missing library before any code runs.

    ``wheel`` is the ``site-packages`` that has it; None searches for it, and checks nothing where there is none.
    Raises :class:`ServerUnavailable` with the apt line.
    """
    wheel = wheel or _wheel()
    if wheel is None:
        return
    env = {**os.environ, **_linking(wheel)}
    run = subprocess.run([_stub(wheel)], env=env, capture_output=True, text=True, check=False)
    missing = re.search(r"loading shared libraries: ([^:\s]+)", run.stderr)
    if run.returncode != CANNOT_LINK or missing is None:
        return
    library = missing[1]
    advice = f"apt-get install -y libpython{_version()}" if library.startswith("libpython") else f"install {library}"
    raise ServerUnavailable(f"the embedded Triton needs {library}, which this system lacks: {advice}")


def python_path(entries: list[str]) -> list[str]:
    """Return ``entries`` of ``sys.path`` without the standard library, which the stub has itself."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    paths = [Path(entry or Path.cwd()) for entry in entries]
    kept = [p for p in paths if str(p) not in standard and p.name != "lib-dynload" and p.is_dir()]
    return list(dict.fromkeys(str(p.absolute()) for p in kept))


def _wheel() -> Path | None:
    """Return the ``site-packages`` that has the wheel. Its package is never imported: only binaries are used."""
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(str(distribution.locate_file("")))


def requirement(wheel: str) -> str:
    """Return a wheel with the version that this package is made for."""
    with suppress(importlib.metadata.PackageNotFoundError):  # run from its source, not installed
        required = importlib.metadata.requires("veracity") or ()
        return next((entry.partition(";")[0] for entry in required if entry.startswith(wheel)), wheel)
    return wheel


def _version() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _root(wheel: Path) -> Path:
    return wheel / "pytriton" / "tritonserver"


def _stub(wheel: Path) -> Path:
    stub = _root(wheel) / "python_backend_stubs" / _version() / "triton_python_backend_stub"
    if _version() not in PYTHONS or not stub.is_file():
        raise ServerUnavailable(f"the embedded Triton runs with Python {', '.join(PYTHONS)}; this is {_version()}")
    return stub


def _copy_backends(wheel: Path, into: Path) -> Path:
    shutil.copytree(OUR_BACKENDS, into, ignore=shutil.ignore_patterns("__pycache__"))
    theirs, ours = _root(wheel) / "backends" / "python", into / "python"
    ours.mkdir()
    for source in (theirs / "libtriton_python.so", theirs / "triton_python_backend_utils.py", _stub(wheel)):
        shutil.copy2(source, ours)
    return into


def _make_environment(into: Path) -> Path:
    """Make a virtual environment that sees what this interpreter sees; returns its ``bin``.

    The wheel's stub isolates its interpreter and so ignores PYTHONPATH, but it uses the virtual environment of the
    first ``python3`` on PATH.
    """
    packages = into / "lib" / f"python{_version()}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "veracity.pth").write_text("\n".join(python_path(sys.path)) + "\n")
    home = (
        Path(sys.base_prefix, "bin") if _own_libpython() else Path("/usr/bin")
    )  # a libpython needs its own standard library
    (into / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    (into / "bin").mkdir()
    (into / "bin" / "python3").symlink_to(Path(sys.base_prefix, "bin", f"python{_version()}"))
    return into / "bin"


def _own_libpython() -> Path | None:
    """Return the directory of this interpreter's shared library, where it was built with one."""
    directory, name = (sysconfig.get_config_var(key) for key in ("LIBDIR", "INSTSONAME"))
    return Path(directory) if directory and name and Path(directory, name).is_file() else None


def _linking(wheel: Path) -> dict[str, str]:
    """Return the variable by which server and stub find their libraries, this interpreter's own libpython first."""
    libraries = [_own_libpython(), wheel / "nvidia_pytriton.libs", os.environ.get("LD_LIBRARY_PATH")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(str(path) for path in libraries if path)}
