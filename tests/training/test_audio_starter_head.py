"""The starter's head: what it is fitted to, and what it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from evaluation.manifest import Clip  # noqa: E402
from training.audio.plan import AudioPlan, training_set, validation_set  # noqa: E402
from training.audio.starter import Heard, degraded, fitted, ranked, window_weights  # noqa: E402
from veracity.catalog.layers import WINDOW_SAMPLES  # noqa: E402
from veracity.install.graphs.whisper import STATISTICS  # noqa: E402

pytestmark = pytest.mark.export

PLAN = AudioPlan(train_on="both")


def clip(name: str, label: str, *links: str) -> Clip:
    return Clip(Path(f"{name}.flac"), "audio", label, name, "permissive", "", links=links)


def heard(clips: list[Clip], copies: int = 0) -> Heard:
    """One window a clip: noise, moved by 1.5 in a tenth of the statistics where it is fake."""
    noise = torch.randn(len(clips), STATISTICS, generator=torch.Generator().manual_seed(0)) * 3 + 1
    noise[[number for number, one in enumerate(clips) if one.fake], : STATISTICS // 10] += 1.5
    whose = np.arange(len(clips))
    statistics, marks = torch.cat([noise] * (copies + 1)), np.arange(len(clips) * (copies + 1)) >= len(clips)
    return Heard(clips, statistics, np.tile(whose, copies + 1), marks)


def both(count: int, system: str = "system:A") -> list[Clip]:
    reals = [clip(f"r{n}", "real", "corpus:R") for n in range(count)]
    return [*reals, *(clip(f"f{n}", "fake", system) for n in range(count))]


def test_the_head_learns_what_tells_fakes_of_an_unseen_system() -> None:
    clips = [*both(40), clip("new", "fake", "system:B")]
    some = heard(clips)
    chosen = np.array([number % 2 == 0 for number in range(80)] + [False])
    head = fitted(some, chosen, PLAN)
    judged = {one for one, taught in zip(clips, chosen) if not taught}
    ranks = ranked(head, some, judged)
    assert set(ranks) == {"auc", "auc system:A", "auc system:B"}
    assert ranks["auc system:A"] > 0.95
    assert head.usual.mean() == pytest.approx(1, abs=0.3)


def test_fakes_that_differ_from_people_in_opposite_ways_are_both_found() -> None:
    clips = [*both(60), *(clip(f"k{n}", "fake", "system:Kokoro") for n in range(60))]
    some = heard(clips)
    some.statistics[120:, : STATISTICS // 10] -= 3.0  # where the others are moved up by 1.5, these are moved down
    chosen = np.arange(len(clips)) % 2 == 0
    judged = {one for one, taught in zip(clips, chosen) if not taught}
    ranks = ranked(fitted(some, chosen, PLAN), some, judged)
    assert min(ranks["auc system:A"], ranks["auc system:Kokoro"]) > 0.9
    unheard = ranked(fitted(some, chosen & (np.arange(len(clips)) < 120), PLAN), some, judged)
    assert unheard["auc system:A"] > 0.95  # a family without a clip says nothing
    assert unheard["auc system:Kokoro"] < 0.1


def test_the_same_windows_give_the_same_head_and_copies_of_them_change_little() -> None:
    clips = both(20)
    everything = np.ones(len(clips), bool)
    first, again = (fitted(heard(clips), everything, PLAN).outer.weight.detach() for _ in range(2))
    assert torch.equal(first, again)
    copied = fitted(heard(clips, copies=2), everything, PLAN).outer.weight.detach()
    assert torch.allclose(copied, first, atol=0.02 * float(first.abs().max()))


def test_a_label_counts_half_a_system_by_its_root_and_the_copies_their_share() -> None:
    clips = [*both(9), *(clip(f"m{n}", "fake", "system:M") for n in range(900))]
    fake, of_many = (np.array([one.fake for one in clips]), np.array([one.links == ("system:M",) for one in clips]))
    weights = window_weights(clips, np.zeros(len(clips), bool), 0.1)
    assert weights.sum() == pytest.approx(1)
    assert weights[fake].sum() == pytest.approx(0.5)
    assert weights[of_many].sum() / weights[fake & ~of_many].sum() == pytest.approx(10)
    copied = window_weights([*clips, *clips], np.repeat([False, True], len(clips)), 0.1)
    assert copied[len(clips) :].sum() == pytest.approx(0.1)
    assert copied.sum() == pytest.approx(1)


def test_copies_are_degraded_each_in_its_own_way_and_the_same_again() -> None:
    sounds = (np.random.default_rng(0).standard_normal((1, WINDOW_SAMPLES)) * 3000).astype(np.int16).repeat(6, axis=0)
    copies = degraded(sounds, seed=1)
    assert (copies.shape, copies.dtype) == (sounds.shape, sounds.dtype)
    assert len({copy.tobytes() for copy in copies}) > 3
    assert np.array_equal(copies, degraded(sounds, seed=1))


def test_what_is_held_out_validates_and_its_relatives_do_neither() -> None:
    held_out = clip("a", "real", "corpus:VCTK", "source:github:x/y")
    relative = clip("b", "fake", "system:NSF", "source:github:x/y")
    of_its_voice = clip("c", "fake", "system:VITS", "corpus:VCTK")
    unrelated = clip("d", "fake", "system:VITS", "source:github:z/z")
    clips = [held_out, relative, of_its_voice, unrelated]
    plan = AudioPlan(train_on="both", held_out_fold=3)
    assert training_set(clips, plan) == [unrelated]
    assert validation_set(clips, plan) == [held_out]
    assert training_set(clips, PLAN) == clips
