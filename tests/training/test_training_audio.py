"""The audio training: its split, its pairs, its fakes and its numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from evaluation.manifest import Clip, read_clips  # noqa: E402
from networks.registry import AUDIO_NETS  # noqa: E402
from training.audio.augment import degrade  # noqa: E402
from training.audio.coding import CODECS, through_codec  # noqa: E402
from training.audio.extract import SpeechClip, extract_speech, forge_all, read_sound  # noqa: E402
from training.audio.forgeries import METHODS  # noqa: E402
from training.audio.plan import AudioPlan  # noqa: E402
from training.audio.sampler import LENGTH, PairSampler, crop, played  # noqa: E402
from training.audio.task import AudioTask, Validation, train  # noqa: E402
from training.folds import fold, group  # noqa: E402
from training.sound import load, trim  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.catalog.layers import SAMPLE_RATE  # noqa: E402
from veracity.evidence.speech import energy_vad  # noqa: E402

pytestmark = [
    pytest.mark.export,
    # pyworld 0.3.5 looks its own version up with pkg_resources
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(lightning|torch|tensorboard).*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:(lightning|torch).*"),
]

SHARED = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data"
COLUMNS = ("path", "kind", "label", "how", "source", "licence", "use", "notes", "sha256")


def voice(seconds: float = 2.0, pitch: float = 130.0) -> NDArray[np.float32]:
    """float32 within ±1: a buzz that starts and stops, over faint noise."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    turns = pitch * time + 5 * np.sin(2 * np.pi * time)
    buzz = sum(np.sin(2 * np.pi * k * turns) / np.sqrt(k) for k in range(1, 50))
    noise = np.random.default_rng(0).standard_normal(len(time))
    syllables = np.clip(np.sin(2 * np.pi * 2 * time) + 0.7, 0, 1)
    sound: NDArray[np.float32] = (0.04 * buzz * syllables + 0.001 * noise).astype(np.float32)
    return sound


def write(folder: Path, name: str, sound: NDArray[np.float32], rate: int = SAMPLE_RATE) -> None:
    import soundfile

    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate)


