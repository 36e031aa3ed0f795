"""The split in figures."""

from __future__ import annotations

from collections.abc import Sequence

from training.data import recipes
from training.data.table import PARTS, Item

_COLUMNS = ("items", "systems", "sources", "people and voices", "origin has them")


def summary(items: Sequence[Item]) -> str:
    """Return a Markdown table: a row for each part, kind and label."""
    lines = [f"| part | kind | label | {' | '.join(_COLUMNS)} |", f"|---|---|---|{'---:|' * len(_COLUMNS)}"]
    for part in PARTS:
        here = [item for item in items if item.set.part == part]
        for kind, label in sorted({(item.set.kind, item.set.label) for item in here}):
            chosen = [item for item in here if (item.set.kind, item.set.label) == (kind, label)]
            lines.append(f"| {part} | {kind} | {label} | {' | '.join(map(str, _counts(chosen)))} |")
        lines.append(f"| **{part}** | | | {' | '.join(map(str, _counts(here)))} |")
    return "\n".join(lines) + "\n"


def _counts(items: Sequence[Item]) -> tuple[int, ...]:
    groups = {group for item in items for group in item.groups}
    heads = ("system:",), ("source:",), ("person:", "voice:", "corpus:", "people:")
    counted = (sum(group.startswith(head) for group in groups) for head in heads)
    return len(items), *counted, sum(not recipes.is_local(item.recipe) for item in items)
