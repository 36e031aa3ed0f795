"""Ray: started here or joined, one worker a node, and every file answered once whatever dies meanwhile.

Ray Data's own checkpoints promise each row at least once (ray-project/ray#61047). Here Ray only brings answers to the
one process that writes: an answer that comes twice is dropped there, and a file without one goes around again.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa

from veracity_bulk import orphans
from veracity_bulk.errors import RayError, WorkerDied
from veracity_bulk.worker import Job, Worker
from veracity_client.errors import VeracityError

FILES_A_TASK = 8
TASKS_A_RUN = 2500  # of Ray Data: what it has in memory
STARTS = 3  # of a worker that died, and of a task with it, before its files go around again
WORKER_CPUS = 0.25  # of what Ray counts: a worker mostly waits, and a node has to have room for that of a dead one
OBJECT_STORE_BYTES = 128 << 20
START_ATTEMPTS = 3  # its processes wait 15 and 30 s for one another, too short on a busy machine
CAUSE = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception|Died|Unavailable|Interrupt)): *(.+)$", re.M)

Item = tuple[str, str]
"""A file and, as JSON, what earlier runs have of it: see :class:`Worker`."""


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Join a Ray cluster, or run one here that ends with the block. Raises :class:`RayError`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what its core prints into our standard error
    import ray

    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")  # see the pin
    with ExitStack() as stack:
        if address is None:
            _start(stack)
        else:
            _init(address=address)
        stack.callback(ray.shutdown)
        yield


def _start(stack: ExitStack) -> None:
    for attempt in range(1, START_ATTEMPTS + 1):
        with ExitStack() as this:
            folder = this.enter_context(orphans.ended())
            try:
                _init(object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, _temp_dir=folder)
                stack.push(this.pop_all())
                return
            except RayError:
                if attempt == START_ATTEMPTS:
                    raise


def _init(*, address: str = "local", **more: Any) -> None:
    import ray

    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **more)
    except Exception as error:
        ray.shutdown()
        where = "" if address == "local" else f" at {address}"
        raise RayError(f"Ray does not start{where}: {reason(error)}") from None


def answers(items: Sequence[Item], job: Job, in_flight: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each file with its answer, in any order; at most ``in_flight`` files are asked about at once.

    A file whose workers died each time is answered with :class:`WorkerDied`. Raises :class:`RayError`.
    """
    left, size = dict(items), FILES_A_TASK
    with _last_error() as last:
        while left:
            before, waiting = len(left), list(left.items())
            for first in range(0, len(waiting), size * TASKS_A_RUN):
                for uri, answer in _run(waiting[first : first + size * TASKS_A_RUN], job, in_flight, size):
                    if left.pop(uri, None) is not None:
                        yield uri, answer
            if len(left) == before:
                break
            size = 1  # so that one file that ends its workers costs no other
    for uri in left:
        yield uri, {"died": last.text}


def died(text: str) -> VeracityError:
    """Return the error of a file that no worker survived."""
    return WorkerDied(f"each worker that had it died: {text}")


def _run(items: Sequence[Item], job: Job, in_flight: int, size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    import ray
    import ray.data

    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    workers = max(1, min(nodes, in_flight, -(-len(items) // size)))
    job = replace(job, threads=max(1, in_flight // workers))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # their files go around again
    at_once = job.threads // size + 2  # tasks of a worker: one that waits for its last file leaves no thread idle
    tables = [_table(items[first : first + size]) for first in range(0, len(items), size)]
    dataset = ray.data.from_arrow(tables).map_batches(
        Worker,
        fn_constructor_args=(job,),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=WORKER_CPUS,
        compute=ray.data.ActorPoolStrategy(
            size=workers,
            max_tasks_in_flight_per_actor=at_once,
            max_concurrent_calls_per_actor=at_once,
            enable_true_multi_threading=True,
        ),
        max_restarts=STARTS,
        max_task_retries=STARTS,
    )
    try:
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for uri, answer in zip(batch["uri"].to_pylist(), batch["answer"].to_pylist()):
                yield uri, json.loads(answer)
    except Exception as error:
        raise RayError(f"Ray ended the work: {reason(error)}") from None


def _table(items: Sequence[Item]) -> pa.Table:
    return pa.table({"uri": [uri for uri, _ in items], "earlier": [earlier for _, earlier in items]})


def reason(error: BaseException) -> str:
    """Return the innermost cause that Ray's text of several tracebacks holds, in one line."""
    found = CAUSE.findall(str(error))
    return (
        f"{found[-1][0]}: {found[-1][1]}" if found else f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    )


class _Last(logging.Handler):
    """Keeps the reason of the last error that Ray Data logs. ``text``: that of a worker's end, where none is told."""

    text = "Ray says no reason"

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        error = record.exc_info[1] if record.exc_info else None
        self.text = reason(error) if error else record.getMessage()


@contextmanager
def _last_error() -> Iterator[_Last]:
    import ray.data  # noqa: F401 - configures its log

    log, last = logging.getLogger("ray.data"), _Last(logging.ERROR)
    handlers, propagates = log.handlers[:], log.propagate
    log.handlers[:], log.propagate = [last], False
    try:
        yield last
    finally:
        log.handlers[:], log.propagate = handlers, propagates
