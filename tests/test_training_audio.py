"""The audio training: its split, its pairs, its fakes and its numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from training import metrics  # noqa: E402
from training.augment import degrade  # noqa: E402
from training.data import Clip, ManifestError, load, read_manifest, trim  # noqa: E402
from training.nets import AUDIO_NETS  # noqa: E402
from training.pool import CODECS, build_pool, crop, through_codec  # noqa: E402
from veracity.speech import SAMPLE_RATE, energy_vad  # noqa: E402

pytestmark = [
    pytest.mark.export,
    # pyworld 0.3.5 looks its own version up with pkg_resources
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),
]

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
COLUMNS = ("path", "kind", "label", "how", "source", "licence", "use", "notes", "sha256")


def voice(seconds: float = 2.0, pitch: float = 130.0) -> np.ndarray:
    """float32 within ±1: a buzz that starts and stops, over faint noise."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    turns = pitch * time + 5 * np.sin(2 * np.pi * time)
    buzz = sum(np.sin(2 * np.pi * k * turns) / np.sqrt(k) for k in range(1, 50))
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.04 * buzz * np.clip(np.sin(2 * np.pi * 2 * time) + 0.7, 0, 1) + 0.001 * noise).astype(np.float32)


def write(folder: Path, name: str, sound: np.ndarray, rate: int = SAMPLE_RATE) -> None:
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


def test_manifest_gives_clips_with_split(media):
    splits = {clip.path.name: clip.split for clip in read_manifest(media, "audio")}
    assert splits["mine__a.flac"] == "train"
    assert splits["x__librispeech_test-other__1__1.flac"] == "validation"
    assert read_manifest(media, "video") == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"path": "gone.flac"}, "line 2: no file 'gone.flac'"),
        ({"path": "a.flac", "label": "maybe"}, "line 2: label is 'maybe'"),
        ({"path": "a.flac", "use": ""}, "line 2: use is ''"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, words):
    write(tmp_path, "a.flac", voice())
    with pytest.raises(ManifestError, match=words):
        read_manifest(manifest(tmp_path, row), "audio")


def test_no_manifest_names_the_option(tmp_path):
    with pytest.raises(ManifestError, match="--data"):
        read_manifest(tmp_path, "audio")


def test_bad_sound_is_refused(tmp_path):
    write(tmp_path, "slow.flac", voice(), rate=8_000)
    (tmp_path / "text.flac").write_text("no sound")
    with pytest.raises(ManifestError, match="8000 Hz"):
        load(tmp_path / "slow.flac")
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path / "text.flac")


def test_what_may_not_teach_never_does():
    assert Clip(Path("mine__a.flac"), "audio", "real", "mine", "test_only", "").split == "test"


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no media at {SHARED}")
def test_no_source_and_no_voice_is_in_two_splits():
    clips = read_manifest(SHARED, "audio")
    voices: dict[str, set[str]] = {}
    for clip in clips:
        for speaker in ("S0913", "_Allison__", "_June__", "librispeech_test-other__"):
            if speaker in clip.path.name:
                voices.setdefault(speaker, set()).add(clip.split)
    assert all(len(splits) == 1 for splits in voices.values())
    for split in ("train", "validation", "test"):
        assert {clip.label for clip in clips if clip.split == split} == {"real", "fake"}


def test_own_fakes_keep_length_and_change_the_sound():
    from training.fakes import METHODS

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
def test_codecs_keep_length_and_most_of_the_sound(codec):
    pcm = (voice() * 20_000).astype(np.int16)
    coded = through_codec(codec, pcm)
    assert coded.shape == pcm.shape
    assert not np.array_equal(coded, pcm)
    assert 0.5 < np.std(coded) / np.std(pcm) < 2


