"""The semantic starter's training: its fakes, what is cut, its task, and its head as a graph."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")

import onnx  # noqa: E402

from evaluation.manifest import Clip  # noqa: E402
from export.semantic_starter import head_of  # noqa: E402
from networks.loading import load_semantic  # noqa: E402
from networks.semantic import WIDTH, SemanticHead  # noqa: E402
from training import cache, loop  # noqa: E402
from training.semantic.extract import FRAMES, ClipEmbeddings, extractor  # noqa: E402
from training.semantic.forgeries import METHODS, headed, redrawn, smoothed  # noqa: E402
from training.semantic.task import PairSampler, SemanticPlan, SemanticTask, chosen, report  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.evidence.crops import whole_picture  # noqa: E402
from veracity.evidence.requests import State  # noqa: E402
from veracity.install.graphs.publish import session  # noqa: E402
from veracity.install.graphs.semantic_starter import FEATURE  # noqa: E402

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning"),
              pytest.mark.filterwarnings("ignore::FutureWarning")]  # fmt: skip

BOX = (120.0, 80.0, 200.0, 190.0)


def picture(height: int = 300, width: int = 320, seed: int = 0) -> NDArray[np.uint8]:
    """Coarse colours with grain on them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (12, 12, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grainy: NDArray[np.uint8] = np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
    return grainy


def doubled(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stands for an up-scaling network."""
    large: NDArray[np.uint8] = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return large


def grain(image: NDArray[np.uint8]) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).std())


@pytest.mark.parametrize("method", [redrawn, smoothed])
def test_a_whole_fake_has_lost_its_grain_everywhere(method: Callable[..., NDArray[np.uint8]]) -> None:
    real = picture()
    fake = method(real, BOX, [doubled], np.random.default_rng(1))
    assert fake.shape == real.shape
    assert fake.dtype == np.uint8
    for part in (slice(0, 60), slice(120, 180), slice(-60, None)):
        assert grain(fake[part]) < 0.5 * grain(real[part])


def test_a_head_is_faked_and_what_is_far_from_it_is_left() -> None:
    real = picture()
    fake = headed(real, BOX, [doubled], np.random.default_rng(1))
    assert grain(fake[110:160, 140:180]) < 0.5 * grain(real[110:160, 140:180])
    assert (fake[:, :60] == real[:, :60]).all()
    assert np.abs(fake[100:160, 72:75].astype(int) - real[100:160, 72:75]).mean() < 1  # the edge is soft


@pytest.mark.parametrize("name", METHODS)
def test_the_same_draw_gives_the_same_fake(name: str) -> None:
    first, second = (METHODS[name](picture(), BOX, [doubled], np.random.default_rng(5)) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(("height", "width"), [(448, 300), (100, 180), (224, 224)])
def test_the_layer_sees_the_middle_square_of_the_whole_picture(height: int, width: int) -> None:
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, height)[:, None]
    ramp[..., 1] = np.linspace(0, 255, width)[None]
    seen = whole_picture(ramp, 224)
    assert seen.shape == (224, 224, 3)
    for colour, side, other in ((0, height, width), (1, width, height)):
        ends = seen[:, :, colour].mean(axis=1 - colour)[[0, 112, -1]]
        out = max(0.0, (1 - other / side) / 2) * 255  # what is cut off an end
        assert ends == pytest.approx([out, 127.5, 255 - out], abs=3)


class Nobody:
    """Finds no face."""

    def state(self, model: str) -> State:
        return "ready"

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        count = len(inputs["IMAGE"])
        shapes: dict[str, tuple[int, ...]] = {"BOXES": (16, 4), "SCORES": (16,), "LANDMARKS": (16, 5, 2)}
        return {name: np.zeros((count, *shape), np.float32) for name, shape in shapes.items()}


class Mean:
    """Colours in the place of what an encoder makes of them."""

    def __init__(self) -> None:
        self.shown: list[NDArray[np.uint8]] = []

    def __call__(self, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.shown += list(squares)
        return np.stack([np.asarray(square, np.float32).mean((0, 1)) for square in squares])


def test_a_real_picture_is_cut_with_its_fakes_and_a_generated_one_without(tmp_path: Path) -> None:
    real, fake = tmp_path / "a__1.png", tmp_path / "AniPortrait__x.png"
    cv2.imwrite(str(real), picture())
    tiles = np.zeros((104, 206, 3), np.uint8)  # two squares of 100 with a black edge: the original, the generated one
    tiles[2:102, 2:102], tiles[2:102, 104:204] = (0, 0, 255), (255, 0, 0)  # red, blue
    cv2.imwrite(str(fake), tiles)
    clips = [Clip(path, "images", label, "x", "permissive", "own") for path, label in ((real, "real"), (fake, "fake"))]
    encoder = Mean()
    (first, second), bad = cache.collect(clips, tmp_path / "kept", extractor(Nobody(), encoder, [doubled]))
    assert not bad
    assert first.degraded.shape == (1, 1, 1 + len(METHODS), 3)
    assert second.degraded.shape == (1, 1, 1, 3)
    assert second.plain[0] == pytest.approx([0, 0, 255], abs=3)  # nothing but the generated one
    seen = len(encoder.shown)
    cache.collect(clips, tmp_path / "kept", extractor(Nobody(), encoder, [doubled]))
    assert len(encoder.shown) == seen  # cut once


def clip(name: str, label: str, source: str) -> Clip:
    return Clip(Path(f"{name}.mp4"), "video", label, source, "permissive", "own", name=name)


def people(fakes: bool = True, seed: int = 0) -> list[ClipEmbeddings]:
    """What a generator made lies on one side; the fakes made of a real picture lie a little on the same side."""
    rng = np.random.default_rng(seed)
    way = np.random.default_rng(99).standard_normal(WIDTH)
    made = []
    for number in range(6):
        base = rng.standard_normal(WIDTH) + 5
        plain = base + rng.standard_normal((FRAMES, WIDTH)) * 0.3
        steps = np.arange(1 + len(METHODS)).clip(0, 1)[:, None] * way * 0.5
        degraded = plain[:, None, None] + steps + rng.standard_normal((FRAMES, 1, 1, WIDTH)) * 0.1
        name = f"r{seed}{number}"
        made.append(ClipEmbeddings(clip(name, "real", "x"), plain.astype(np.float32), degraded.astype(np.float32)))
        if fakes:
            away = (plain + way).astype(np.float32)
            made.append(ClipEmbeddings(clip(f"f{seed}{number}", "fake", "g"), away, away[:, None, None]))
    return made


PLAN = {"epochs": 2, "steps": 20, "batch": 16, "learning_rate": 0.02, "workers": 0}


def test_it_learns_what_generators_leave_and_becomes_a_graph(tmp_path: Path) -> None:
    task = SemanticTask(SemanticPlan(**PLAN), people(), people(seed=1))
    assert report(task.net, people(seed=1))["videos/g"] == 0.5  # it knows nothing yet
    loop.fit(task, tmp_path, "loss", "min")
    head = load_semantic(tmp_path / loop.LAST)
    assert isinstance(head, SemanticHead)
    found = report(head, people(seed=1))
    assert min(found.values()) > 0.9
    assert {"videos/g", *(f"forgeries/{name}" for name in METHODS)} == set(found)

    made = head_of(tmp_path / loop.LAST)
    assert made.provenance["trained_on"] == ["g", "x"]
    onnx.checker.check_model(made.graph, full_check=True)
    given = np.random.default_rng(3).standard_normal((3, WIDTH)).astype(np.float32)
    with torch.inference_mode():
        assert np.allclose(session(made.graph).run(None, {FEATURE: given})[0], head(torch.from_numpy(given)), atol=1e-4)


def test_a_pair_is_one_picture_through_one_channel() -> None:
    seen = people()
    pairs = PairSampler(seen, SemanticPlan(matched_share=1), 0, 40)
    degraded = {one.degraded[k, 0, 0].tobytes(): one.degraded[k, 0, 1:] for one in seen if not one.clip.fake
               for k in range(FRAMES)}  # fmt: skip
    for real, fake in (pairs[k].numpy() for k in range(40)):
        assert fake.tobytes() in {row.tobytes() for row in degraded[real.tobytes()]}


def test_strangers_are_a_real_picture_and_a_generated_one() -> None:
    seen = people()
    rows = {row.tobytes(): one.clip.fake for one in seen for row in (*one.plain, *one.degraded[:, 0, 0])}
    pairs = PairSampler(seen, SemanticPlan(matched_share=0), 7, 30)
    assert all([rows[row.numpy().tobytes()] for row in pairs[k]] == [False, True] for k in range(30))
    again = PairSampler(seen, SemanticPlan(matched_share=0), 0, 40)
    assert all(torch.equal(pairs[k], again[k + 7]) for k in range(30))  # by number


def test_without_a_generated_clip_there_must_be_pairs_alone() -> None:
    with pytest.raises(ManifestError, match="generated"):
        PairSampler(people(fakes=False), SemanticPlan(), 0, 4)
    assert len(PairSampler(people(fakes=False), SemanticPlan(matched_share=1), 0, 4)) == 4


def test_only_generated_fakes_teach_and_no_picture_twice() -> None:
    named = {
        "a": ("real", "x"),
        "obama-240p": ("real", "x"),
        "b": ("fake", "AniPortrait"),
        "e": ("fake", "github:Zejun-Yang/AniPortrait"),
        "c": ("fake", "wav2lip"),
    }
    clips = [clip(name, label, source) for name, (label, source) in named.items()]
    hidden = Clip(Path("d.mp4"), "video", "real", "x", "test_only", "own")
    assert [one.name for one in chosen([*clips, hidden])] == ["a", "b", "e"]
