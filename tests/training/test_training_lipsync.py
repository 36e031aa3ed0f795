"""The lip layer's task: seconds and their forgeries, degraded and cropped alike; pairs; the network; a small run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: requirements/torch.txt")

from torch import Tensor  # noqa: E402

from evaluation.manifest import Clip  # noqa: E402
from networks.bands import SHAPE, Bands  # noqa: E402
from networks.checkpoints import training_sources  # noqa: E402
from networks.lips import PICTURE, LipNet, LipStarter  # noqa: E402
from networks.loading import load_lipsync  # noqa: E402
from networks.mouth_fit import FRAME, SHIFT, MouthFit  # noqa: E402
from training import loop  # noqa: E402
from training.lipsync import forgeries, pairs, task, validation  # noqa: E402
from training.lipsync.degradations import degrade, encode_decode  # noqa: E402
from training.lipsync.extract import Second  # noqa: E402
from training.plan import read_plan  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402
from veracity.catalog.layers import LIP_SIZE as SIDE  # noqa: E402
from veracity.evidence.crops import MEAN_FACE  # noqa: E402
from veracity.evidence.lips import lip_crops  # noqa: E402

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
SHARES = dict.fromkeys(forgeries.METHODS, 1.0)


def second(path: str = "a.mp4", label: str = "real", seed: int = 0, frames: int = 25) -> Second:
    """A textured face-sized picture that sways, with the mean face's landmarks on it."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (256, 256)), (0, 0), 2.0)
    texture = (128 + 40 * noise / noise.std()).clip(0, 255).astype(np.uint8)
    scene = np.stack([np.roll(texture, k % 3, axis=1) for k in range(frames)])
    landmarks = np.stack([MEAN_FACE + np.array([k % 3, 0]) for k in range(frames)])
    boxes = np.tile([66.0, 50.0, 190.0, 214.0], (frames, 1))
    clip = Clip(Path(path), "video", label, "made here", "permissive", "none", name=path)
    return Second(clip, 0, 1, True, lip_crops(list(scene), landmarks), scene, landmarks, boxes, np.zeros(0, np.int16))


@pytest.mark.parametrize("method", forgeries.METHODS)
def test_a_forgery_changes_the_mouth_and_nothing_outside_the_mask(method: str) -> None:
    one = second()
    fake, masks = forgeries.forge(one.scene, one.landmarks, one.boxes, method, np.random.default_rng(1))
    assert fake.shape == one.scene.shape
    assert fake.dtype == np.uint8
    assert np.array_equal(fake[masks == 0], one.scene[masks == 0])
    assert (fake != one.scene).any()
    x, y = one.landmarks[0, 3:].mean(axis=0).round().astype(int)
    assert masks[0, y, x] > 0.5


def test_two_equal_scenes_stay_equal_on_their_way() -> None:
    scene = second().scene
    for seed in range(4):
        degraded, scale = degrade(np.stack([scene, scene]), 124.0, np.random.default_rng(seed))
        assert degraded.shape[:2] == (2, 25)
        assert 0 < scale <= 1
        apart = degraded[0].astype(int) - degraded[1]
        assert abs(apart.mean()) < 0.5  # one below the other in one film: a codec's rounding may differ
        assert np.abs(apart).mean() < 6


def test_a_film_comes_back_in_order_and_at_its_brightness() -> None:
    levels = np.linspace(5, 250, 25).astype(np.uint8)
    scenes = np.broadcast_to(levels[:, None, None], (2, 25, 50, 70)).copy()
    back = encode_decode(scenes, ("-c:v", "libx264", "-crf", "10"), lead=4)
    assert back.shape == scenes.shape
    assert np.abs(back.astype(int) - scenes).max() <= 3


def test_the_order_of_moments_is_what_its_name_says() -> None:
    rng = np.random.default_rng(3)
    held = forgeries._order(25, "held", rng)
    assert len(set(held)) < 25
    assert (np.diff(held) >= 0).all()
    assert sorted(forgeries._order(25, "shuffled", rng)) == list(range(25))
    assert list(forgeries._order(25, "reversed", rng)) == list(range(24, -1, -1))
    assert all(forgeries._order(25, time, rng).max() < 25 for time in ("late", "slow", "stuttering"))


def test_a_pair_is_the_same_whoever_asks_and_is_made_once(tmp_path: Path) -> None:
    seconds = [second("a.mp4"), second("b.mp4", seed=1)]
    pair = pairs.Pairs(seconds, tmp_path, 0, 2, SHARES).cached(1)
    assert pair.mouths.shape == (2, 25, SIDE, SIDE)
    assert np.array_equal(pairs.Pairs(seconds, tmp_path / "other", 0, 2, SHARES).cached(1).mouths, pair.mouths)
    assert len(list(tmp_path.glob("pairs-*/1.npz"))) == 1


