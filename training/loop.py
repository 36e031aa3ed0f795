"""The training loop of all tasks, on Lightning: a task adds its batches, its loss and its validation.

An epoch is a fixed number of batches, sampled by number: a run resumed at the end of an epoch continues with the same
batches, and on a CPU it ends with the same weights.
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

from networks.checkpoints import TRAINED_ON, read_run
from networks.loading import PLAN
from networks.registry import parameters
from training.cache import room_for
from training.checkpoints import JsonLines, WholeFiles
from training.plan import Plan, read_plan
from veracity.calibrate.errors import ManifestError

import lightning  # isort: skip  # training.checkpoints makes it importable
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

log = logging.getLogger(__name__)
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)  # advice and advertisements

LAST = "last.ckpt"  # where a run resumes
LOG = "log.jsonl"  # metrics, one JSON object a line; TensorBoard's files lie in `tensorboard`


class TrainingTask(lightning.LightningModule):
    """A network with its training and validation data; a task implements the three abstract methods."""

    def __init__(self, plan: Plan, make: Callable[[], nn.Module], sources: Iterable[str] = ()) -> None:
        """``make`` builds the network, after seeding; ``sources`` are those of the training set."""
        super().__init__()
        self._sources = sorted(set(sources))
        lightning.seed_everything(plan.seed, workers=True, verbose=False)
        self.plan, self.net = plan, make()
        self.monitor, self.mode = "", "max"  # set by `fit`
        self.report: dict[str, float] = {}  # the last validation metrics
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None

    @abstractmethod
    def items(self, first: int, count: int) -> Dataset[Any]:
        """``count`` training items, from number ``first`` on."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """The loss of a batch of items."""

    @abstractmethod
    def validate(self) -> Mapping[str, float]:
        """Validation metrics (the network is in eval mode, without gradients), among them the one ``fit`` monitors."""

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of the current epoch."""
        count = self.plan.steps * self.plan.batch
        items, workers = self.items(self.current_epoch * count, count), self.plan.workers
        return DataLoader(items, self.plan.batch, num_workers=workers, prefetch_factor=4 if workers else None)

    def val_dataloader(self) -> DataLoader[Any]:
        """One placeholder batch: ``validate`` has its own data."""
        return DataLoader([0])  # a list is a data set

    def on_train_batch_start(self, batch: Any, number: int) -> None:
        """Seeds dropout by step, so that resumed runs repeat it."""
        del batch, number
        torch.manual_seed(self.plan.seed * 1_000_003 + self.global_step)

    def training_step(self, batch: Any, number: int) -> Tensor:
        """The loss of a batch; raises :class:`Diverged`."""
        loss = self.loss(batch)
        if not math.isfinite(loss.item()):
            raise Diverged(
                f"the loss is {loss.item()} in batch {number} of epoch {self.current_epoch}: lower learning_rate"
            )
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=self.plan.batch)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        """Validates here and not at the end of the epoch: only here are the averaged weights in place."""
        del batch, number
        if not all(weight.isfinite().all() for weight in self.net.parameters()):
            raise Diverged(f"a weight is not finite after epoch {self.current_epoch}: lower learning_rate")
        self.report = {name: float(value) for name, value in self.validate().items()}
        self.log_dict(self.report, batch_size=1)
        rounded = {name: round(value, 4) for name, value in self.report.items()}
        log.info("epoch %d: %s", self.current_epoch, json.dumps(rounded))
        if self._plateau is not None:
            if self.monitor not in self.report:
                raise ManifestError(f"schedule plateau needs {self.monitor}, which validation does not report")
            self._plateau.step(self.report[self.monitor])

    def configure_optimizers(self) -> Any:
        """AdamW with the plan's schedule."""
        plan, schedules = self.plan, torch.optim.lr_scheduler
        optimiser = torch.optim.AdamW(
            [weight for weight in self.parameters() if weight.requires_grad],
            plan.learning_rate,
            weight_decay=plan.weight_decay,
        )
        if plan.schedule == "plateau":  # Lightning saves a checkpoint before it steps a plateau, and loses the step
            self._plateau = schedules.ReduceLROnPlateau(optimiser, self.mode, factor=0.3, patience=plan.period)
            self._plateau.load_state_dict(self._plateau_state or self._plateau.state_dict())
            return optimiser
        schedule: Any = (
            schedules.OneCycleLR(optimiser, plan.learning_rate, plan.epochs * plan.steps, pct_start=0.1)
            if plan.schedule == "once"
            else schedules.CosineAnnealingWarmRestarts(optimiser, plan.period * plan.steps, T_mult=2)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what Lightning does not save itself."""
        checkpoint |= {"metrics": self.report, TRAINED_ON: self._sources}
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores it."""
        self.report, self._plateau_state = checkpoint.get("metrics", {}), checkpoint.get("plateau")
        if self._plateau is not None and self._plateau_state:
            self._plateau.load_state_dict(self._plateau_state)


class Diverged(ManifestError):
    """The loss is no longer finite; the last checkpoint is from before that."""


class Best(ModelCheckpoint):
    """The best checkpoint so far, called ``name``, such as ``best_{AUC:.4f}.pt``."""

    def __init__(self, out: Path, name: str, monitor: str, mode: str) -> None:
        super().__init__(out, Path(name).stem, monitor=monitor, mode=mode, auto_insert_metric_name=False)
        self.FILE_EXTENSION = Path(name).suffix


class Stop(EarlyStopping):
    """Early stopping that survives a restart."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """A run that had stopped early stays stopped."""
        super().on_train_start(trainer, pl_module)
        trainer.should_stop = self.wait_count >= self.patience


def fit(
    task: TrainingTask, out: Path, monitor: str, mode: Literal["min", "max"] = "max", best: str | None = None
) -> Path:
    """Trains under ``out``, or resumes there, and returns the checkpoint that was best by ``monitor``.

    ``best`` is its name, by default `best_MONITOR=….ckpt`. Ctrl-C and SIGTERM keep the last complete epoch and end the
    program with a message. Raises ManifestError for a run of another plan or network, :class:`Diverged` and DiskFull.
    """
    task.monitor, task.mode = monitor, mode
    last, kept = out / LAST, Best(out, best or f"best_{monitor}={{{monitor}:.4f}}.ckpt", monitor, mode)
    with room_for(out):
        _same_plan(out / PLAN, task.plan)
        trainer = _trainer(task.plan, out, [kept, *_callbacks(task.plan, out, monitor, mode)])
        log.info("%d parameters", parameters(task.net))
        if last.is_file():
            _same_network(last, task)
        before = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(task, ckpt_path=last if last.is_file() else None, weights_only=True)
        except SystemExit:
            signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored
            _stopped(last, trainer)
    return Path(kept.best_model_path)


def _callbacks(plan: Plan, out: Path, monitor: str, mode: str) -> list[Callback]:
    # save_last would only save a new best
    callbacks: list[Callback] = [ModelCheckpoint(out, Path(LAST).stem, enable_version_counter=False)]
    if plan.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=plan.ema_decay))
    if plan.patience:
        callbacks.append(Stop(monitor, patience=plan.patience, mode=mode))
    if plan.keep_every:
        callbacks.append(ModelCheckpoint(out, "{epoch:04d}", every_n_epochs=plan.keep_every, save_top_k=-1))
    return callbacks


def _trainer(plan: Plan, out: Path, callbacks: list[Callback]) -> lightning.Trainer:
    if plan.device == "gpu" and not torch.cuda.is_available():
        raise ManifestError("device is gpu, but this machine has none")
    if plan.precision == "16" and plan.device == "cpu":
        raise ManifestError("precision 16 needs a GPU; on a CPU use bf16")
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[plan.precision]
    return lightning.Trainer(
        accelerator=plan.device, devices=1, max_epochs=plan.epochs, default_root_dir=out, callbacks=callbacks,
        gradient_clip_val=plan.gradient_clip, precision=precision, plugins=[WholeFiles()],
        logger=[JsonLines(out / LOG), TensorBoardLogger(out, name="tensorboard", version="")],
        reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0, enable_progress_bar=False, log_every_n_steps=1,
        enable_model_summary=False,
    )  # fmt: skip


def _stopped(last: Path, trainer: lightning.Trainer) -> NoReturn:
    """Ends the program after Ctrl-C or SIGTERM, which Lightning has already handled."""
    kept = "no epoch was complete"
    if last.is_file():
        kept = f"{last} holds epoch {read_run(last)['epoch']}: run the same command to resume"
    raise SystemExit(f"stopped in epoch {trainer.current_epoch}; {kept}") from None


def _same_plan(path: Path, plan: Plan) -> None:
    """Writes the plan; a run that was started with another plan is refused."""
    if path.is_file() and read_plan(type(plan), path) != plan:
        raise ManifestError(f"{path} holds a different plan: choose another --out, or resume with that plan")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def _same_network(last: Path, task: TrainingTask) -> None:
    """Raises ManifestError where the checkpoint is of another network."""
    found = {name: value.shape for name, value in read_run(last).get("state_dict", {}).items()}
    wanted = {name: value.shape for name, value in task.state_dict().items()}
    if found != wanted:
        odd = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
        raise ManifestError(
            f"{last} holds another network: {', '.join(odd[:3])} and {max(0, len(odd) - 3)} more differ"
        )
