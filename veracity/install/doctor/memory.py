"""Whether a profile's models fit into a memory, told before anything is started: from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from veracity.catalog import FACE_DETECTOR, LAYERS, SPEAKER
from veracity.catalog.memory import Need, needs
from veracity.catalog.profiles import choose, required, served
from veracity.install.doctor.finding import Finding
from veracity.install.doctor.machine import LEAST_MEMORY
from veracity.server.memory import BUDGET, Memory, megabytes, shown
from veracity.settings import Settings

BUDGETED = "budget"
UNMEASURED = "; CUDA's own share comes on top, which nobody measured: benchmarks/gpu.sh with STAGES=memory does"


def examine(settings: Settings, gpu_memory: Sequence[int], memory: Sequence[int]) -> Iterator[Finding]:
    """Say for each size (bytes) of a GPU's memory, or of the machine's, whether the profile's models fit into it."""
    processes = f"; {megabytes(LEAST_MEMORY)} are for the server's processes and four videos"
    yield from _fit(settings, "GPU memory", {megabytes(size): size for size in gpu_memory}, UNMEASURED, gpu=True)
    left = {megabytes(size): size - LEAST_MEMORY for size in memory}
    yield from _fit(settings, "memory", left, processes, gpu=False)
    if settings.memory_budget is not None:
        gpu = Memory.from_settings(settings).gpu
        yield from _fit(settings, BUDGETED, {BUDGET: settings.memory_budget}, UNMEASURED if gpu else "", gpu=gpu)


def _fit(settings: Settings, what: str, sizes: Mapping[str, int], told: str, *, gpu: bool) -> Iterator[Finding]:
    """Say what each model takes, and whether they fit into ``sizes``; nothing where there are none."""
    if not sizes:
        return
    needed = _needed(settings, gpu)
    for name, need in needed.items():
        yield Finding(f"{what} of {name}", "ok", shown(need))
    wanted = required(choose(settings.profile, settings.models)) if what != BUDGETED else ()
    absent = [name for name in wanted if name not in needed]
    for called, left in sizes.items():
        if absent:
            unknown = f"what {', '.join(absent)} takes is not known before it is installed"
            yield Finding(f"{what}, {called}", "missing", unknown, True)
        else:
            yield _answer(settings, f"{what}, {called}", left, needed, told)


def _answer(settings: Settings, what: str, left: int, needed: Mapping[str, Need], told: str) -> Finding:
    """Return whether models fit into the ``left`` bytes: all, those that a video uses at the same time, the largest."""
    everything = sum(need.bytes for need in needed.values())
    together = sum(need.bytes for name, need in needed.items() if name in _at_once(settings))
    name, largest = max(needed.items(), key=lambda item: item[1].bytes)
    lazy = settings.memory == "lazy"
    if everything <= left:
        return Finding(what, "ok", f"all {len(needed)} models fit, {megabytes(everything)} together{told}")
    short = f"all models take {megabytes(everything)} together"
    if largest.bytes > left:
        return Finding(what, "broken", f"too small for {name}: {shown(largest)}{told}", True)
    instead = "" if lazy else ": VERACITY_MEMORY=lazy would do"
    if together <= left:
        at_once = f"lazy, the {megabytes(together)} of those that score pictures at the same time"
        return Finding(what, "ok" if lazy else "warning", f"{short}{instead}; {at_once}{told}", not lazy)
    slow = f"lazy, and slow: those that score pictures take {megabytes(together)} and come and go in a video"
    return Finding(what, "ok" if lazy else "warning", f"{short}{instead}; {slow}{told}", not lazy)


def _needed(settings: Settings, gpu: bool) -> dict[str, Need]:
    names = served(settings.profile, settings.models)
    return needs(settings.model_repository, names, gpu=gpu, model_config=settings.model_config_name)


def _at_once(settings: Settings) -> set[str]:
    """Return the models that one video uses at the same time: all but those of the sound, which come before."""
    choice = choose(settings.profile, settings.models)
    pictures = [layer.name for layer in LAYERS if layer.about != "audio"]
    return {FACE_DETECTOR.name, SPEAKER.name, *(name for layer in pictures for name, _ in choice[layer])}
