"""NVDEC as far as a machine without a GPU goes: the filters around it, what is said where it is not, its sandbox."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import decoder_clips
import media_samples as samples
import numpy as np
import pytest
from structlog.testing import capture_logs

from veracity.analysis.context import AnalysisContext
from veracity.catalog import tensorrt
from veracity.install import doctor
from veracity.media import Frame, Limits, isolation
from veracity.media.decoders import CUDA, FFMPEG, GPU, Decoder
from veracity.media.ffmpeg import find_ffmpeg, pips_ffmpeg
from veracity.media.sandbox import MIB, running
from veracity.server import Server
from veracity.settings import Settings
from veracity_client.errors import NoFrames, VeracityError

WITHOUT_GPU = pytest.mark.skipif(bool(tensorrt.gpus()), reason="this machine has a GPU")
OPTIONS = ("-noauto_conversion_filters",)
# Pictures as NVDEC hands them over, made of ffmpeg's own; and the filters of NVDEC around ffmpeg's own pictures.
DOWNLOADED = replace(CUDA, options=OPTIONS, first=("scale=eval=frame", *CUDA.first), grants=None)
SOFTWARE = replace(CUDA, options=OPTIONS, grants=None)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoder-clips")


def decoded(clip: Path, decoder: Decoder, size: tuple[int, int] | None = None) -> list[Frame]:
    return samples.run(decoder_clips.decoded(clip, decoder, size))


def same(some: list[Frame], others: list[Frame]) -> bool:
    return len(some) == len(others) > 0 and all(np.array_equal(a.image, b.image) for a, b in zip(some, others))


@pytest.mark.parametrize("name", decoder_clips.CLIPS)
def test_what_nvdec_hands_over_becomes_the_same_frames(folder: Path, name: str) -> None:
    clip = decoder_clips.make(folder, name)
    with capture_logs() as logs:
        assert same(decoded(clip, DOWNLOADED), decoded(clip, FFMPEG))
    assert not [line for line in logs if line["log_level"] == "warning"]


def test_that_ffmpeg_takes_the_cpu_is_said(folder: Path) -> None:
    """As it does for kinds of pictures that NVDEC does not know, H.264 of 4:2:2 among them."""
    clip = decoder_clips.make(folder, "h264")
    with capture_logs() as logs:
        assert same(decoded(clip, SOFTWARE, (64, 36)), decoded(clip, FFMPEG, (64, 36)))
    (line,) = [line for line in logs if line["log_level"] == "warning"]
    assert (line["event"], line["decoder"], line["codec"]) == ("pictures are decoded on the CPU", "cuda", "h264")
    assert "do not have a common format" in line["said"]


@WITHOUT_GPU
def test_a_gpu_that_is_gone_costs_no_verdict(folder: Path) -> None:
    clip = decoder_clips.make(folder, "h264")
    with capture_logs() as logs:
        assert same(decoded(clip, CUDA), decoded(clip, FFMPEG))
    assert any("pictures are decoded on the CPU" in line["event"] and line["said"] for line in logs)


def test_other_codecs_are_decoded_on_the_cpu_at_once(folder: Path) -> None:
    still = samples.write(folder / "still.png", *samples.picture(), "-frames:v", 1)
    with capture_logs() as logs:
        assert same(decoded(still, CUDA), decoded(still, FFMPEG))
    assert [(line["log_level"], line["codec"]) for line in logs] == [("info", "png")]


def test_a_damaged_file_is_the_files_fault(folder: Path) -> None:
    content = decoder_clips.make(folder, "h264").read_bytes()
    start = content.index(b"mdat") + 4
    length = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    (folder / "damaged.mp4").write_bytes(content[:start] + bytes(length) + content[start + length :])
    with pytest.raises(NoFrames, match="damaged, cut short or encrypted"):
        decoded(folder / "damaged.mp4", SOFTWARE)


@WITHOUT_GPU
@pytest.mark.parametrize("level", ["auto", "off"])
def test_a_machine_without_a_gpu_is_told_before_anything_starts(level: str) -> None:
    settings = Settings(decoder="cuda", ffmpeg=pips_ffmpeg(), decoder_isolation=level)
    for start in (Server.from_settings, AnalysisContext.from_settings):
        with pytest.raises(VeracityError, match=r"^VERACITY_DECODER=cuda needs an NVIDIA GPU with its driver$"):
            start(settings)
    (found,) = [finding for finding in doctor.examine(settings, graphs=False) if finding.what == "decoder"]
    assert (found.state, found.fatal) == ("missing", True)
    assert found.detail == "VERACITY_DECODER=cuda needs an NVIDIA GPU with its driver"


def test_a_trial_that_cannot_even_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VeracityError, match=r"prlimit is missing.*apt-get install util-linux"):
        AnalysisContext.from_settings(Settings(decoder="cuda", ffmpeg=old))


def test_an_ffmpeg_that_is_too_old_is_told(tmp_path: Path) -> None:
    """In the words of Debian 12's."""
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho 'Error setting option apply_cropping to value all.' >&2; exit 1\n")
    old.chmod(0o755)
    with pytest.raises(VeracityError, match=rf"needs an ffmpeg of version 7\.1 .*: VERACITY_FFMPEG={pips_ffmpeg()}$"):
        AnalysisContext.from_settings(Settings(decoder="cuda", ffmpeg=old))
    old.write_text("#!/bin/sh\necho 'cuInit(0) failed -> CUDA_ERROR_OPERATING_SYSTEM' >&2; exit 1\n")
    with pytest.raises(
        VeracityError, match=r"decodes nothing here: cuInit\(0\) failed.*VERACITY_DECODER_ISOLATION=off"
    ):
        AnalysisContext.from_settings(Settings(decoder="cuda", ffmpeg=old))


