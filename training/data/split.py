"""The split: whole sources, systems, voices and people in one part.

1. Items that share a source, a system, a voice, a person, a corpus or a pair are one component (:func:`components`).
2. A component with an item that may only be measured is for the test. Every other one may go anywhere.
3. The largest first, each goes to the part that then comes closest to :data:`SHARES` of the items of each kind, label
   and era of method. Nothing is drawn: the same table gives the same split.
4. What then is of a system that `python -m training speak` runs (:data:`LEARNED`) trains, wherever it went.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from training.data.table import PARTS, Item, Part
from veracity.calibrate.errors import ManifestError

SHARES: Mapping[Part, float] = {"train": 0.6, "development": 0.2, "test": 0.2}

# The parts that an item's `use` allows. `train_only` speaks of copies ("train and measure; never copy"), not of parts.
ALLOWED: Mapping[str, tuple[Part, ...]] = {
    "permissive": PARTS,
    "sharealike": PARTS,
    "train_only": PARTS,
    "test_only": ("test",),
}

# Systems that we run to learn from: others' fakes by them are no test of unknown systems. Moved last, so that no other
# item changes its part for it.
LEARNED = frozenset({"Kokoro"})


def components(items: Sequence[Item]) -> list[list[Item]]:
    """Return the items that hang together, the largest component first."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for item in items:
        first, *others = (f"set:{item.set.id}", *item.groups)
        for other in others:
            parent[root(other)] = root(first)
    together: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        together[root(f"set:{item.set.id}")].append(item)
    return sorted(together.values(), key=lambda each: (-len(each), min(item.place for item in each)))


def parts(items: Sequence[Item]) -> list[Part]:
    """Return the part of each item."""
    totals = Counter(stratum for item in items for stratum in _strata(item))
    filled: dict[Part, Counter[str]] = {part: Counter() for part in PARTS}
    decided: dict[str, Part] = {}
    every = components(items)
    bound = [each for each in every if _allowed(each) != PARTS]
    for component in bound + [each for each in every if _allowed(each) == PARTS]:
        added = Counter(stratum for item in component for stratum in _strata(item))
        part = min(_allowed(component), key=lambda one: (_distance(filled, one, added, totals), PARTS.index(one)))
        filled[part] += added
        learned = "train" in _allowed(component) and LEARNED & {item.set.system for item in component}
        decided |= {item.set.id: "train" if learned else part for item in component}
    return [decided[item.set.id] for item in items]


def _allowed(component: Sequence[Item]) -> tuple[Part, ...]:
    allowed = tuple(part for part in PARTS if all(part in ALLOWED[item.set.use] for item in component))
    if not allowed:
        uses = " and ".join(sorted({item.set.use for item in component}))
        raise ManifestError(f"{component[0].place} hangs together with items of {uses}: no part may hold them all")
    return allowed


def _strata(item: Item) -> tuple[str, str]:
    label = f"{item.set.kind} {item.set.label}"
    return label, f"{label}: {item.set.era}"


def _distance(filled: Mapping[Part, Counter[str]], part: Part, added: Counter[str], totals: Counter[str]) -> float:
    """How far the strata of a component would be from their shares if it went to ``part``; small ones count less."""
    return math.fsum(  # the same in any order
        totals[stratum]
        / totals[stratum.partition(":")[0]]
        * ((filled[one][stratum] + (added[stratum] if one == part else 0)) / totals[stratum] - SHARES[one]) ** 2
        for stratum in added
        for one in PARTS
    )
