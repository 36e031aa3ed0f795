"""Makes the sample clip: a synthetic voice over a moving photograph. An honest fake, made on the spot.

The face is Eileen Collins's portrait (NASA, public domain) out of the scikit-image wheel, the voice is espeak-ng's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veracity_client.errors import ModelUnavailable, VeracityError

WORDS = (
    "Good evening. This is a sample for a deepfake detector. My voice was made by a machine, "
    "and my picture is a photograph that somebody moves before the camera. "
    "Nothing that you hear was ever said by the person that you see."
)


@dataclass(frozen=True)
class Clip:
    """What to make: pixels, seconds, the bits a second of its H.264 picture, and which of espeak-ng's voices speaks."""

    width: int = 1280
    height: int = 720
    seconds: float = 10.0
    bitrate: int = 4_000_000
    voice: str = "en-us"


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``sample``."""
    parser = commands.add_parser("sample", help="make a sample clip: espeak-ng's voice over a moving photograph")
    parser.add_argument("file", type=Path)
    parser.set_defaults(command=_sample)


def _sample(args: argparse.Namespace) -> int:
    from veracity.catalog.assets import PORTRAIT_FILE
    from veracity.media import find_ffmpeg
    from veracity.settings import Settings

    settings = Settings.from_env()
    make_sample(args.file, settings.weights / PORTRAIT_FILE, find_ffmpeg(settings.ffmpeg))
    return 0


def make_sample(target: Path, portrait: Path, ffmpeg: Path, clip: Clip = Clip()) -> Path:
    """Write an MP4 (H.264, AAC, 25 fps). Raises :class:`VeracityError` that says what is missing and how to get it."""
    if not portrait.is_file():
        raise ModelUnavailable(f"the sample's portrait {portrait.name} is not installed: veracity weights fetch")
    speaker = shutil.which("espeak-ng")
    if speaker is None:
        raise VeracityError("the sample's voice needs espeak-ng: apt-get install -y espeak-ng; or give a clip of yours")
    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        _run([speaker, "-v", clip.voice, "-s", "165", "-w", str(voice), WORDS])
        part = target.with_name(target.name + ".part.mp4")
        _run([str(ffmpeg), *_arguments(portrait, voice, clip), str(part)])
        part.replace(target)
    return target


def _arguments(portrait: Path, voice: Path, clip: Clip) -> list[str]:
    """Zoom and pan over the portrait before a blurred copy of it; the noise makes it cost what video costs."""
    w, h = clip.width, clip.height
    picture = (
        f"[0:v]scale=-2:{2 * h},setsar=1,zoompan=z='1.05+0.05*sin(on/25)':x='iw*0.02*(1+sin(on/17))'"
        f":y='ih*0.02*(1+cos(on/23))':d=1:s={h}x{h}:fps=25[face];"
        f"[0:v]scale={w}:{h},boxblur=20,fps=25[back];"
        "[back][face]overlay=(W-w)/2:0,noise=alls=6:allf=t,setsar=1,format=yuv420p[v]"
    )
    return [
        "-nostdin", "-hide_banner", "-loglevel", "error", "-y",
        "-loop", "1", "-framerate", "25", "-i", str(portrait), "-i", str(voice),
        "-filter_complex", picture, "-map", "[v]", "-map", "1:a", "-af", "apad", "-t", f"{clip.seconds}",
        "-c:v", "libx264", "-preset", "veryfast", "-b:v", str(clip.bitrate), "-c:a", "aac", "-movflags", "+faststart",
    ]  # fmt: skip


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise VeracityError(f"{Path(command[0]).name} could not make the sample: {last}")
