"""Where networks look: maps that are where the evidence is, laid over what was looked at; and several as one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_models

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from checkpoints import audio, cut, explained, joint  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from networks import loading  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.facecam import FaceCam  # noqa: E402
from networks.registry import AUDIO_NETS  # noqa: E402
from networks.whisper import WhisperEncoder  # noqa: E402
from training import explain  # noqa: E402
from training.plan import Plan  # noqa: E402
from training.saliency import evidence, exact_cam, grad_cam, overlay, shares  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.catalog.layers import WINDOW_SAMPLES  # noqa: E402
from veracity.install.graphs import ctranslate2  # noqa: E402
from veracity.settings import Settings  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated"),  # pyworld looks its own version up
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(lightning|torch|tensorboard).*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:(lightning|torch).*"),
]


class Corner(nn.Module):
    """Calls bright what is fake; reads it out of 8 × 8 cells, and looks at the upper left ones alone."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 8, 8, bias=False)
        nn.init.constant_(self.maps.weight, 1 / 192)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.maps(pictures)[:, :1, :2, :2].mean((2, 3))


def test_grad_cam_is_hot_where_the_answer_comes_from() -> None:
    pictures = torch.zeros(2, 3, 64, 64)
    pictures[0, :, :16, :16] = 1
    logits, maps = grad_cam(Corner(), (pictures,))
    assert logits[:, 0].tolist() == pytest.approx([1, 0], abs=1e-4)
    assert maps.shape == (2, 8, 8)
    assert maps[0, :2, :2].min() > 0
    assert maps[0].sum() == pytest.approx(float(maps[0, :2, :2].sum()), abs=1e-5)
    assert not maps[1].any()
    assert shares(maps.numpy()).max() == pytest.approx(1)


def test_a_network_without_a_map_says_so() -> None:
    with pytest.raises(ManifestError, match="Linear has no feature map"):
        grad_cam(nn.Linear(3, 1), (torch.zeros(1, 3),))


@pytest.mark.parametrize("name", ["melspec", "rawnet2", "spectrum"])
def test_audio_networks_have_maps_over_their_spectrograms(name: str) -> None:
    net, sound = AUDIO_NETS[name]().eval(), torch.randn(2, 32_000)
    logits, maps = grad_cam(net, (sound,))
    assert logits.shape == (2, 1)
    assert len(maps) == 2
    assert torch.isfinite(maps).all()
    assert explain.spectrogram(net, sound).dtype == np.uint8


def test_the_exact_map_is_the_networks_own() -> None:
    net = FaceCam().eval()
    faces = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        answer = net(faces)
    logits, maps = exact_cam(answer)
    odds = (maps / (1 - maps)).mean((1, 2)).log()
    assert torch.allclose(odds, logits[:, 0], atol=1e-4)


