"""The training loop: bit-for-bit resume, what stops a run and what is kept of it, and plans."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from torch import Tensor, nn  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from networks.checkpoints import read_run  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from networks.loading import load_semantic  # noqa: E402
from training import checkpoints, loop  # noqa: E402
from training.cache import DiskFull  # noqa: E402
from training.plan import Plan, read_plan  # noqa: E402
from veracity.calibrate.errors import ManifestError  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(lightning|torch|tensorboard).*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:(lightning|torch).*"),
]
SMALL: dict[str, Any] = {"epochs": 4, "steps": 3, "batch": 2, "workers": 0, "average": 0.5, "rate": 0.05}


class Numbers(Dataset):
    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        if index >= self.count:
            raise IndexError
        return torch.sin(torch.arange(3.0) * (self.first + index + 1))


class Sums(loop.TrainingTask):
    """Learns the sum of three numbers; ``scores`` replaces the validation metrics."""

    scores: tuple[float, ...] = ()
    spoil = ""

    def __init__(self, plan: Plan, width: int = 5) -> None:
        super().__init__(plan, lambda: nn.Sequential(nn.Linear(3, width), nn.Dropout(0.2), nn.Linear(width, 1)))

    def items(self, first: int, count: int) -> Numbers:
        return Numbers(first, count)

    def loss(self, batch: Tensor) -> Tensor:
        loss = (self.net(batch)[:, 0] - batch.sum(1)).square().mean()
        if self.spoil == "loss" and self.current_epoch == 2:
            return loss * float("nan")
        if self.spoil == "ctrl-c" and self.global_step == 7:  # in the middle of the third epoch
            raise KeyboardInterrupt
        if self.spoil == "sigterm" and self.global_step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    def validate(self) -> dict[str, float]:
        if self.scores:
            return {"AUC": self.scores[self.current_epoch]}
        everything = torch.stack(list(Numbers(1000, 20)))
        return {"AUC": 1 - float((self.net(everything)[:, 0] - everything.sum(1)).square().mean())}


def learn(out: Path, *, width: int = 5, spoil: str = "", scores: tuple[float, ...] = (), **plan: Any) -> Path:
    task = Sums(Plan(**{**SMALL, **plan}), width)
    task.spoil, task.scores = spoil, scores
    return loop.fit(task, out, "AUC", best="best_{AUC:.4f}.pt")


def epoch_of(out: Path) -> int:
    epoch: int = read_run(out / loop.LAST)["epoch"]
    return epoch


def same(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor):
        return bool(torch.equal(one, two))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


@pytest.mark.parametrize("schedule", ["once", "restarts", "plateau"])
def test_a_run_stopped_within_an_epoch_goes_on_bit_for_bit(tmp_path: Path, schedule: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    scores = (0.5, 0.4, 0.3, 0.2)  # on a plateau from the start
    learn(whole, schedule=schedule, period=1, scores=scores)
    with pytest.raises(SystemExit, match=r"stopped in epoch 2; .*holds epoch 1: run the same command to resume"):
        learn(halves, schedule=schedule, period=1, scores=scores, spoil="ctrl-c")
    assert signal.getsignal(signal.SIGINT) is before  # a job in the background is born deaf to it
    assert epoch_of(halves) == 1
    learn(halves, schedule=schedule, period=1, scores=scores)
    one, two = (read_run(out / loop.LAST) for out in (whole, halves))
    assert one["epoch"] == two["epoch"] == 3
    for part in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers", "metrics"):
        assert same(one[part], two[part]), part
    assert same(one.get("plateau"), two.get("plateau"))


def test_the_end_of_a_machine_is_heard_as_ctrl_c_is(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"stopped in epoch 2; .*holds epoch 1: run the same command to resume"):
        learn(tmp_path, spoil="sigterm")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_schedules_move_the_rate_each_in_its_own_way(tmp_path: Path) -> None:
    rates = {}
    for schedule in ("once", "restarts", "plateau"):
        learn(tmp_path / schedule, schedule=schedule, period=1, scores=(0.5, 0.4, 0.3, 0.2))
        rates[schedule] = read_run(tmp_path / schedule / loop.LAST)["optimizer_states"][0]["param_groups"][0]["lr"]
    assert rates["once"] < 0.05 * 0.05
    assert rates["plateau"] == pytest.approx(0.05 * 0.3)
    assert rates["restarts"] == pytest.approx(0.05 * (1 + math.cos(math.pi / 4)) / 2)  # 3 of 12 after the second one


def test_the_best_is_kept_under_its_name_with_all_that_a_run_needs(tmp_path: Path) -> None:
    best = learn(tmp_path, scores=(0.5, 0.8, 0.3, 0.2))
    assert best.name == "best_0.8000.pt"
    content = read_run(best)
    assert content["epoch"] == 1
    assert content["metrics"] == {"AUC": 0.8}
    assert content["optimizer_states"]
    assert content["lr_schedulers"]
    assert epoch_of(tmp_path) == 3


def test_checkpoints_are_kept_for_good_every_so_often(tmp_path: Path) -> None:
    learn(tmp_path, keep_every=2)
    assert sorted(path.name for path in tmp_path.glob("epoch*")) == ["epoch=0001.ckpt", "epoch=0003.ckpt"]


def test_early_stopping_stops_and_stays_stopped(tmp_path: Path) -> None:
    scores = (0.5, 0.4, 0.3, 0.2)
    learn(tmp_path, scores=scores, patience=1)
    assert epoch_of(tmp_path) == 1
    learn(tmp_path, scores=scores, patience=1)
    assert epoch_of(tmp_path) == 1


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(loop.Diverged, match=r"the loss is nan in batch 0 of epoch 2: lower learning_rate"):
        learn(tmp_path, spoil="loss")
    content = read_run(tmp_path / loop.LAST)
    assert content["epoch"] == 1
    assert all(value.isfinite().all() for value in content["state_dict"].values())


def test_a_full_disk_is_said_and_the_checkpoint_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(tmp_path, epochs=4)
    before = (tmp_path / loop.LAST).read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "write", full)
    with pytest.raises(DiskFull, match=r"no space left for .*last\.ckpt; complete files are kept"):
        checkpoints.save({"a": 1}, tmp_path / loop.LAST)
    with pytest.raises(DiskFull, match="no space left"):
        learn(tmp_path / "other")
    assert (tmp_path / loop.LAST).read_bytes() == before


def test_another_plan_and_another_network_do_not_go_on(tmp_path: Path) -> None:
    learn(tmp_path)
    with pytest.raises(ManifestError, match="holds a different plan"):
        learn(tmp_path, learning_rate=0.1)
    with pytest.raises(ManifestError, match=r"last\.ckpt holds another network: net\.0\.weight"):
        learn(tmp_path, width=6)
    with pytest.raises(CheckpointError, match="holds another network"):
        load_semantic(tmp_path / loop.LAST)


def test_a_torn_checkpoint_is_said_to_be_so(tmp_path: Path) -> None:
    learn(tmp_path, epochs=1)
    last = tmp_path / loop.LAST
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt is no checkpoint, or is not whole"):
        learn(tmp_path, epochs=1)


def test_what_is_measured_is_logged_a_line_an_epoch_and_for_tensorboard(tmp_path: Path) -> None:
    learn(tmp_path, scores=(0.5, 0.8, 0.3, 0.2))
    lines = [json.loads(line) for line in (tmp_path / loop.LOG).read_text().splitlines()]
    assert [line["AUC"] for line in lines if "AUC" in line] == pytest.approx([0.5, 0.8, 0.3, 0.2])
    assert len([line for line in lines if "loss" in line]) == 4
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_arithmetic_in_fewer_bits(tmp_path: Path) -> None:
    best = learn(tmp_path / "bf16", precision="bf16")
    assert best.is_file()
    with pytest.raises(ManifestError, match="precision 16 needs a GPU"):
        learn(tmp_path / "half", precision="16")


def test_a_plan_names_the_key_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    wrong = (("stepps: 3\n", "stepps"), ("rate: -1\n", "rate"), ("- 1\n", "plan.yaml"), ("a: [", "plan.yaml"))
    for text, word in wrong:
        path.write_text(text)
        with pytest.raises(ManifestError, match=word):
            read_plan(Plan, path)
    assert read_plan(Plan, None, epochs=7).epochs == 7
    assert all(field.description for field in Plan.model_fields.values())
