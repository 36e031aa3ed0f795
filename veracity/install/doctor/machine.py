"""The machine and its programs: ffmpeg, Triton, GPU, space."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from veracity.catalog.profiles import served
from veracity.catalog.provenance import GRAPH
from veracity.install.doctor.finding import Finding
from veracity.media import Limits, find_ffmpeg, isolation, trial
from veracity.media.decoders import CUDA
from veracity.media.ffmpeg import FORMATS
from veracity.media.sandbox import MIB, DecoderLost, running
from veracity.media.scripts import script
from veracity.server import accelerators
from veracity.server.binaries import check_stub, find_tritonserver
from veracity.server.proxy.process import find_envoy
from veracity.server.reaper import SHARED_MEMORY
from veracity.settings import Settings
from veracity_client.errors import VeracityError

# codec → the decoders of ffmpeg that read it without special hardware; its own "av1" is hardware alone
DECODERS = {
    "h264": ("h264",), "hevc": ("hevc",), "vp8": ("vp8", "libvpx"), "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1", "libgav1"), "mpeg4": ("mpeg4",), "mjpeg": ("mjpeg",),
    "aac": ("aac", "libfdk_aac"), "opus": ("opus", "libopus"), "vorbis": ("vorbis", "libvorbis"),
    "mp3": ("mp3", "mp3float"), "flac": ("flac",), "pcm": ("pcm_s16le",),
}  # fmt: skip
LEAST_DISK = 1 << 30  # bytes: run directories, and a fetched file beside the one it replaces
LEAST_MEMORY = 2 << 30  # bytes: 0.9 GiB of processes, measured, and the frames of four videos; the graphs come on top
VIDEOS = 4  # under way at once: as many as deepfake_detector has instances
CGROUP = Path("/sys/fs/cgroup")
LONGEST = 60.0  # seconds that a program may take to say what it is; a driver that hangs never lets nvidia-smi end


def examine(settings: Settings) -> Iterator[Finding]:
    """Examine what is not Python's and not a model's."""
    for check in (_ffmpeg, _isolation, _triton, _gpu, _decoder, _space):
        yield from check(settings)


def _ffmpeg(settings: Settings) -> Iterator[Finding]:
    try:
        ffmpeg = find_ffmpeg(settings.ffmpeg)
        output = _said(str(ffmpeg), "-hide_banner", "-decoders")
    except (VeracityError, OSError, subprocess.SubprocessError) as error:
        yield Finding("ffmpeg", "broken", str(error), True)
        return
    yield Finding("ffmpeg", "ok", f"{ffmpeg}, {_said(str(ffmpeg), '-version').partition(' Copyright')[0]}")
    known = {line.split()[1] for line in output.splitlines() if len(line.split()) > 1}
    lacks = [codec for codec, decoders in DECODERS.items() if not known.intersection(decoders)]
    output = f"lacks {', '.join(lacks)}: files with them are refused" if lacks else " ".join(DECODERS)
    yield Finding("decoders", "warning" if lacks else "ok", output, len(lacks) == len(DECODERS))
    for program in ("prlimit", "setpriv"):
        path = shutil.which(program)
        yield Finding(program, "ok" if path else "missing", path or "apt-get install -y util-linux", not path)


def _isolation(settings: Settings) -> Iterator[Finding]:
    """What decoders are isolated by, and whether they run so."""
    level, found = settings.decoder_isolation, isolation.found()
    if level == "off":
        yield Finding("decoder isolation", "optional", "VERACITY_DECODER_ISOLATION is off")
    elif found.lacks and level == "required":
        yield Finding("decoder isolation", "missing", str(found), True)
    elif fault := asyncio.run(_isolation_fault(settings)):
        yield Finding("decoder isolation", "broken", f"{fault}; VERACITY_DECODER_ISOLATION=off does without", True)
    else:
        yield Finding("decoder isolation", "optional" if found.lacks else "ok", str(found))


async def _isolation_fault(settings: Settings) -> str:
    """Return what keeps ffmpeg or our scripts from running isolated; nothing where they run."""
    with tempfile.TemporaryFile() as empty:
        try:
            inspect = script("inspect_script.py", "av", formats=FORMATS, max_pixels=1, max_packets=1)
            for command in ([str(find_ffmpeg(settings.ffmpeg)), "-version"], inspect):
                async with running(command, empty.fileno(), Limits()) as child:
                    output, said = await child.rest(MIB), await child.end()
                if not output:
                    return f"{command[0]} does not run isolated: {(said.splitlines() or ['it says nothing'])[0]}"
        except (VeracityError, DecoderLost) as error:
            return f"decoders do not run isolated: {error}"
    return ""


def _triton(settings: Settings) -> Iterator[Finding]:
    try:
        yield Finding("tritonserver", "ok", str(find_tritonserver(settings.triton)))
    except VeracityError as error:
        yield Finding("tritonserver", "missing", error.message, True)
    try:
        version = _said(find_envoy(), "--version").rpartition("version: ")[2]
        yield Finding("envoy", "ok", f"{find_envoy()}, {version.split('/')[1]}")
    except (VeracityError, OSError, subprocess.SubprocessError) as error:
        yield Finding("envoy", "broken", str(error), True)
    if settings.triton is not None:
        return
    try:
        check_stub()
        yield Finding("libpython", "ok", "the embedded Triton's Python stub links")
    except VeracityError as error:
        yield Finding("libpython", "missing", error.message, True)


def _gpu(settings: Settings) -> Iterator[Finding]:
    """The graphics cards and their driver, and whether this Triton can do with them what was asked for."""
    try:
        found = _said("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
        yield from (Finding("gpu", "ok", f"{line} (name, driver, memory)") for line in found.splitlines())
    except FileNotFoundError:
        yield Finding("gpu", "optional", "no nvidia-smi here: models run on the CPU")
    except subprocess.TimeoutExpired:
        yield Finding("gpu", "broken", f"its driver does not answer: nvidia-smi took over {LONGEST:g} s")
    except (OSError, subprocess.CalledProcessError) as error:
        output = (getattr(error, "stdout", "") or str(error)).strip().splitlines()[0]
        yield Finding("gpu", "broken", f"its driver does not answer: {output}")
    if settings.model_config_name:
        yield _accelerator(settings)


def _accelerator(settings: Settings) -> Finding:
    try:
        accelerators.check(settings.model_config_name, find_tritonserver(settings.triton).parent.parent / "backends")
    except VeracityError as error:
        return Finding("accelerator", "missing", error.message, True)
    return Finding("accelerator", "ok", settings.model_config_name)


def _decoder(settings: Settings) -> Iterator[Finding]:
    """Whether NVDEC decodes, where it is chosen."""
    if settings.decoder != CUDA.name:
        return
    try:
        trial.check(settings)
    except VeracityError as error:
        yield Finding("decoder", "missing", error.message, True)
    else:
        yield Finding("decoder", "ok", f"cuda: {' '.join(CUDA.codecs or ())}; the others are decoded on the CPU")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST).stdout.strip()


def _space(settings: Settings) -> Iterator[Finding]:
    repository = settings.model_repository if settings.model_repository.exists() else Path.cwd()
    files = [repository / name / GRAPH for name in served(settings.profile, settings.models)]
    graphs = sum(file.stat().st_size for file in files if file.is_file())
    yield _enough("disk", shutil.disk_usage(repository).free, LEAST_DISK, f"at {repository}")
    temporary = tempfile.gettempdir()
    yield _enough("temporary files", shutil.disk_usage(temporary).free, LEAST_DISK, f"at {temporary}")
    share = VIDEOS * settings.max_bytes
    yield _enough(
        "shared memory", shutil.disk_usage(SHARED_MEMORY).free, share, f"at {SHARED_MEMORY} (docker run --shm-size)"
    )
    yield _enough("memory", _memory(), LEAST_MEMORY + graphs, "for processes and graphs")


def _enough(what: str, free: int, least: int, where: str) -> Finding:
    return Finding(
        what, "ok" if free >= least else "warning", f"{free >> 20:,} MiB free {where}; {least >> 20:,} wanted"
    )


def _memory() -> int:
    """Return the bytes that the machine has left, or what is left of the container's share where that is less."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    machine = int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) << 10
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:  # no container, or control groups of the first version
        return machine
    return machine if limit == "max" else min(machine, int(limit) - int(used))
