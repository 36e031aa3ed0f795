"""Work on many items at a time, with the results in the order of the items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(function: Callable[[T], R], items: Sequence[T], jobs: int) -> Generator[R, None, None]:
    """Yield ``function(item)`` of each item in order; up to ``jobs`` calls run at the same time.

    An item is taken when a call begins. Leaving the generator early begins no more calls; those that run are left to
    daemon threads, which do not keep a process alive that is interrupted while one waits for a pipe.
    """
    if min(jobs, len(items)) <= 1:
        for item in items:
            yield function(item)
        return
    waiting: SimpleQueue[tuple[T, Future[R]]] = SimpleQueue()
    results: list[Future[R]] = []
    for item in items:
        results.append(Future())
        waiting.put((item, results[-1]))
    try:
        for _ in range(min(jobs, len(items))):
            threading.Thread(target=_work, args=(function, waiting), daemon=True).start()
        for number, result in enumerate(results):
            yield result.result()
            results[number] = Future()  # what was yielded is let go
    finally:
        _empty(waiting)


def _work(function: Callable[[T], R], waiting: SimpleQueue[tuple[T, Future[R]]]) -> None:
    while True:
        try:
            item, result = waiting.get_nowait()
        except Empty:
            return
        try:
            result.set_result(function(item))
        except BaseException as error:
            result.set_exception(error)


def _empty(waiting: SimpleQueue[tuple[T, Future[R]]]) -> None:
    while not waiting.empty():
        try:
            waiting.get_nowait()
        except Empty:
            return
