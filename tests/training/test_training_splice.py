"""Fake seconds in real speech are where the manifest says, and another real voice in their place is real."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from evaluation.manifest import read_clips
from evaluation.splicing import splice
from training.__main__ import main
from training.audio.spliced import PART, WHOLE
from veracity.catalog.layers import SAMPLE_RATE

HEAD = "path,kind,label,how,source,licence,use,notes,split\n"


def tone(hertz: float, seconds: float, loud: float) -> NDArray[np.int16]:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.asarray(loud * np.sin(2 * np.pi * hertz * time), np.int16)


def hertz(sound: NDArray[np.int16]) -> float:
    return float(np.abs(np.fft.rfft(sound)).argmax() * SAMPLE_RATE / len(sound))


def media(folder: Path, sources: int) -> Path:
    """Each source has a tone of its own in three recordings; the fake's is the highest."""
    rows = []
    for source in range(sources):
        for number in range(3):
            name = f"{source}-{number}.flac"
            soundfile.write(folder / name, tone(200 * (1 + source), 8, 8000), SAMPLE_RATE)
            rows.append(f"{name},audio,real,,s,CC0,permissive,source:source {source},test\n")
    soundfile.write(folder / "fake.flac", tone(3000, 9, 2000), SAMPLE_RATE)
    rows.append("fake.flac,audio,fake,a system,s,CC0,permissive,source:maker; system:Tone,test\n")
    (folder / "manifest.csv").write_text(HEAD + "".join(rows))
    return folder


def test_the_fake_seconds_are_the_fakes_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = media(tmp_path / "data", 2)
    assert main(["splice", "--data", str(data), "--vad", "energy", "--out", str(tmp_path / "out")]) == 0
    fake, real = sorted(read_clips(tmp_path / "out", ("audio",)), key=lambda clip: clip.label)
    ((start, end),) = fake.fake_seconds
    assert (fake.split, fake.maker, real.fake_seconds) == ("test", "Tone", ())
    assert end - start == pytest.approx(PART[1], abs=0.01)
    sound, _ = soundfile.read(fake.path, dtype="int16")
    whole = np.concatenate([sound[: int(start * SAMPLE_RATE)], sound[int(end * SAMPLE_RATE) :]])
    assert len(whole) >= WHOLE * SAMPLE_RATE
    assert hertz(sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]) == pytest.approx(3000, abs=1)
    assert hertz(whole) in (pytest.approx(200, abs=1), pytest.approx(400, abs=1))
    other, _ = soundfile.read(real.path, dtype="int16")
    another = hertz(other[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)])
    assert {round(hertz(whole), -1), round(another, -1)} == {200, 400}  # never its own voice
    assert real.source == fake.source  # held out together


def test_the_part_is_as_loud_as_the_rest() -> None:
    made = splice([tone(200, 12, 8000), tone(200, 12, 8000)], tone(900, 3, 500), WHOLE)
    part = made.sound[int(made.start * SAMPLE_RATE) : int(made.end * SAMPLE_RATE)]
    assert part.std() == pytest.approx(8000 / 2**0.5, rel=0.02)
    assert [made.start, made.end] == pytest.approx([12.3, 15.3], abs=0.01)


def test_without_two_sources_of_speech_there_is_nothing_to_splice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = media(tmp_path, 1)
    assert main(["splice", "--data", str(data), "--vad", "energy", "--out", str(tmp_path / "out")]) == 1
    assert "wanted are two" in capsys.readouterr().err
