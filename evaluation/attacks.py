"""Error rates as ISO/IEC 30107-3 counts them: by kind of attack, and the worst of them.

A kind of attack (the standard's species) is a way of making fakes. Who answers with three words leaves some clips
undecided; the standard counts those apart, as non-responses, and so do we: a kind's three shares add up to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from veracity.calibrate import metrics
from veracity.calibrate.metrics import Unmeasurable

FEWEST = 5  # clips of a kind that may be the worst one: of a single clip the rate is 0 or 1
Called = Mapping[str, int]
"""How many clips were called ``fake``, ``real``, and any other word, which is a non-response."""


def attack_rates(fakes: Mapping[str, Called], reals: Called, fewest: int = FEWEST) -> dict[str, Any]:
    """The rates as JSON types, every share with Wilson's 95 % interval.

    ``kinds`` has of each kind of ``fakes`` its name ``how``, the number of ``clips``, and the shares ``recall`` (called
    fake), ``apcer`` (called real) and ``apnrr`` (undecided). ``apcer_max`` is the row of the highest APCER among kinds
    of at least ``fewest`` clips, None where there is none. ``bpcer`` is the share of ``reals`` called fake, ``bpnrr``
    of the undecided. Raises :class:`Unmeasurable` where there is no fake or no real.
    """
    kinds = [_kind(how, called) for how, called in sorted(fakes.items()) if any(called.values())]
    if not kinds or not any(reals.values()):
        raise Unmeasurable("rates of attacks take fakes and reals")
    enough = [kind for kind in kinds if kind["clips"] >= fewest]
    return {
        "kinds": kinds,
        "fewest": fewest,
        "apcer_max": max(enough, key=lambda kind: float(kind["apcer"]["value"]), default=None),
        "reals": sum(reals.values()),
        "bpcer": _share(reals, "fake"),
        "bpnrr": _undecided(reals),
    }


def _kind(how: str, called: Called) -> dict[str, Any]:
    return {
        "how": how,
        "clips": sum(called.values()),
        "recall": _share(called, "fake"),
        "apcer": _share(called, "real"),
        "apnrr": _undecided(called),
    }


def _share(called: Called, *words: str) -> dict[str, float]:
    return metrics.share([word in words for word, count in called.items() for _ in range(count)]).to_dict()


def _undecided(called: Called) -> dict[str, float]:
    return _share(called, *(called.keys() - {"fake", "real"}))
