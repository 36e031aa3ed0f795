"""The visual starter's training: its network, its plan, and a run that goes on where it stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
torch = pytest.importorskip("torch")

from test_visual_forgeries import drawn_clip  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from evaluation.manifest import Clip  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.facecam import FaceCam  # noqa: E402
from networks.loading import load_visual  # noqa: E402
from training import loop  # noqa: E402
from training.plan import read_plan  # noqa: E402
from training.visual import quality  # noqa: E402
from training.visual.faces import ClipFaces  # noqa: E402
from training.visual.forgeries import METHODS  # noqa: E402
from training.visual.pairs import Pair  # noqa: E402
from training.visual.task import VisualPlan, VisualTask, pair_loss, without_quality  # noqa: E402
from training.visual.validation import Validation, clip_score  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning"),
              pytest.mark.filterwarnings("ignore::FutureWarning")]  # fmt: skip


def test_the_map_gives_the_logit() -> None:
    net = FaceCam().eval()
    faces = torch.randint(0, 256, (3, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logit, cam = net(faces)
    assert cam.shape == (3, 7, 7)
    assert torch.allclose(logit[:, 0], cam.exp().mean((1, 2)).log(), atol=1e-5)


def test_a_backbones_weights_are_taken_in_their_order(tmp_path: Path) -> None:
    published, net = FaceCam(), FaceCam()
    parts = (published.stem, published.norm, published.blocks)
    values = [value for part in parts for name, value in part.state_dict().items() if "num_batches" not in name]
    values += [torch.zeros(7)]  # of the blocks that are left out
    torch.save({f"another_name.{k}": value for k, value in enumerate(values)}, tmp_path / "published.pth")
    net.read(tmp_path / "published.pth")
    assert torch.equal(net.blocks[4][0].conv_pw.weight, published.blocks[4][0].conv_pw.weight)
    torch.save({f"another_name.{k}": value for k, value in enumerate(values[1:])}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="does not hold the weights of EfficientNet-Lite0"):
        net.read(tmp_path / "other.pth")


class Blurred(Dataset[Pair]):
    """Pairs whose real face is random texture, ever softer."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Pair:
        coarse = np.random.default_rng(index).integers(0, 256, (224, 224, 3)).astype(np.uint8)
        soft = cv2.GaussianBlur(coarse, (0, 0), 0.3 + index / 10)
        return Pair(np.stack([soft, soft]), np.zeros((7, 7), np.float32), 0)


def test_what_quality_explains_is_taken_off() -> None:
    torch.manual_seed(0)
    net, pairs = FaceCam().eval(), Blurred()
    faces = torch.stack([torch.from_numpy(pairs[number].faces[0]) for number in range(len(pairs))])

    def softness() -> float:
        with torch.inference_mode():
            found, logits = net.quality(net.picture(faces))[:, 0], net(faces)[0][:, 0]
        return abs(float(torch.corrcoef(torch.stack([found, logits]))[0, 1]))

    before = softness()
    assert quality.fit(net, pairs) > 0.3
    assert before > 0.5
    assert softness() < 0.2
    with torch.inference_mode():
        logit, cam = net(faces)
    assert torch.allclose(logit[:, 0], cam.exp().mean((1, 2)).log(), atol=1e-5)  # the map still gives it


def test_the_loss_falls_where_fakes_score_higher_where_they_were_altered() -> None:
    plan, masks = VisualPlan(), torch.zeros(2, 7, 7)
    masks[:, 4:] = 1
    right = torch.stack([-torch.ones(2, 7, 7), masks * 2 - 1], dim=1) * 4
    logits = right.flatten(2).exp().mean(2).log()
    assert pair_loss(logits, right, masks, plan) < 0.5 < pair_loss(-logits, -right, masks, plan)


def test_a_clip_is_the_mean_of_its_frames_worst_faces() -> None:
    times, logits = np.array([0.0, 0.0, 1.0]), np.array([-100.0, 100.0, -100.0])
    assert clip_score(times, logits) == pytest.approx(0.5)


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    for text, named in (
        ("stepps: 3\n", "stepps"),
        ("methods: {mouth: 1}\n", "swapped"),
        ("reencodings: [crf3]\n", "crf30"),
    ):
        plan.write_text(text)
        with pytest.raises(ManifestError, match=named):
            read_plan(VisualPlan, plan)


def people() -> tuple[list[ClipFaces], list[ClipFaces]]:
    fake = drawn_clip(9)
    clip = Clip(fake.clip.path.with_name("y__9.mp4"), "video", "fake", "y", "permissive", "own")
    stranger = ClipFaces(clip, fake.crops, fake.times, fake.tracks, ())
    return [drawn_clip(k) for k in range(3)], [drawn_clip(5), drawn_clip(6), stranger]


class Grain(nn.Module):
    """Calls fake what has little grain, or much."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, faces: Tensor) -> tuple[Tensor, None]:
        steps = (faces[:, 1:].float() - faces[:, :-1].float()).abs().mean((1, 2, 3))
        return self.sign * (20 - steps[:, None]) / 10, None


def test_validation_knows_a_good_network_from_its_opposite() -> None:
    validation = Validation(people()[1])
    good, bad = (validation.report(Grain(sign)) for sign in (1.0, -1.0))
    assert set(good) == {"forgeries", "videos/y", *(f"forgeries/{name}" for name in METHODS)}
    assert good["forgeries/generated"] > 0.7
    assert bad["forgeries/generated"] == pytest.approx(1 - good["forgeries/generated"])


SMALL: dict[str, Any] = {"steps": 2, "batch": 2, "workers": 0}


@pytest.mark.slow
def test_a_run_trains_and_its_network_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = VisualPlan(epochs=1, **SMALL)
    loop.fit(VisualTask(plan, *people()), tmp_path, "forgeries")
    trained, fresh = (net.state_dict() for net in (load_visual(tmp_path / loop.LAST), VisualTask(plan, *people()).net))
    assert not torch.equal(trained["stem.weight"], fresh["stem.weight"])
    monkeypatch.setattr(quality, "FACES", 8)
    net = load_visual(without_quality(tmp_path, people()[1], plan))
    assert net.expected.any()
    assert torch.equal(net.stem.weight, trained["stem.weight"])