def test_pool_holds_every_clip_and_its_fakes_and_is_built_once(media, tmp_path):
    clips = [clip for clip in read_manifest(media, "audio") if clip.split == "train"]
    cache = tmp_path / "cache"
    pool = build_pool(clips, energy_vad, cache, copies=1, seed=0)
    reals = [item for item in pool.items if not item.fake]
    assert {item.source for item in reals} == {"mine"}
    assert all(sum(one.origin == real.index for one in pool.items) == 7 for real in reals)
    assert all(len(tape) == len(pool.tapes[0]) for tape in pool.tapes)
    assert np.array_equal(crop(pool.tapes[0], reals[0], reals[0].length, 0.0), trim(load(clips[0].path), energy_vad))
    made = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    assert build_pool(clips, energy_vad, cache, copies=1, seed=0).items == pool.items
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == made


def test_a_group_is_degraded_alike():
    sound = torch.from_numpy(voice()).expand(4, 2, -1)
    changed = degrade(sound, torch.Generator().manual_seed(0))
    assert changed.shape == sound.shape
    assert torch.isfinite(changed).all()
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert not torch.equal(changed[0], changed[1])
    assert changed.abs().max() <= 1


@pytest.mark.parametrize("name", AUDIO_NETS)
def test_networks_answer_one_logit_whatever_the_level(name):
    net = AUDIO_NETS[name]().eval()
    sound = torch.from_numpy(voice()).repeat(2, 1)
    with torch.inference_mode():
        logits = net(sound)
        assert logits.shape == (2, 1)
        assert torch.allclose(net(sound * 0.1), logits, atol=1e-2)
        assert torch.isfinite(net(torch.zeros_like(sound))).all()


def test_the_command_knows_every_network():
    from training.__main__ import NETS

    assert set(NETS) == set(AUDIO_NETS)


def test_rawnet2_is_the_one_described():
    net = AUDIO_NETS["rawnet2"]()
    convolutions = [module for module in net.modules() if isinstance(module, torch.nn.Conv1d)]
    wide = [(c.in_channels, c.out_channels, c.stride[0]) for c in convolutions if c.kernel_size == (3,)]
    blocks = [(32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)]
    assert wide == [(1, 32, 1), *(layer for a, b, s in blocks for layer in ((a, b, s), (b, b, 1)))]
    assert [(c.in_channels, c.out_channels) for c in convolutions if c.kernel_size == (1,)] == [
        (32, 64), (64, 128), (128, 256),
    ]  # fmt: skip


def test_error_rates_of_known_scores():
    labels = np.array([False] * 4 + [True] * 4)
    apart = np.array([-4.0, -3, -2, -1, 1, 2, 3, 4])
    assert metrics.eer(labels, apart) == 0
    assert metrics.auc(labels, apart) == 1
    assert metrics.eer(labels, -apart) == 1
    one_wrong = np.array([-4.0, -3, -2, 2.5, 1, 2, 3, 4])
    assert metrics.eer(labels, one_wrong) == pytest.approx(0.25)
    estimate = metrics.interval(metrics.auc, labels, one_wrong)
    assert estimate.low <= estimate.value <= estimate.high


def test_calibration_finds_the_true_odds():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-true))
    stated = (true - 0.7) * 3
    temperature, bias = metrics.fit_calibration(labels, stated)
    assert temperature == pytest.approx(3, rel=0.1)
    assert bias == pytest.approx(0.7, abs=0.1)
    assert metrics.ece(labels, stated / temperature + bias) < 0.02 < metrics.ece(labels, stated)


@pytest.mark.slow
def test_the_command_trains_and_keeps_a_checkpoint(media, tmp_path):
    from training.__main__ import main

    out = tmp_path / "out"
    common = ["--data", str(media), "--cache", str(tmp_path / "cache"), "--out", str(out), "--vad", "energy", "--debug"]
    assert main(["audio", *common]) == 0
    checkpoint = torch.load(out / "spectrum.pt", weights_only=True)
    assert checkpoint["net"] == "spectrum"
    assert checkpoint["trained_on"] == ["mine", "theirs"]
    assert (out / "spectrum.json").is_file()


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    from training.__main__ import main

    assert main(["audio", "--data", str(tmp_path), "--vad", "energy"]) == 1
    assert "no manifest" in capsys.readouterr().err