def test_every_pair_is_drawn_once_before_any_comes_again() -> None:
    known = torch.arange(5.0).reshape(5, 1, 1, 1, 1, 1).expand(5, 2, *SHAPE)
    drawn = task.ShuffledPairs(known, 0, 5, 10)
    assert len(drawn) == 10
    assert sorted(drawn[k][0, 0, 0, 0, 0].item() for k in range(5)) == [0, 1, 2, 3, 4]
    assert torch.equal(task.ShuffledPairs(known, 0, 6, 3)[2], drawn[3])


def test_fakes_are_never_made_of_fakes(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="real clips with faces"):
        pairs.Pairs([second(label="fake")], tmp_path, 0, 2, SHARES)


def test_a_photograph_becomes_a_second_of_film() -> None:
    still = second(frames=1)
    mouths = pairs.paired(still, "painted", np.random.default_rng(0))
    assert mouths.shape == (2, 25, SIDE, SIDE)
    film, points = pairs._moving(still, np.random.default_rng(0))
    assert film.shape == (25, 256, 256)
    assert np.ptp(points[:, 2], axis=0).max() > 0.2  # the nose moves, and not the grain alone


def test_what_is_read_of_a_second_turns_with_its_mirror_image() -> None:
    lips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 25, SIDE, SIDE), np.uint8))
    numbers = Bands()(lips)
    assert numbers.shape == (1, *SHAPE)
    assert torch.allclose(Bands()(lips.flip(-1)).flip(-1)[:, 0], numbers[:, 0], atol=1e-3)
    still = lips[:, :1].expand(-1, 25, -1, -1)
    assert Bands()(still)[:, :, 1].max() < Bands()(lips)[:, :, 1].min()  # nothing changes from frame to frame


def talk(shift: int) -> tuple[Tensor, Tensor]:
    """A mouth that opens at random, and a tone that is loud ``shift`` frames after it opens."""
    rng = np.random.default_rng(5)
    opened = np.convolve(rng.random(25 + 4 * SHIFT), np.ones(3) / 3, "same")
    lips = np.full((1, 25, SIDE, SIDE), 150.0)
    lips[0, :, 70:86, 60:84] -= 140 * opened[2 * SHIFT : 2 * SHIFT + 25, None, None]
    loud = np.repeat(opened[SHIFT - shift : SHIFT - shift + 25 + 2 * SHIFT], FRAME)
    tone = 8_000 * np.exp(4 * loud - 4) * np.sin(2 * np.pi * 700 * np.arange(len(loud)) / 16_000)
    return torch.from_numpy(lips.astype(np.uint8)), torch.from_numpy(tone.astype(np.int16)[None])


def test_a_sound_that_is_moved_does_not_fit() -> None:
    fit = MouthFit()
    for shift in (0, 2, -3):
        lips, sound = talk(shift)
        assert fit(lips, sound).item() < -0.2
        assert fit.curve(lips, sound)[0].argmax().item() == SHIFT + shift
    for shift in (-8, 6, 9):
        assert fit(*talk(shift)).item() > 0.2


def test_without_sound_nothing_is_said_about_it() -> None:
    lips, sound = talk(0)
    assert MouthFit()(lips, torch.zeros_like(sound)).item() == 0
    begins_late = sound.clone()
    begins_late[:, : 12 * FRAME] = 0  # the film begins here: only later shifts can be heard
    assert MouthFit().curve(lips, begins_late)[1].tolist()[0] == [k >= 12 for k in range(2 * SHIFT + 1)]


def test_the_starter_answers_for_the_worse_of_both() -> None:
    torch.manual_seed(0)
    starter = LipStarter(LipNet()).eval()
    with torch.no_grad():
        together, apart = (starter(*talk(shift)).item() for shift in (0, 8))
        lips, sound = talk(0)
        picture = starter.picture(lips).item()
        silent = starter(lips, torch.zeros_like(sound)).item()
    assert apart > together
    assert silent == pytest.approx(np.logaddexp(PICTURE * picture, 0) - np.log(2), abs=1e-5)


def test_a_clip_scores_as_its_worst_face() -> None:
    ones = [second(), second(), replace(second(), track=2)]
    assert validation.clip_scores(ones, np.array([-1.0, 0.0, 3.0])) == {"a.mp4": 3.0}


def test_plans_say_which_key_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("methods: {painted: 1}\n")
    with pytest.raises(ManifestError, match="frozen"):
        read_plan(task.LipPlan, path)
    with pytest.raises(ManifestError, match="train_on"):
        read_plan(task.LipPlan, None, train_on="test")
    shipped = read_plan(task.LipPlan, Path(task.__file__).parents[1] / "plans" / "lipsync.yaml")
    assert shipped.train_on == "both"


def test_a_run_ends_with_weights_that_say_what_they_learned_from(tmp_path: Path) -> None:
    plan = task.LipPlan(epochs=1, steps=2, batch=2, pairs_per_split=2, workers=0)
    learning = task.make_task(plan, [second("a.mp4"), second("b.mp4", seed=1)], tmp_path)
    loop.fit(learning, tmp_path / "run", "mean")
    net = load_lipsync(tmp_path / "run" / loop.LAST)
    assert training_sources(tmp_path / "run" / loop.LAST) == ["made here"]
    assert not net.training