def test_an_overlay_leaves_what_is_cold_and_reddens_what_is_hot() -> None:
    picture = np.full((64, 64, 3), 100, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[0, 0] = 1
    over = overlay(picture, heat)
    assert (over[16:, 16:] == 100).all()
    assert over[0, 0, 0] > 110 > 60 > over[0, 0, 2]
    assert overlay(picture[..., 0], heat).shape == (64, 64, 3)


def test_the_joint_network_is_explained_on_its_faces(tmp_path: Path) -> None:
    shown = explained(joint(tmp_path / "joint.pt"))(cut())
    assert shown.pictures.shape == (2, 224, 224, 3)
    assert shown.maps.shape == (2, 7, 7)
    assert shown.maps.max() == pytest.approx(1)
    files = list(explain.write(shown, tmp_path / "out"))
    assert [file.name[:4] for file in files] == ["000_", "001_"]
    assert cv2.imread(str(files[0])).shape == (224, 224, 3)
    assert len(explained(tmp_path / "joint.pt")(cut(faces=0)).pictures) == 0


def test_a_voice_is_explained_on_its_spectrogram(tmp_path: Path) -> None:
    shown = explained(audio(tmp_path / "spectrum.pt"))(cut(windows=2))
    assert shown.pictures.ndim == 3
    assert len(shown.pictures) == len(shown.maps) == len(shown.logits) == 2


def test_a_voice_is_hot_when_it_sounds_wrong_to_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    listening, head = WhisperEncoder().eval(), AUDIO_NETS["whisper"]()
    monkeypatch.setattr(explain, "encoder", lambda _: listening)
    monkeypatch.setattr(ctranslate2, "read", lambda _: {})
    given = cut(windows=2)
    given.windows[0, : WINDOW_SAMPLES // 2] //= 50
    sound = torch.from_numpy(given.windows.astype(np.float32) / 32_768)
    with torch.no_grad():  # a head that dislikes what the loud half has and the quiet one has not
        quiet, loud = (half.mean(0) for half in listening.moments(sound)[0].chunk(2))
        head.usual.copy_((quiet + loud) / 2)
        head.outer.weight.copy_((loud - quiet)[None])
    torch.save({"net": "whisper", "state": head.state_dict(), "trained_on": []}, tmp_path / "whisper.pt")
    shown = explained(tmp_path / "whisper.pt")(given)
    assert shown.logits == pytest.approx(head.eval()(listening(sound)).detach().numpy()[:, 0], abs=1e-5)
    assert shown.maps.shape == (2, 1, listening.stages(sound)[0].shape[1])
    assert shown.pictures.shape[:2] == (2, 80)
    first, second = shown.maps[0, 0, : shown.maps.shape[2] // 2], shown.maps[0, 0, shown.maps.shape[2] // 2 :]
    assert second.mean() > first.mean() + 0.1


def test_of_many_faces_some_are_shown_evenly_spread() -> None:
    faces = np.arange(40, dtype=np.uint8)[:, None, None]
    assert explain.spread(faces)[[0, -1], 0, 0].tolist() == [0, 39]
    assert len(explain.spread(faces)) == explain.MOST
    assert len(explain.spread(faces[:3])) == 3


def test_what_is_undecided_is_no_evidence() -> None:
    assert evidence(np.array([0.0, 0.5, 0.75, 1.0], np.float32)).tolist() == [0, 0, 0.5, 1]


def asked(model: object, video: Path, out: Path) -> argparse.Namespace:
    weights = Settings.from_env().weights
    return argparse.Namespace(model=str(model), video=video, out=out, threads=1, vad="energy", weights=weights)


def test_the_command_lays_an_installed_models_map_over_a_film(
    talking: Path,
    full_repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_models.install(full_repository, "visual_starter")
    monkeypatch.setenv("VERACITY_MODEL_REPOSITORY", str(full_repository))
    explain.run(asked("visual_starter", talking, tmp_path / "out"))
    named = capsys.readouterr().out.splitlines()
    assert 10 < len(named) <= explain.MOST
    assert all(Path(name).is_file() for name in named)


def test_the_command_says_what_is_wrong(tmp_path: Path, settings: Settings) -> None:
    film, out = tmp_path / "film.mp4", tmp_path / "out"
    for model, video, word in (
        ("audio_starter", film, "audio_starter answers no CAM; those that do: visual_starter"),
        (tmp_path / "none.pt", film, "no checkpoint at"),
        (joint(tmp_path / "joint.pt"), film, "no video at"),
    ):
        with pytest.raises((ManifestError, CheckpointError), match=word):
            explain.run(asked(model, video, out))
    film.write_bytes(b"no film")
    with pytest.raises(ManifestError, match="this is no video"):
        explain.run(asked(tmp_path / "joint.pt", film, out))
    assert not out.exists()


def test_a_checkpoint_of_nobody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"weights": 1}, path)
    with pytest.raises(CheckpointError, match="is no checkpoint of training"):
        loading.open_checkpoint(path)
    torch.save({"net": "nothing", "state": {}}, path)
    with pytest.raises(CheckpointError, match="holds 'nothing'"):
        loading.open_checkpoint(path)
    torch.save({"net": "spectrum", "state": {}}, path)
    with pytest.raises(CheckpointError, match="does not fit spectrum"):
        loading.open_checkpoint(path)


@pytest.mark.parametrize("kind", ["visual", "lipsync", "semantic"])
def test_a_lessons_checkpoint_is_known_by_its_plan_and_network(kind: str, tmp_path: Path) -> None:
    from networks.lips import LipNet
    from networks.semantic import SemanticHead
    from training import loop
    from training.lipsync.task import LipPlan
    from training.semantic.task import SemanticPlan
    from training.visual.task import VisualPlan

    kinds: dict[str, Callable[[], tuple[Plan, nn.Module]]] = {
        "visual": lambda: (VisualPlan(), FaceCam()),
        "lipsync": lambda: (LipPlan(), LipNet()),
        "semantic": lambda: (SemanticPlan(), SemanticHead()),
    }
    plan, net = kinds[kind]()
    (tmp_path / loading.PLAN).write_text(json.dumps(plan.model_dump(mode="json")))
    path = tmp_path / loop.LAST
    torch.save({"state_dict": {f"net.{name}": value for name, value in net.state_dict().items()}}, path)
    opened = loading.open_checkpoint(path)
    assert opened.kind == kind
    assert type(opened.net) is type(net)
    if kind == "semantic":
        with pytest.raises(ManifestError, match="has no map of its own"):
            explained(path)
    else:
        shown = explained(path)(cut())
        assert len(shown.pictures) == (2 if kind == "visual" else 25)


def test_the_cells_of_the_lips_add_up_to_the_answer() -> None:
    from networks.lips import LipNet

    torch.manual_seed(0)
    net = LipNet().eval()
    lips = torch.randint(0, 256, (2, 25, 144, 144), dtype=torch.uint8)
    with torch.inference_mode():
        whole, cells = net(lips)[:, 0], net.cells(lips)
    assert cells.shape == (2, 6, 6)
    assert torch.allclose(cells.sum((1, 2)) + net.lines.weigh[1].bias, whole, atol=1e-3)
