"""Who is in memory and who has to go: the counts alone, with threads in place of Triton."""

import random
import threading
import time
from collections.abc import Callable

import pytest
from server_models import eventually

from veracity.server.residency import Residency
from veracity_client.errors import ModelUnavailable

LONG = 30.0


class Memory:
    """Notes what is loaded and unloaded; each may be made to take until ``go_on`` is set."""

    def __init__(self, budget: int | None, **sizes: int) -> None:
        self.loaded: set[str] = set()
        self.events: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.residency = Residency(sizes, budget, self.load, self.unload)

    def load(self, model: str) -> None:
        self.events.append(f"load {model}")
        assert self.go_on.wait(LONG)
        assert model not in self.loaded
        self.loaded.add(model)

    def unload(self, model: str) -> None:
        self.events.append(f"unload {model}")
        assert self.go_on.wait(LONG)
        self.loaded.remove(model)

    def use(self, *models: str) -> None:
        for model in models:
            assert self.residency.acquire(model, LONG)
            self.residency.release(model)


def begun(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_least_recently_used_makes_room() -> None:
    memory = Memory(3, a=1, b=1, c=1, d=2)
    memory.use("a", "b", "c", "a")
    assert memory.events == ["load a", "load b", "load c"]
    memory.use("d")
    assert memory.loaded == {"a", "d"}
    assert memory.residency.used_bytes() == 3


def test_a_model_in_use_stays_and_whoever_wants_its_memory_waits() -> None:
    memory = Memory(1, a=1, b=1)
    assert memory.residency.acquire("a", LONG)
    assert not memory.residency.acquire("b", 0.05)
    waiting = begun(lambda: memory.use("b"))
    eventually(lambda: len(memory.residency._tickets) == 1)
    assert memory.events == ["load a"]
    memory.residency.release("a")
    waiting.join(LONG)
    assert memory.events == ["load a", "unload a", "load b"]


def test_who_comes_later_waits_behind_who_waits_for_memory() -> None:
    """Else a model that is always in use would never go."""
    memory, order = Memory(1, a=1, b=1), []
    assert memory.residency.acquire("a", LONG)

    def use(model: str) -> None:
        assert memory.residency.acquire(model, LONG)
        order.append(model)
        memory.residency.release(model)

    threads = []
    for model in ("b", "a"):
        threads.append(begun(lambda model=model: use(model)))  # type: ignore[misc]  # mypy infers no default here
        eventually(lambda: len(memory.residency._tickets) == len(threads))
    memory.residency.release("a")
    for thread in threads:
        thread.join(LONG)
    assert order == ["b", "a"]


def test_a_model_that_comes_serves_all_who_wait_for_it() -> None:
    memory = Memory(1, a=1, b=1, c=1)
    assert memory.residency.acquire("a", LONG)
    threads = []
    for model in ("b", "c", "b", "c"):
        threads.append(begun(lambda model=model: memory.use(model)))  # type: ignore[misc]  # as above
        eventually(lambda: len(memory.residency._tickets) == len(threads))
    memory.residency.release("a")
    for thread in threads:
        thread.join(LONG)
    assert memory.events == ["load a", "unload a", "load b", "unload b", "load c"]


def test_a_request_that_arrives_while_its_model_leaves_loads_it_again() -> None:
    memory = Memory(None, a=1)
    memory.use("a")
    (name,) = memory.residency.take_idle(0.0)
    memory.go_on.clear()
    leaving = begun(lambda: memory.residency.let_go([name]))
    eventually(lambda: memory.events[-1] == "unload a")
    arriving = begun(lambda: memory.use("a"))
    eventually(lambda: len(memory.residency._tickets) == 1)
    assert not memory.residency.acquire_loaded("a")
    memory.go_on.set()
    leaving.join(LONG)
    arriving.join(LONG)
    assert memory.events == ["load a", "unload a", "load a"]


def test_only_what_nobody_uses_is_idle_and_a_look_is_no_use() -> None:
    memory = Memory(None, a=1, b=1)
    assert memory.residency.acquire("a", LONG)
    memory.use("b")
    assert memory.residency.acquire_loaded("b")
    assert memory.residency.take_idle(0.0) == []
    memory.residency.release("b", used=False)
    memory.residency.release("a")
    assert memory.residency.take_idle(LONG) == []
    assert memory.residency.take_idle(0.0) == ["b", "a"]


def test_a_caller_that_has_gone_waits_no_more() -> None:
    memory = Memory(1, a=1, b=1)
    assert memory.residency.acquire("a", LONG)
    assert not memory.residency.acquire("b", LONG, gone=lambda: True)


def test_the_end_of_tritonserver_ends_every_wait() -> None:
    memory, errors = Memory(1, a=1, b=1), []
    assert memory.residency.acquire("a", LONG)

    def use() -> None:
        with pytest.raises(ModelUnavailable, match="being restarted") as caught:
            memory.residency.acquire("b", LONG)
        errors.append(caught.value)

    waiting = begun(use)
    eventually(lambda: len(memory.residency._tickets) == 1)
    memory.residency.close()
    waiting.join(LONG)
    assert len(errors) == 1


def test_threads_at_once_never_use_what_is_not_loaded_nor_more_than_there_is() -> None:
    memory, faults = Memory(5, a=1, b=2, c=3, d=2), []
    sizes = {"a": 1, "b": 2, "c": 3, "d": 2}

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            model = chance.choice("abcd")
            if memory.residency.acquire(model, LONG):
                if model not in memory.loaded or sum(sizes[name] for name in set(memory.loaded)) > 5:
                    faults.append(model)
                time.sleep(chance.random() / 1000)
                memory.residency.release(model)
            else:
                faults.append(f"no room for {model}")
            if chance.random() < 0.1:
                memory.residency.let_go(memory.residency.take_idle(0.0))

    threads = [begun(lambda seed=seed: work(seed)) for seed in range(8)]  # type: ignore[misc]  # as above
    for thread in threads:
        thread.join(LONG)
    assert faults == []
    assert memory.events.count("unload c") > 0