def test_ffmpeg_itself_needs_nothing_more() -> None:
    assert FFMPEG.grants is None
    assert FFMPEG.takes("mpeg4")
    assert "decoder" not in {finding.what for finding in doctor.examine(Settings(), graphs=False)}


# The sandbox, with devices that every machine has


@pytest.fixture
def isolated() -> None:
    if isolation.found().lacks:
        pytest.skip(f"this system does not isolate: {isolation.found()}")


def told(code: str, grants: isolation.Grants | None) -> list[str]:
    """Run Python code as a decoder of nothing; return the lines that it prints. ``tried`` says what comes of a deed."""
    head = """
        import os, resource, socket, threading
        def tried(deed):
            try: deed()
            except OSError as error: print(type(error).__name__, error.errno)
            else: print("done")
    """

    async def run(source: int) -> list[str]:
        command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(head) + textwrap.dedent(code)]
        async with running(command, source, Limits(memory_bytes=999 * MIB), grants) as child:
            output = await child.rest(MIB)
            assert not await child.end()
            return output.decode().splitlines()

    with Path("/dev/null").open("rb") as file:
        return samples.run(run(file.fileno()))


def test_devices_are_there_only_where_they_are_granted(isolated: None) -> None:
    full = "tried(lambda: os.write(os.open('/dev/full', os.O_WRONLY), b'x'))"  # which is always full: ENOSPC
    assert told(full, None) == ["PermissionError 13"]
    assert told(full, GPU) == ["PermissionError 13"]
    assert told(full, isolation.Grants(devices=("ful?",))) == ["OSError 28"]
    control = "import fcntl; tried(lambda: fcntl.ioctl(os.open('/dev/urandom', os.O_RDONLY), 0x80045200, bytes(4)))"
    assert told(control, isolation.Grants(devices=("urandom",))) == ["done"]
    if isolation.found().landlock >= 5:  # which knows of control
        assert told(control, GPU) == ["PermissionError 13"]  # only to read


def test_it_names_its_threads_and_changes_no_other_process(isolated: None, tmp_path: Path) -> None:
    code = """
        def name(path):
            with open(path, "w") as file: file.write("a thread")
        work = lambda: tried(lambda: name(f"/proc/self/task/{threading.get_native_id()}/comm"))
        thread = threading.Thread(target=work); thread.start(); thread.join()
        tried(lambda: name("/proc/%d/comm" % os.getppid()))
        tried(lambda: open("/proc/%d/environ" % os.getppid()).read())
        tried(lambda: open("/proc/%d/cmdline" % os.getppid()).read())
    """
    refused = "PermissionError 13"
    assert told(code, GPU) == ["done", refused, refused, refused]
    assert told(code, None) == [refused] * 4
    other = f"tried(lambda: open({str(tmp_path)!r} + '/file', 'w')); tried(lambda: open('/etc/passwd'))"
    assert told(other, GPU) == [refused, refused]


def test_it_may_listen_and_reach_nobody(isolated: None) -> None:
    code = """
        name = "\\0decoder-%d" % os.getpid()
        def listen(kind, family=socket.AF_UNIX):
            heard = socket.socket(family, kind)
            heard.bind(name)
            heard.listen()
            return heard
        tried(lambda: listen(socket.SOCK_SEQPACKET))
        tried(lambda: listen(socket.SOCK_SEQPACKET).accept())
        tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(name))
        tried(lambda: listen(socket.SOCK_STREAM))
        tried(lambda: listen(socket.SOCK_DGRAM))
        tried(lambda: listen(socket.SOCK_STREAM, socket.AF_INET))
        tried(lambda: socket.socketpair())
        tried(lambda: os.kill(os.getppid(), 0))
    """
    refused = "PermissionError 1"
    assert told(code, GPU) == ["done", *[refused] * 7]
    assert told(code, None) == [refused] * 8


def test_its_memory_is_bounded_by_what_it_fills_not_by_what_it_reserves(isolated: None) -> None:
    code = """
        import mmap
        print(*[resource.getrlimit(k)[0] for k in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_NOFILE)])
        reserved = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=0)
        print(len(reserved) >> 40)
        try: bytearray(1 << 30)
        except MemoryError: print("MemoryError")
    """
    assert told(code, GPU) == [f"-1 {999 * MIB} 1024", "1", "MemoryError"]


def test_it_sees_which_gpu_it_is_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    code = "print(os.environ.get('CUDA_VISIBLE_DEVICES'), 'AWS_SECRET_ACCESS_KEY' in os.environ)"
    assert told(code, GPU) == ["MIG-1 False"]
    assert told(code, None) == ["None False"]


def test_nvdecs_arguments_are_a_real_ffmpegs(folder: Path) -> None:
    """Each option and filter is known to it: what it lacks is the driver alone."""
    assert find_ffmpeg(pips_ffmpeg())
    with capture_logs() as logs:
        decoded(decoder_clips.make(folder, "hdr"), CUDA)
    said = "".join(line.get("said", "") for line in logs)
    assert not any(word in said for word in ("Unrecognized", "No such filter", "Error parsing filterchain"))
