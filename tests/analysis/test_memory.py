"""A file takes little memory, whatever it says of itself and however long: the peak of a real process."""

import asyncio
import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import media_samples
import pytest

from veracity import log
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.media import Source
from veracity.settings import Settings
from veracity_client.errors import VeracityError
from veracity_client.verdict import Options

BOUND = 200 << 20  # bytes over the process that has analysed an ordinary film of two million pixels
HOUR_BOUND = 700 << 20  # an hour of sound is 115 MB, and three ways to hear it are held
RESET_PEAK = "5"  # proc(5), clear_refs


def sound(channels: int, rate: int, seconds: float) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        target = folder / "sound.wav"
        with wave.open(str(target), "wb") as file:
            file.setparams((channels, 1, rate, 0, "NONE", ""))
            file.writeframes(bytes(range(100, 150)) * int(channels * rate * seconds / 50 + 1))
        return target.read_bytes()

    return make


def hour(folder: Path) -> bytes:
    """Return an hour of two channels that say different things, half a minute again and again, and a tiny picture."""
    voice = media_samples.speech(folder, 30)
    apart = ("-filter_complex", "[0]adelay=11000[late];[late][1]join=inputs=2:channel_layout=stereo,atrim=end=30")
    both = media_samples.write(folder / "both.wav", "-i", voice, "-i", voice, *apart, "-ar", 8000, "-c:a", "pcm_u8")
    tiny = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=1:duration=3600", *media_samples.H264)
    repeated = ("-stream_loop", -1, "-i", both)
    target = folder / "hour.mkv"
    return media_samples.write(target, *repeated, *tiny, "-c:a", "copy", "-t", 3600).read_bytes()


def animation(suffix: str, *codec: object) -> Callable[[Path], bytes]:
    """Return a film of 15 pictures of 16 million pixels in few bytes."""

    def make(folder: Path) -> bytes:
        flat = ("-f", "lavfi", "-i", "color=red:s=4000x4000:r=5:d=3", "-vf", "hue=h=t*50")
        return media_samples.write(folder / f"film.{suffix}", *flat, *codec).read_bytes()

    return make


FILES: dict[str, Callable[[Path], bytes]] = {
    "1x8000": lambda _: media_samples.png(1, 8000),
    "1x30000": lambda _: media_samples.png(1, 30_000),
    "1x65535": lambda _: media_samples.png(1, 65_535),
    "65535x1": lambda _: media_samples.png(65_535, 1),
    "30000x2": lambda _: media_samples.png(30_000, 2),
    "1x1900000": lambda _: media_samples.png(1, 1_900_000),
    "a canvas of 35 million pixels": lambda _: media_samples.gif(8192, 4320, 12),
    "an animated WebP": animation("webp", "-c:v", "libwebp_anim", "-quality", 10, "-compression_level", 0),
    "255 channels": sound(255, 16_000, 5),
    "one sample a second": sound(1, 1, 900),
    "384 kHz": sound(2, 384_000, 5),
}


@pytest.mark.slow
def test_a_small_file_takes_little_memory(full_repository: Path, settings: Settings, tmp_path: Path) -> None:
    peaks = peaks_of(FILES, full_repository, settings, tmp_path)
    assert {name: peak for name, peak in peaks.items() if peak > BOUND} == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_hour_takes_bounded_memory(full_repository: Path, settings: Settings, tmp_path: Path) -> None:
    assert peaks_of({"an hour": hour}, full_repository, settings, tmp_path)["an hour"] < HOUR_BOUND


def peaks_of(
    files: dict[str, Callable[[Path], bytes]], repository: Path, settings: Settings, folder: Path
) -> dict[str, int]:
    """By how many bytes each file raised the peak of a process that had analysed an ordinary film."""
    media_samples.talking(folder, size="1440x1440").rename(folder / "ordinary.mp4")
    for number, (name, make) in enumerate(files.items()):
        (folder / f"{number} {name}").write_bytes(make(folder))
    command = [sys.executable, __file__, str(repository), str(settings.weights), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(media_samples.__file__).parent)}
    environment["MALLOC_ARENA_MAX"] = "1"  # else what is freed stays with each thread, by which of them ran when
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    peaks: dict[str, int] = json.loads(done.stdout)
    assert peaks.keys() == files.keys()
    return peaks


def _memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def main(repository: Path, weights: Path, folder: Path) -> None:
    """Analyse an ordinary film and then each file; print by how much each raised the peak."""
    log.configure("error")
    context = AnalysisContext.from_settings(Settings(model_repository=repository, weights=weights))
    infer = LocalInfer(repository, threads=1)

    def ask(content: bytes) -> None:
        try:
            asyncio.run(analyze(Source(content), infer, Options(policy="exhaustive"), context))
        except VeracityError as error:
            sys.stderr.write(f"{error!r}\n")

    ask((folder / "ordinary.mp4").read_bytes())
    idle, peaks = _memory("VmRSS"), {}
    for file in sorted(folder.glob("[0-9]* *"), key=lambda file: int(file.name.split()[0])):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        ask(file.read_bytes())
        peaks[file.name.split(maxsplit=1)[1]] = _memory("VmHWM") - idle
    sys.stdout.write(json.dumps(peaks))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