def manifest(folder: Path, *rows: dict[str, str]) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({"kind": "audio", "label": "real", "use": "permissive"} | row for row in rows)
    return folder


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Two sources that teach and two that validate, of both labels."""
    names = {
        "audio_real/mine__a.flac": ("real", 120.0),
        "audio_real/mine__b.flac": ("real", 150.0),
        "audio_fake/theirs__a.flac": ("fake", 180.0),
        "audio_real/x__librispeech_test-other__1__1.flac": ("real", 140.0),
        "audio_fake/FastSpeech2__1.flac": ("fake", 210.0),
    }
    for name, (_, pitch) in names.items():
        write(tmp_path, name, voice(pitch=pitch))
    return manifest(tmp_path, *({"path": name, "label": label} for name, (label, _) in names.items()))


def test_manifest_gives_clips_with_split(media: Path) -> None:
    splits = {clip.path.name: clip.split for clip in read_clips(media, ("audio",))}
    assert splits["mine__a.flac"] == "train"
    assert splits["x__librispeech_test-other__1__1.flac"] == "validation"
    assert read_clips(media, ("video",)) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"path": "gone.flac"}, "line 2: no file 'gone.flac'"),
        ({"path": "a.flac", "label": "maybe"}, "line 2: label is 'maybe'"),
        ({"path": "a.flac", "use": ""}, "line 2: use is ''"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, str], words: str) -> None:
    write(tmp_path, "a.flac", voice())
    with pytest.raises(ManifestError, match=words):
        read_clips(manifest(tmp_path, row), ("audio",))


def test_a_folder_without_a_manifest_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"neither a manifest\.csv nor"):
        read_clips(tmp_path, ("audio",))


def test_bad_sound_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "slow.flac", voice(), rate=8_000)
    (tmp_path / "text.flac").write_text("no sound")
    with pytest.raises(ManifestError, match="8000 Hz"):
        load(tmp_path / "slow.flac")
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path / "text.flac")


def test_what_may_not_teach_never_does() -> None:
    assert Clip(Path("mine__a.flac"), "audio", "real", "mine", "test_only", "").split == "test"


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no media at {SHARED}")
def test_no_source_and_no_voice_is_in_two_splits() -> None:
    clips = read_clips(SHARED, ("audio",))
    voices: dict[str, set[str]] = {}
    for clip in clips:
        for speaker in ("S0913", "_Allison__", "_June__", "librispeech_test-other__"):
            if speaker in clip.path.name:
                voices.setdefault(speaker, set()).add(clip.split)
    assert all(len(splits) == 1 for splits in voices.values())
    for split in ("train", "validation", "test"):
        assert {clip.label for clip in clips if clip.split == split} == {"real", "fake"}


def test_own_fakes_keep_length_and_change_the_sound() -> None:
    real = voice()
    for name, method in METHODS.items():
        fake = method(real, np.random.default_rng(1))
        assert fake.shape == real.shape, name
        assert fake.dtype == np.float32, name
        assert np.isfinite(fake).all(), name
        assert 0.3 < np.std(fake) / np.std(real) < 3, name
        assert np.corrcoef(fake, real)[0, 1] < 0.999, name
        assert np.array_equal(fake, method(real, np.random.default_rng(1))), f"{name} is not reproducible"


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_keep_length_and_most_of_the_sound(codec: str) -> None:
    pcm = (voice() * 20_000).astype(np.int16)
    coded = through_codec(codec, pcm)
    assert coded.shape == pcm.shape
    assert not np.array_equal(coded, pcm)
    assert 0.5 < np.std(coded) / np.std(pcm) < 2


def test_pool_holds_every_clip_and_its_fakes_and_is_cut_once(media: Path, tmp_path: Path) -> None:
    write(media, "audio_real/silent__a.flac", np.zeros(16_000, np.float32))
    names = ("audio_real/mine__a.flac", "audio_fake/theirs__a.flac", "audio_real/silent__a.flac")
    manifest(media, *({"path": name, "label": "fake" if "fake" in name else "real"} for name in names))
    pool, bad = extract_speech(read_clips(media, ("audio",)), energy_vad, tmp_path / "cache")
    assert [len(one.forgeries) for one in pool] == [len(METHODS), 0]
    assert np.array_equal(pool[0].speech, trim(load(pool[0].clip.path), energy_vad))
    assert len(bad) == 1
    assert "less than half a second of speech" in bad[0]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    extract_speech(read_clips(media, ("audio",)), energy_vad, tmp_path / "cache")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")} == made


def test_what_is_remade_is_as_loud_as_the_original() -> None:
    pcm = (voice() * 20_000).astype(np.int16)
    for method, fake in forge_all(pcm, "a").items():
        assert np.std(fake) == pytest.approx(np.std(pcm), rel=0.05), method


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    with pytest.raises(ManifestError, match="no readable audio track"):
        read_sound(Clip(tmp_path / "a.mp4", "video", "real", "mine", "permissive", ""))


def some_pool() -> list[SpeechClip]:
    """Two reals and two fakes, of both splits; each is one number, so that one sees whose it is."""

    def one(name: str, label: str, level: int, link: str) -> SpeechClip:
        made = {"world": np.full(60_000, -level, np.int16)} if label == "real" else {}
        clip = Clip(Path(name), "audio", label, name.partition("__")[0], "permissive", "", links=(link,))
        return SpeechClip(clip, np.full(60_000, level, np.int16), made)

    return [
        one("mine__1.flac", "real", 1000, "corpus:LibriSpeech"),
        one("theirs__1.flac", "fake", 2000, "system:NSF"),
        one("free-spoken-digit-dataset__1.flac", "real", 3000, "corpus:VCTK"),
        one("FastSpeech2__1.flac", "fake", 4000, "system:FastSpeech 2"),
    ]


def test_pairs_are_of_one_split_and_sampled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.audio import sampler

    monkeypatch.setattr(sampler, "_UNTOUCHED", 1.0)
    sounds, made_of = PairSampler(some_pool(), pair_count=40, matched_share=0.5, seed=0).pairs(tmp_path)
    assert sounds.shape == (40, 2, sampler.LENGTH)
    pairs = {(int(real[0]), int(fake[0]), *of) for (real, fake), of in zip(sounds, made_of)}
    mine, theirs, digits, neural = (one.clip for one in some_pool())
    assert pairs == {
        (1000, -1000, mine, mine), (1000, 2000, mine, theirs),
        (3000, -3000, digits, digits), (3000, 4000, digits, neural),
    }  # fmt: skip
    monkeypatch.setattr(sampler, "_coded", None)  # nothing is drawn again
    again, same = PairSampler(some_pool(), pair_count=30, matched_share=0.5, seed=0).pairs(tmp_path)
    assert np.array_equal(again, sounds[:30])
    assert same == made_of[:30]


@pytest.mark.parametrize(
    ("held_out_fold", "levels", "validation_set"),
    [
        (None, {1000, -1000, 2000, 3000, -3000, 4000}, [3000, 4000]),
        (4, {1000, -1000, 2000, 3000, -3000}, [4000]),
        (3, {1000, -1000, 2000}, [3000]),  # and 4000, which has no other companion
    ],
)
def test_a_fold_is_never_trained_on(
    media: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held_out_fold: int | None,
    levels: set[int],
    validation_set: list[int],
) -> None:
    from training.audio import sampler, task

    pool = some_pool()
    seen: dict[str, Any] = {}
    monkeypatch.setattr(sampler, "_UNTOUCHED", 1.0)
    monkeypatch.setattr(task, "extract_speech", lambda *_: (pool, []))
    monkeypatch.setattr(
        task, "_validation", lambda clips, *_: seen.update(validation_set=clips) or Validation.__new__(Validation)
    )
    monkeypatch.setattr(task, "_fit", lambda _, plan, pairs, __: seen.update(pairs=pairs) or torch.nn.Flatten())
    monkeypatch.setattr(Validation, "report", lambda *_: {})
    plan = AudioPlan(net="spectrum", train_on="both", held_out_fold=held_out_fold, pair_count=60)
    checkpoint = torch.load(train(media, tmp_path / "out", tmp_path, energy_vad, tmp_path, plan), weights_only=True)
    assert set(seen["pairs"].unique().tolist()) == levels
    assert [int(one.speech[0]) for one in pool if one.clip in seen["validation_set"]] == validation_set
    taught = {group(one.clip).partition(":")[2] for one in pool if fold(one.clip) != held_out_fold}
    assert set(checkpoint["trained_on"]) == taught


def test_a_fold_is_measured_of_both_splits_and_without_the_test(tmp_path: Path) -> None:
    from training.__main__ import _parser
    from training.evaluate import _clips

    notes = {
        "audio_real/mine__a.flac": "corpus:VCTK",
        "audio_real/x__librispeech_test-other__1__1.flac": "sound; corpus:LibriSpeech",
        "audio_fake/FastSpeech2__1.flac": "system:Cotatron",
        "audio_fake/gen_world-1.flac": "system:WORLD; corpus:LibriSpeech",
        "audio_fake/sherpa__1.flac": "system:WORLD",  # of the test
    }
    for name in notes:
        write(tmp_path, name, voice(0.1))
    manifest(tmp_path, *({"path": name, "label": name[6:10], "notes": note} for name, note in notes.items()))
    options = ["evaluate", "--manifest", str(tmp_path), "--models", "audio_starter", "--kinds", "audio", "--fold"]
    assert {clip.id for clip in _clips(_parser().parse_args([*options, "0"]))} == set(list(notes)[1:4])


def test_a_pair_goes_through_one_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.audio import sampler

    monkeypatch.setattr(sampler, "_UNTOUCHED", 0.0)
    monkeypatch.setattr(sampler, "_CLEAN", 1.0)  # a codec remembers what went through it before
    pool = [
        SpeechClip(one.clip, (voice(3) * 20_000).astype(np.int16), {"world": (voice(3) * 20_000).astype(np.int16)})
        for one in some_pool()
    ]
    sounds, _ = PairSampler(pool, pair_count=12, matched_share=1.0, seed=0).pairs(tmp_path)
    assert all(np.array_equal(real, fake) for real, fake in sounds)


def test_clips_of_one_label_are_refused() -> None:
    with pytest.raises(ManifestError, match="both labels"):
        PairSampler(some_pool()[:1], pair_count=4, matched_share=0.5, seed=0)


def test_a_short_sound_is_repeated() -> None:
    assert crop(np.arange(3, dtype=np.int16), 7, 0.5).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert crop(np.arange(10, dtype=np.int16), 4, 1.0).tolist() == [6, 7, 8, 9]


@pytest.mark.parametrize("speed", [1.0, 0.9, 1.15])
def test_what_is_played_faster_is_higher(speed: float) -> None:
    tone = (np.sin(2 * np.pi * 1000 * np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE) * 20_000).astype(np.int16)
    sound = played(tone, speed, 0.0)
    assert (sound.dtype, len(sound)) == (np.dtype(np.int16), LENGTH)
    assert np.argmax(np.abs(np.fft.rfft(sound))) * SAMPLE_RATE / LENGTH == pytest.approx(1000 * speed, abs=1)


def test_a_split_without_pairs_is_refused() -> None:
    clips = [Clip(Path("a"), "audio", label, label, "permissive", "") for label in ("real", "fake")]
    with pytest.raises(ManifestError, match="no pair"):
        AudioTask(AudioPlan(net="spectrum"), torch.zeros(0, 2, LENGTH), Validation(clips, torch.zeros(2, LENGTH)))


def test_a_group_is_degraded_alike() -> None:
    sound = torch.from_numpy(voice()).expand(4, 2, -1)
    changed = degrade(sound, torch.Generator().manual_seed(0))
    assert changed.shape == sound.shape
    assert torch.isfinite(changed).all()
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert not torch.equal(changed[0], changed[1])
    assert changed.abs().max() <= 1


@pytest.mark.parametrize("name", sorted(set(AUDIO_NETS) - {"whisper"}))
def test_networks_answer_one_logit_whatever_the_level(name: str) -> None:
    net = AUDIO_NETS[name]().eval()
    sound = torch.from_numpy(voice()).repeat(2, 1)
    with torch.inference_mode():
        logits = net(sound)
        assert logits.shape == (2, 1)
        assert torch.allclose(net(sound * 0.1), logits, atol=1e-2)
        assert torch.isfinite(net(torch.zeros_like(sound))).all()


def test_rawnet2_is_the_one_described() -> None:
    net = AUDIO_NETS["rawnet2"]()
    convolutions = [module for module in net.modules() if isinstance(module, torch.nn.Conv1d)]
    wide = [(c.in_channels, c.out_channels, c.stride[0]) for c in convolutions if c.kernel_size == (3,)]
    blocks = [(32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)]
    assert wide == [(1, 32, 1), *(layer for a, b, s in blocks for layer in ((a, b, s), (b, b, 1)))]
    assert [(c.in_channels, c.out_channels) for c in convolutions if c.kernel_size == (1,)] == [
        (32, 64), (64, 128), (128, 256),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_network_from_scratch_trains_and_leaves_a_checkpoint(media: Path, tmp_path: Path) -> None:
    plan = AudioPlan(net="spectrum", train_on="train", epochs=1, steps=2, batch=2, pair_count=6, workers=0)
    path = train(media, tmp_path / "out", tmp_path / "cache", energy_vad, tmp_path, plan)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["net"] == "spectrum"
    assert checkpoint["trained_on"] == ["mine", "theirs"]


def test_a_network_that_is_none_is_refused(media: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no network 'lstm'"):
        train(media, tmp_path, tmp_path, energy_vad, tmp_path, AudioPlan(net="lstm"))


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training.__main__ import main

    plan = Path(__file__).resolve().parent.parent.parent / "training" / "plans" / "audio.yaml"
    options = ["--data", str(tmp_path), "--vad", "energy", "--weights", str(tmp_path), "--plan", str(plan)]
    assert main(["audio", *options]) == 1
    assert "no encoder" in capsys.readouterr().err
