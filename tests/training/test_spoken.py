"""Speech by text-to-speech systems, for the voice's training set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

pytest.importorskip("torch", reason="make test-export installs torch")

from evaluation.manifest import Clip, read_clips
from networks.whisper import FAMILIES as HEADS
from training.audio import spoken
from training.audio.channel import as_recorded
from training.audio.families import FAMILIES, family
from training.audio.plan import AudioPlan, spoken_set, training_set
from training.audio.speakers import PACKAGES, Speaker, debian_speaks, festival, flite, hibari, kokoro, speakers
from training.audio.task import train
from training.folds import FOLDS
from veracity.calibrate.errors import ManifestError
from veracity.evidence.speech import energy_vad

pytestmark = pytest.mark.export

RATE = 16_000
SENTENCE = "You who were always accusing people of being careless."


def band(sound: npt.NDArray[Any], low: float, high: float) -> float:
    """The share of a sound's power between two frequencies."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    at = np.fft.rfftfreq(len(sound), 1 / RATE)
    return float(power[(at >= low) & (at < high)].sum() / power.sum())


def a_real(tmp_path: Path) -> tuple[Path, str]:
    """A folder of media with one real clip whose words are known: a telephone's band, and its noise."""
    path = next(iter(spoken._transcripts()))["path"]
    clip = tmp_path / path
    clip.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    voice = hibari()(SENTENCE, rng) * 0.3
    narrow = np.fft.irfft(np.fft.rfft(voice) * (np.fft.rfftfreq(len(voice), 1 / RATE) < 3400), len(voice))
    soundfile.write(clip, narrow + 0.003 * rng.standard_normal(len(voice)), RATE)
    (tmp_path / "manifest.csv").write_text(
        f"path,kind,label,use,licence,split,notes\n{path},audio,real,permissive,CC0,train,corpus:LibriSpeech\n"
    )
    return tmp_path, path


def test_each_sentence_is_spoken_clean_and_as_recorded(tmp_path: Path) -> None:
    media, path = a_real(tmp_path / "media")
    out = tmp_path / "spoken"
    rows = spoken.speak(media, out, {"hibari": hibari()}, energy_vad)
    assert [row["notes"] for row in rows] == [f"system:Kokoro; source:made with hibari; pair:{path}"] * 2
    clips = read_clips(out, ("audio",))
    assert [(clip.label, clip.split, clip.maker) for clip in clips] == [("fake", "train", "Kokoro")] * 2
    recorded = soundfile.read(clips[1].path)[0]
    real = soundfile.read(media / path)[0]
    assert band(recorded, 4500, 8000) == pytest.approx(band(real, 4500, 8000), rel=1.5)
    assert np.std(recorded) == pytest.approx(np.std(real), rel=0.1)
    before = {clip.path: clip.path.read_bytes() for clip in clips}
    broken = {"hibari": lambda sentence, rng: pytest.fail("what is there is not made again")}
    assert spoken.speak(media, out, broken, energy_vad) == rows
    assert {file: file.read_bytes() for file in before} == before


def test_the_same_seed_speaks_the_same_and_another_does_not() -> None:
    say = hibari()
    first, again, other = (say(SENTENCE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert len(first) != len(other)  # at another pace
    assert 1.5 * RATE < len(first) < 6 * RATE


@pytest.mark.skipif(not debian_speaks(), reason="needs flite and festival")
@pytest.mark.parametrize("say", [flite, festival])
def test_the_systems_of_debian_speak(say: Speaker) -> None:
    sound = say(SENTENCE, np.random.default_rng(0))
    assert sound.dtype == np.float32
    assert 1.5 * RATE < len(sound) < 8 * RATE
    assert 0.01 < np.abs(sound).max() <= 1.1


def test_missing_systems_are_said_with_what_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ManifestError, match="scripts/fetch_training_networks"):
        kokoro(tmp_path)
    monkeypatch.setattr("training.audio.speakers._VOICES", tmp_path)
    with pytest.raises(ManifestError, match=PACKAGES):
        speakers(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,kind,label,use\n")
    with pytest.raises(ManifestError, match=r"none of the clips whose words are in transcripts\.csv"):
        spoken.speak(tmp_path, tmp_path / "out", {}, energy_vad)


def test_the_channel_of_a_recording_is_put_on_speech() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(3 * RATE) / RATE
    speech = (np.sin(2 * np.pi * 200 * times) * (times % 1 < 0.6) + 0.3 * rng.standard_normal(len(times))).astype("f")
    dark = np.fft.irfft(np.fft.rfft(rng.standard_normal(len(times))) * np.linspace(1, 0, len(times) // 2 + 1) ** 4)
    loud = (0.1 * dark * (0.05 + (times % 1 < 0.5))).astype("f")
    made = as_recorded(speech, loud, rng)
    assert np.std(made) == pytest.approx(np.std(loud), rel=0.15)
    assert band(made, 5000, 8000) < 0.3 * band(speech, 5000, 8000)


def clip(name: str, label: str, *links: str) -> Clip:
    return Clip(Path(f"{name}.flac"), "audio", label, name, "permissive", "", name=name, links=links)


def test_what_was_made_of_a_held_out_clip_does_not_teach() -> None:
    held_out, other = (clip(name, "real", link) for name, link in (("a", "corpus:VCTK"), ("b", "corpus:R")))
    made = [clip(f"m{name}", "fake", "system:Flite", f"pair:{name}") for name in ("a", "b")]
    of_held_out_system = clip("x", "fake", "system:Kokoro", "pair:b")
    assert "system:Kokoro" in FOLDS[3]
    plan = AudioPlan(train_on="both", held_out_fold=3)
    trained_on = training_set([held_out, other], plan)
    assert trained_on == [other]
    assert spoken_set([*made, of_held_out_system], trained_on, plan) == [made[1]]


def test_a_network_that_learns_pairs_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="rawnet2 learns pairs: --spoken is for the head on Whisper"):
        train(tmp_path, tmp_path, tmp_path, energy_vad, tmp_path, AudioPlan(net="rawnet2"), tmp_path)


def test_systems_have_families_and_others_are_neural() -> None:
    assert len(FAMILIES) == HEADS  # each a head of its own
    named = {system for systems in FAMILIES.values() for system in systems}
    assert {family(clip("f", "fake", system)) for system in named} == set(list(FAMILIES)[1:])
    assert family(clip("f", "fake", "system:VITS")) == next(iter(FAMILIES))
