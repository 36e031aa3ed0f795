"""Which of a clip's frames are used."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from training.visual.masks import Rng

Sampling = Literal["random", "uniform", "start_at"]
Numbers = npt.NDArray[np.int64]


def sample(
    times: npt.NDArray[np.float64], count: int, how: Sampling, start: float = 0.0, rng: Rng | None = None
) -> Numbers:
    """Numbers of ``count`` of the frames at ``times`` (rising, in seconds), in order: int64 [count].

    ``uniform`` spreads them over the clip, ``random`` draws them (and needs ``rng``), ``start_at`` takes those that
    follow second ``start``. Where there are fewer, frames repeat evenly. Raises ValueError for no frames.
    """
    if not len(times):
        raise ValueError("there are no frames to sample")
    if how == "random" and rng is None:
        raise ValueError("random frames need a generator")
    there = np.arange(len(times))
    if how == "start_at":
        there = there[times >= start] if (times >= start).any() else there[-1:]
        there = there[:count]
    if how == "random" and rng is not None and len(there) > count:
        return np.sort(rng.choice(there, count, replace=False))
    return np.asarray(there[np.linspace(0, len(there) - 1, count).round().astype(np.int64)])
