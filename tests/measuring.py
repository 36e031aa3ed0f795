"""Clips to measure on, made on the spot, and the commands that measure."""

import csv
import shutil
from pathlib import Path

import media_samples

from benchmarks.__main__ import main

LAYERS = ["1_audio", "2_visual", "3_lipsync", "4_semantic"]


def manifest(folder: Path, rows: list[tuple[str, str]], name: str = "clips.csv") -> Path:
    with (folder / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "label", "split", "path"))
        writer.writerows((f"<{path}>", label, "test", path) for path, label in rows)
    return folder / name


def make(folder: Path, talking: Path) -> Path:
    """A talking head, a film without sound or face, a voice, a tone, a picture, and what is no media at all."""
    shutil.copy(talking, folder / "talking.mp4")
    media_samples.write(folder / "bars.mp4", *media_samples.picture(1), *media_samples.H264)
    shutil.copy(media_samples.speech(folder / "made"), folder / "voice.wav")
    media_samples.write(folder / "tone.wav", *media_samples.tone(1))
    (folder / "still.png").write_bytes(media_samples.png(320, 180))
    (folder / "broken.mp4").write_bytes(b"no media at all" * 100)
    return folder


def listed(media: Path) -> Path:
    labels = {"talking.mp4": "1", "bars.mp4": "0", "voice.wav": "real", "tone.wav": "0", "still.png": "1"}
    return manifest(media, [*labels.items(), ("broken.mp4", "0")])


def measured(command: str, *arguments: str | Path) -> int:
    return main([command, *map(str, arguments)])
