"""The joint network: its parts, its checkpoints, what it is shown, and a run of it."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import media_samples
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="make test-export installs torch")

import yaml  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from torch import Tensor  # noqa: E402

from evaluation.manifest import Clip  # noqa: E402
from networks.checkpoints import read_run, training_sources  # noqa: E402
from networks.encoders import FrameEncoder, Wav2Vec2Encoder  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.joint import JointNet, NetPlan, compute_temporal_consistency_loss, described, load_for_inference  # noqa: E402
from networks.loading import PLAN as PLAN_FILE  # noqa: E402
from training import checkpoints, loop  # noqa: E402
from training.joint import command  # noqa: E402
from training.joint.extract import FLOW_SIDE, ClipInputs  # noqa: E402
from training.joint.frame_sampling import sample  # noqa: E402
from training.joint.sampler import FACES, Material, PairSampler, Streams, streams  # noqa: E402
from training.joint.task import JointPlan, JointTask, score  # noqa: E402
from training.plan import read_plan  # noqa: E402
from training.visual.faces import Face  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.catalog.layers import WINDOW_SAMPLES  # noqa: E402
from veracity.evidence.crops import MEAN_FACE  # noqa: E402
from veracity.settings import Settings  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists:UserWarning"),
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),  # pyworld looks its own version up
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(lightning|torch|tensorboard).*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:(lightning|torch).*"),
]
PLAN = Path(__file__).resolve().parent.parent.parent / "training" / "plans" / "joint.yaml"
WAV2VEC2 = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
SMALL: dict[str, Any] = {"backbone": "test_resnet", "width": 32, "heads": 2, "layers": 1, "wav2vec2": WAV2VEC2}


def batch(clips: int = 2, frames: int = 3) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (clips, frames, 224, 224, 3), dtype=torch.uint8, generator=draw)
    sound = torch.randint(-9000, 9000, (clips, WINDOW_SAMPLES), generator=draw).short()
    return faces, sound, torch.ones(clips, 2, dtype=torch.uint8)


def net(**changes: Any) -> JointNet:
    torch.manual_seed(0)
    return JointNet(NetPlan(**{**SMALL, **changes}))


@pytest.mark.parametrize(
    ("temporal", "sound", "fusion", "flow"),
    [
        ("average", "melspec", "concat", False),
        ("convolution", "wav2vec2", "attention", True),
        ("transformer", "melspec", "cross", False),
    ],
)
def test_every_part_learns_and_a_missing_stream_is_not_looked_at(
    temporal: str, sound: str, fusion: str, flow: bool
) -> None:
    built = net(temporal=temporal, sound=sound, fusion=fusion, flow=flow).train()
    faces, heard, present = batch()
    moved = torch.rand(2, 3, FLOW_SIDE, FLOW_SIDE, 2) if flow else None
    built(faces, heard, torch.tensor([[1, 1], [0, 0]]), moved).sum().backward()
    still = {name for name, weight in built.named_parameters() if weight.grad is None or not weight.grad.abs().sum()}
    assert {name.split(".")[0] for name, _ in built.named_parameters()} == {
        name.split(".")[0] for name, _ in built.named_parameters() if name not in still
    }
    built.eval()
    with torch.inference_mode():
        whole = built(faces, heard, present, moved)
        assert whole.shape == (2, 1)
        for stream in (0, 1):
            there = present.clone()
            there[:, stream] = 0
            without = built(faces, heard, there, moved)
            changed = (
                built(255 - faces, heard, there, moved) if stream == 0 else built(faces, -heard // 2, there, moved)
            )
            assert torch.equal(without, changed)
            assert not torch.allclose(without, whole)


def test_rawnet2_hears_too() -> None:
    assert torch.isfinite(net(sound="rawnet2").eval()(*batch(1, 1))).all()


def test_features_are_tokens_of_each_stream() -> None:
    found = net(fusion="cross").eval().extract_features(*batch())
    assert found.frames.shape == (2, 3, 32)
    assert found.sound.shape[0] == 2
    assert 25 <= found.sound.shape[1] <= 50
    assert found.fused.shape == (2, 64)


def test_a_missing_stream_weighs_nothing_where_streams_are_weighed() -> None:
    built = net(fusion="attention").eval()
    faces, sound, _ = batch()
    features = built.extract_features(faces, sound, torch.tensor([[1, 0], [0, 1]]))
    assert torch.allclose(features.fused[0], features.frames[0].mean(0), atol=1e-5)
    assert torch.allclose(features.fused[1], features.sound[1].mean(0), atol=1e-5)


def test_frozen_layers_do_not_learn_and_the_others_do() -> None:
    encoder = Wav2Vec2Encoder(WAV2VEC2, 8, frozen=2).train()
    encoder(torch.randn(1, 16_000)).sum().backward()
    learning = {name for name, weight in encoder.net.named_parameters() if weight.grad is not None}
    assert all(name.startswith(("encoder.layers.2.", "encoder.layer_norm")) for name in learning)
    assert any(name.startswith("encoder.layers.2.") for name in learning)
    assert not encoder.net.encoder.layers[0].training
    assert encoder.net.encoder.layers[2].training


def test_gradient_checkpointing_changes_no_number() -> None:
    frames = batch()[0]
    said, slopes, kept = [], [], []
    for thrifty in (False, True):
        torch.manual_seed(0)
        encoder = FrameEncoder("mobilenetv3_small_050", 8, thrifty).train()
        answer = encoder(frames)
        answer.square().sum().backward()
        said.append(answer)
        slopes.append([weight.grad for weight in encoder.parameters()])
        kept.append(list(encoder.buffers()))
    assert torch.equal(said[0], said[1])
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-3) for a, b in zip(*slopes))
    assert all(torch.equal(a, b) for a, b in zip(*kept))


def test_published_weights_come_from_a_file_and_must_fit(tmp_path: Path) -> None:
    import timm

    file = tmp_path / "backbone.pt"
    torch.manual_seed(1)
    published = timm.create_model("test_resnet", pretrained=False)  # with its head
    torch.save(published.state_dict(), file)
    begun = net(backbone_weights=file).with_published()
    assert torch.equal(begun.see.backbone.conv1[0].weight, published.conv1[0].weight)
    with pytest.raises(CheckpointError, match=r"backbone\.pt does not fit the network"):
        net(backbone="test_efficientnet", backbone_weights=file).with_published()
    with pytest.raises(CheckpointError, match=r"none\.pt cannot be read"):
        net(backbone_weights=tmp_path / "none.pt").with_published()


def test_plans_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(CheckpointError, match="timm knows no backbone 'resnet1'"):
        net(backbone="resnet1")
    with pytest.raises(CheckpointError, match=r"net\.width is 30"):
        net(width=30, heads=4)


def test_consistency_is_low_where_neighbours_agree() -> None:
    alike = torch.ones(2, 4, 8)
    turned = alike * torch.tensor([1.0, -1, 1, -1])[None, :, None]
    assert compute_temporal_consistency_loss(alike) == pytest.approx(0, abs=1e-6)
    assert compute_temporal_consistency_loss(turned) == pytest.approx(2)
    mixed = torch.cat([alike[:1], turned[:1]])
    assert compute_temporal_consistency_loss(mixed, torch.tensor([True, False])) == pytest.approx(0, abs=1e-6)
    assert compute_temporal_consistency_loss(mixed, torch.tensor([False, False])) == 0


def test_a_checkpoint_builds_its_network_again_and_refuses_what_is_none(tmp_path: Path) -> None:
    built, path = net(temporal="transformer").eval(), tmp_path / "multimodal_best_0.5000.pt"
    checkpoints.save({**described(built), "model": built.state_dict(), "epoch": 3, "metrics": {"AUC": 0.5}}, path)
    again = load_for_inference(path)
    with torch.inference_mode():
        assert torch.equal(again(*batch()), built(*batch()))
    content = read_run(path)
    assert content["epoch"] == 3
    assert content["config"]["temporal"] == "transformer"
    for changed, word in (
        ({"architecture": "veracity-joint-0"}, "holds veracity-joint-0, and not veracity-joint-1"),
        ({"config": {"fusion": "soup"}}, "another version of the plan"),
        ({"config": NetPlan(**{**SMALL, "width": 16}).model_dump(mode="json")}, "does not fit the network"),
    ):
        torch.save({**content, **changed}, path)
        with pytest.raises(CheckpointError, match=word):
            load_for_inference(path)
    torch.save({"state": 1}, path)
    with pytest.raises(CheckpointError, match="holds no joint network"):
        load_for_inference(path)
    path.write_bytes(b"not at all")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        load_for_inference(path)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_for_inference(tmp_path / "none.pt")


def test_frames_are_sampled_in_order() -> None:
    times = np.arange(10) / 2
    assert sample(times, 4, "uniform").tolist() == [0, 3, 6, 9]
    assert sample(times, 3, "start_at", 2.0).tolist() == [4, 5, 6]
    assert sample(times, 3, "start_at", 99.0).tolist() == [9, 9, 9]
    drawn = sample(times, 5, "random", rng=np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 5
    assert (np.diff(drawn) > 0).all()
    assert sample(times[:2], 4, "random", rng=np.random.default_rng(0)).tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="no frames"):
        sample(times[:0], 4, "uniform")


def voice(seed: int) -> NDArray[np.int16]:
    time = np.arange(WINDOW_SAMPLES) / 16_000
    rng = np.random.default_rng(seed)
    buzz = sum(np.sin(2 * np.pi * k * (110 + 9 * seed) * time) / k for k in range(1, 20))
    gate = np.sin(2 * np.pi * 2 * time) > -0.5
    pcm: NDArray[np.int16] = (3000 * buzz * gate + rng.normal(0, 50, len(time))).astype(np.int16)
    return pcm


def drawn(seed: int, *, fake: bool = False, seen: bool = True, heard: bool = True) -> Material:
    rng = np.random.default_rng(seed)
    clip = Clip(Path(f"clip{seed}.mp4"), "video", "fake" if fake else "real", f"s{seed}", "permissive", "own")
    count = 4 if seen else 0
    crops = rng.integers(0, 256, (count, 224, 224, 3)).astype(np.uint8)
    windows = voice(seed)[None] if heard else np.zeros((0, WINDOW_SAMPLES), np.int16)
    empty = np.zeros((0, FLOW_SIDE, FLOW_SIDE, 2), np.float16)
    nothing = np.zeros((0, 96, 96), np.uint8)
    cut = ClipInputs(clip, crops, np.arange(count) / 2, empty, nothing, nothing, windows)
    if fake or not seen:
        return Material(cut)
    pictures = (rng.integers(0, 256, (260, 240, 3)).astype(np.uint8) for _ in range(count))
    points = (MEAN_FACE * 0.9 + [5, 10]).astype(np.float32)
    return Material(cut, tuple(Face(picture, (60, 60, 180, 220), points) for picture in pictures), cut.times)


def plan(**changes: Any) -> JointPlan:
    usual: dict[str, Any] = {
        "frames": 2,
        "matched_share": 1.0,
        "missing": 0.0,
        "epochs": 1,
        "steps": 1,
        "batch": 1,
        "workers": 0,
    }
    return JointPlan(**{**usual, "net": NetPlan(**SMALL), **changes})


@pytest.mark.parametrize(("kind", "same"), [("face", "sound"), ("voice", "faces")])
def test_a_couple_differs_in_what_was_faked_alone(kind: str, same: str) -> None:
    shares = {name: float(name == kind) for name in ("face", "voice", "both")}
    pairs = PairSampler([drawn(0), drawn(1)], plan(kinds=shares), 0, 3)
    for number in range(3):
        pair = pairs[number]
        assert pair.faces.shape == (2, 2, 224, 224, 3)
        assert pair.sound.shape == (2, WINDOW_SAMPLES)
        assert pair.present.tolist() == [[1, 1], [1, 1]]
        for name in ("faces", "sound"):
            real, fake = getattr(pair, name)
            assert np.array_equal(real, fake) is (name == same), name


def test_a_couple_is_known_by_its_number_and_hides_only_what_was_not_faked() -> None:
    made = [drawn(0), drawn(1), drawn(2, fake=True)]
    whole = PairSampler(made, plan(matched_share=0.5, missing=1.0), 0, 6)
    later = PairSampler(made, plan(matched_share=0.5, missing=1.0), 4, 2)
    one, other = whole[5], later[1]
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Streams._fields)
    only = plan(missing=1.0, kinds={"face": 1, "voice": 0, "both": 0})
    assert PairSampler(made[:2], only, 0, 1)[0].present.tolist() == [[1, 0], [1, 0]]
    both = plan(missing=1.0, kinds={"face": 0, "voice": 0, "both": 1})
    assert PairSampler(made[:2], both, 0, 1)[0].present.tolist() == [[1, 1], [1, 1]]


def test_a_clip_without_sound_or_faces_is_shown_as_such() -> None:
    for there in ((True, False), (False, True)):
        shown = streams(drawn(0, seen=there[0], heard=there[1]).inputs, plan())
        assert shown.present.tolist() == list(map(int, there))
        assert shown.faces.any() == there[0]
        assert shown.sound.any() == there[1]
    silent = PairSampler([drawn(0, heard=False), drawn(1, heard=False)], plan(), 0, 1)[0]
    assert silent.present.tolist() == [[1, 0], [1, 0]]


def test_silence_does_not_tell_strangers_apart() -> None:
    made = [drawn(0, heard=False), drawn(1, fake=True)]
    pair = PairSampler(made, plan(matched_share=0.0), 0, 1)[0]
    assert pair.present.tolist() == [[1, 0], [1, 0]]
    assert not np.array_equal(*pair.faces)


def test_clips_that_cannot_be_used_are_refused() -> None:
    reals, fakes = [drawn(0), drawn(1)], [drawn(2, fake=True)]
    judges = [reals[0].inputs, fakes[0].inputs]
    with pytest.raises(ManifestError, match="no real clip"):
        JointTask(plan(), fakes, judges)
    with pytest.raises(ManifestError, match=r"no fake clip, and plan\.matched_share is 0"):
        JointTask(plan(matched_share=0.0), reals, judges)
    with pytest.raises(ManifestError, match="needs real and fake clips"):
        JointTask(plan(), reals, [reals[0].inputs])


def test_a_run_keeps_its_best_for_inference(tmp_path: Path) -> None:
    wanted = plan(consistency=0.5, matched_share=0.5)
    task = JointTask(wanted, [drawn(0), drawn(1), drawn(2, fake=True)], [drawn(3).inputs, drawn(4, fake=True).inputs])
    best = loop.fit(task, tmp_path, "AUC", best="multimodal_best_{AUC:.4f}.pt")
    content = read_run(best)
    assert best.name == f"multimodal_best_{content['metrics']['AUC']:.4f}.pt"
    assert {"model", "config", "epoch", "metrics", "optimiser", "scheduler"} <= set(content)
    again = load_for_inference(best)
    assert np.isfinite(score(again, drawn(3).inputs, wanted))
    assert torch.equal(again.absent, content["state_dict"]["net.absent"])


def test_the_faces_that_are_faked_need_no_further_network() -> None:
    assert "redrawn" not in FACES
    assert set(FACES.values()) == set(range(len(FACES)))


def keys(form: type[BaseModel], given: dict[str, Any], where: str = "") -> None:
    assert set(given) == set(form.model_fields), where
    for name, entry in form.model_fields.items():
        assert entry.description, name
        if isinstance(entry.annotation, type) and issubclass(entry.annotation, BaseModel):
            keys(entry.annotation, given[name], name)


def test_the_plan_names_and_explains_every_key() -> None:
    given = yaml.safe_load(PLAN.read_text())
    keys(JointPlan, given)
    assert read_plan(JointPlan, PLAN).net == NetPlan(**given["net"])
    lines = [line for line in PLAN.read_text().splitlines() if ":" in line and not line.startswith("#")]
    parents = {"  face", "  voice", "  both", "net"}
    assert [line for line in lines if "#" not in line and line.split(":")[0] not in parents] == []


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must name face, voice, both; check both, voice"):
        plan(kinds={"face": 1})
    for shares in ({"face": -1, "voice": 1, "both": 1}, {"face": 0, "voice": 0, "both": 0}):
        with pytest.raises(ValueError, match="none negative, at least one above 0"):
            plan(kinds=shares)


def folders(where: Path, voice: Path) -> Path:
    """One clip of each split and label, all of them sound alone."""
    for split in ("train", "val"):
        for label in ("real", "fake"):
            folder = where / split / f"{split}-{label}"
            folder.mkdir(parents=True)
            shutil.copy(voice, folder / "video.wav")
            (folder / "meta.json").write_text(json.dumps({"label": label}))
    (where / "train" / "torn").mkdir()
    (where / "train" / "torn" / "video.mp4").write_bytes(b"")
    (where / "train" / "torn" / "meta.json").write_text('{"label": 1}')
    return where


def asked(data: Path, out: Path, **changes: object) -> argparse.Namespace:
    usual = {"data": data, "out": out, "cache": out / "cache", "plan": PLAN, "debug": True, "threads": 1,
             "vad": "energy", "weights": Settings.from_env().weights}  # fmt: skip
    return argparse.Namespace(**{**usual, **changes})


def test_the_command_trains_on_four_samples_and_tells_of_bad_files(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data, out = folders(tmp_path / "data", media_samples.speech(tmp_path)), tmp_path / "out"
    with caplog.at_level("WARNING"):
        command.run(asked(data, out))
    assert "1 file was skipped:" in caplog.text
    assert "torn: the file is empty" in caplog.text
    best = Path(capsys.readouterr().out.strip())
    assert best.name.startswith("multimodal_best_")
    assert read_run(best)["epoch"] == 0
    assert training_sources(best) == ["data"]
    assert yaml.safe_load((out / PLAN_FILE).read_text())["epochs"] == 1
    command.run(asked(data, out))  # nothing is left to be learned
    assert Path(capsys.readouterr().out.strip()) == best


def test_splits_without_clips_or_labels_are_refused(tmp_path: Path, settings: Settings) -> None:
    data = folders(tmp_path / "data", media_samples.speech(tmp_path))
    shutil.rmtree(data / "val" / "val-fake")
    with pytest.raises(ManifestError, match="needs real and fake clips"):
        command.run(asked(data, tmp_path))
    shutil.rmtree(data / "val")
    with pytest.raises(ManifestError, match="has no clip of the split validation"):
        command.run(asked(data, tmp_path))
    (data / "train" / "train-real" / "meta.json").write_text('{"label": 2}')
    with pytest.raises(ManifestError, match="label is '2'"):
        command.run(asked(data, tmp_path))
