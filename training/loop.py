"""The one training loop, on Lightning: a lesson's batches, loss and judge are its own, all else is here.

An epoch is a fixed number of batches, drawn by number: a run that is resumed at an epoch's end goes on with the very
batches that it would have drawn, and on a processor it ends with the very same weights.
"""

from __future__ import annotations

import json
import logging
import math
import signal
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from evaluation.manifest import ManifestError
from networks.checkpoints import TRAINED_ON, read_run
from networks.loading import PLAN
from networks.registry import parameters
from training.cache import room_for
from training.checkpoints import JsonLines, WholeFiles
from training.plan import Plan, read_plan

import lightning  # isort: skip  # training.checkpoints makes it importable
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

log = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)  # advice and advertisements

LAST = "last.ckpt"  # where a run goes on
LOG = "log.jsonl"  # what was measured, an object a line; TensorBoard's own files lie in `tensorboard`


class Lesson(lightning.LightningModule):
    """A network with what it learns from; the three abstract methods are a lesson's own."""

    def __init__(self, plan: Plan, make: Callable[[], nn.Module], taught: Iterable[str] = ()) -> None:
        """``make`` makes the network, from the plan's seed on; ``taught`` are the sources that it learns from."""
        super().__init__()
        self._taught = sorted(set(taught))
        lightning.seed_everything(plan.seed, workers=True, verbose=False)
        self.plan, self.net = plan, make()
        self.monitor, self.mode = "", "max"  # what `fit` asks of it
        self.report: dict[str, float] = {}  # what the judge said last
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None

    @abstractmethod
    def items(self, first: int, count: int) -> Dataset[Any]:
        """``count`` items to learn from, beginning with number ``first`` of all that will ever be drawn."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """The loss of a batch of items."""

    @abstractmethod
    def judge(self) -> Mapping[str, float]:
        """How good the network is now (it is in eval mode, without gradients); holds what ``fit`` monitors."""

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of the present epoch."""
        count = self.plan.steps * self.plan.batch
        items, workers = self.items(self.current_epoch * count, count), self.plan.workers
        return DataLoader(items, self.plan.batch, num_workers=workers, prefetch_factor=4 if workers else None)

    def val_dataloader(self) -> DataLoader[Any]:
        """One tick: ``judge`` knows what to look at."""
        return DataLoader([0])  # type: ignore[arg-type]  # a list is a data set

    def on_train_batch_start(self, batch: Any, number: int) -> None:
        """Dropout is drawn by number, too."""
        del batch, number
        torch.manual_seed(self.plan.seed * 1_000_003 + self.global_step)

    def training_step(self, batch: Any, number: int) -> Tensor:
        """The loss of a batch; raises :class:`Diverged`."""
        loss = self.loss(batch)
        if not math.isfinite(loss.item()):
            raise Diverged(f"the loss is {loss.item()} in batch {number} of epoch {self.current_epoch}: lower the rate")
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=self.plan.batch)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        """Judges, here and not at the epoch's end: only here are the averaged weights in place."""
        del batch, number
        if not all(weight.isfinite().all() for weight in self.net.parameters()):
            raise Diverged(f"a weight is no number after epoch {self.current_epoch}: lower the rate")
        self.report = {name: float(value) for name, value in self.judge().items()}
        self.log_dict(self.report, batch_size=1)
        said = {name: round(value, 4) for name, value in self.report.items()}
        log.info("epoch %d: %s", self.current_epoch, json.dumps(said))
        if self._plateau is not None:
            if self.monitor not in self.report:
                raise ManifestError(f"a plateau of {self.monitor} cannot be seen: the judge does not say it")
            self._plateau.step(self.report[self.monitor])

    def configure_optimizers(self) -> Any:
        """AdamW with the plan's schedule."""
        plan, schedules = self.plan, torch.optim.lr_scheduler
        optimiser = torch.optim.AdamW(
            [weight for weight in self.parameters() if weight.requires_grad], plan.rate, weight_decay=plan.decay
        )
        if plan.schedule == "plateau":  # Lightning keeps a checkpoint before it asks a plateau, and then forgets to
            self._plateau = schedules.ReduceLROnPlateau(optimiser, self.mode, factor=0.3, patience=plan.period)
            self._plateau.load_state_dict(self._plateau_state or self._plateau.state_dict())
            return optimiser
        schedule: Any = (
            schedules.OneCycleLR(optimiser, plan.rate, plan.epochs * plan.steps, pct_start=0.1)
            if plan.schedule == "once"
            else schedules.CosineAnnealingWarmRestarts(optimiser, plan.period * plan.steps, T_mult=2)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What Lightning does not keep of its own accord."""
        checkpoint |= {"metrics": self.report, TRAINED_ON: self._taught}
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with it."""
        self.report, self._plateau_state = checkpoint.get("metrics", {}), checkpoint.get("plateau")
        if self._plateau is not None and self._plateau_state:
            self._plateau.load_state_dict(self._plateau_state)


class Diverged(ManifestError):
    """The loss is no number any more; the last checkpoint is from before."""


class Best(ModelCheckpoint):  # type: ignore[misc]
    """The best checkpoint so far, called ``name``, such as ``best_{AUC:.4f}.pt``."""

    def __init__(self, out: Path, name: str, monitor: str, mode: str) -> None:
        super().__init__(out, Path(name).stem, monitor=monitor, mode=mode, auto_insert_metric_name=False)
        self.FILE_EXTENSION = Path(name).suffix


class Stop(EarlyStopping):  # type: ignore[misc]
    """Early stopping that a run which is begun again remembers."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A run that had stopped has nothing to learn any more."""
        super().on_train_start(trainer, pl_module)
        trainer.should_stop = self.wait_count >= self.patience


def fit(lesson: Lesson, out: Path, monitor: str, mode: Literal["min", "max"] = "max", best: str | None = None) -> Path:
    """Trains under ``out``, or goes on there, and answers the checkpoint that was best by ``monitor``.

    ``best`` is its name, `best_MONITOR=….ckpt` where there is none. Ctrl-C and SIGTERM keep the last whole epoch and
    end the program with a word on it. Raises ManifestError for a run of another plan or network, :class:`Diverged`,
    and FullDisk.
    """
    lesson.monitor, lesson.mode = monitor, mode
    last, kept = out / LAST, Best(out, best or f"best_{monitor}={{{monitor}:.4f}}.ckpt", monitor, mode)
    with room_for(out):
        _same_plan(out / PLAN, lesson.plan)
        trainer = _trainer(lesson.plan, out, [kept, *_callbacks(lesson.plan, out, monitor, mode)])
        log.info("%d parameters", parameters(lesson.net))
        if last.is_file():
            _same_network(last, lesson)
        before = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(lesson, ckpt_path=last if last.is_file() else None, weights_only=True)
        except SystemExit:
            signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored
            _stopped(last, trainer)
    return Path(kept.best_model_path)


def _callbacks(plan: Plan, out: Path, monitor: str, mode: str) -> list[Callback]:
    # save_last would keep only what is a new best
    wanted: list[Callback] = [ModelCheckpoint(out, Path(LAST).stem, enable_version_counter=False)]
    if plan.average:
        wanted.append(EMAWeightAveraging(decay=plan.average))
    if plan.patience:
        wanted.append(Stop(monitor, patience=plan.patience, mode=mode))
    if plan.keep_every:
        wanted.append(ModelCheckpoint(out, "{epoch:04d}", every_n_epochs=plan.keep_every, save_top_k=-1))
    return wanted


def _trainer(plan: Plan, out: Path, callbacks: list[Callback]) -> lightning.Trainer:
    if plan.device == "gpu" and not torch.cuda.is_available():
        raise ManifestError("device is gpu, and there is none here")
    if plan.precision == "16" and plan.device == "cpu":
        raise ManifestError("precision 16 wants a GPU; on a processor bf16 is there")
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[plan.precision]
    return lightning.Trainer(
        accelerator=plan.device, devices=1, max_epochs=plan.epochs, default_root_dir=out, callbacks=callbacks,
        gradient_clip_val=plan.clip, precision=precision, plugins=[WholeFiles()],
        logger=[JsonLines(out / LOG), TensorBoardLogger(out, name="tensorboard", version="")],
        reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0, enable_progress_bar=False, log_every_n_steps=1,
        enable_model_summary=False,
    )  # fmt: skip


def _stopped(last: Path, trainer: lightning.Trainer) -> NoReturn:
    """Ends the program after Ctrl-C or SIGTERM, of which Lightning has already taken note."""
    kept = "nothing to keep"
    if last.is_file():
        kept = f"{last} holds epoch {read_run(last)['epoch']}: the same command goes on"
    raise SystemExit(f"stopped in epoch {trainer.current_epoch}; {kept}") from None


def _same_plan(path: Path, plan: Plan) -> None:
    """Notes the plan; what was begun with another cannot go on with this one."""
    if path.is_file() and read_plan(type(plan), path) != plan:
        raise ManifestError(f"{path} is another plan's: give --out another folder, or go on with that plan")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def _same_network(last: Path, lesson: Lesson) -> None:
    """Raises ManifestError where the checkpoint is of another network."""
    found = {name: value.shape for name, value in read_run(last).get("state_dict", {}).items()}
    wanted = {name: value.shape for name, value in lesson.state_dict().items()}
    if found != wanted:
        odd = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        raise ManifestError(
            f"{last} holds another network: {', '.join(odd[:3])} and {max(0, len(odd) - 3)} more differ"
        )
