"""Rates of ISO/IEC 30107-3 by hand, and their bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.attacks import attack_rates
from veracity.calibrate.metrics import Unmeasurable

WORDS = ("fake", "real", "inconclusive", "error")
CALLED = st.fixed_dictionaries({word: st.integers(0, 20) for word in WORDS})


def test_rates_by_hand() -> None:
    fakes = {"swap": {"fake": 6, "real": 1, "inconclusive": 3}, "voice": {"real": 3, "error": 2}, "once": {"real": 1}}
    found = attack_rates(fakes, {"fake": 1, "real": 7, "inconclusive": 2})
    kinds = {kind["how"]: kind for kind in found["kinds"]}
    assert [kinds["swap"][name]["value"] for name in ("recall", "apcer", "apnrr")] == [0.6, 0.1, 0.3]
    assert [kinds["voice"][name]["value"] for name in ("recall", "apcer", "apnrr")] == [0, 0.6, 0.4]
    assert (found["bpcer"]["value"], found["bpnrr"]["value"]) == (0.1, 0.2)
    assert kinds["once"]["apcer"]["value"] == 1
    assert found["apcer_max"] == kinds["voice"]  # a single clip is no worst kind
    assert attack_rates(fakes, {"real": 1}, fewest=1)["apcer_max"] == kinds["once"]
    assert attack_rates(fakes, {"real": 1}, fewest=11)["apcer_max"] is None


@pytest.mark.parametrize(("fakes", "reals"), [({}, {"real": 1}), ({"swap": {"real": 0}}, {"real": 1}),
                                              ({"swap": {"real": 1}}, {})])  # fmt: skip
def test_there_are_no_rates_of_one_label(fakes: dict[str, dict[str, int]], reals: dict[str, int]) -> None:
    with pytest.raises(Unmeasurable, match="take fakes and reals"):
        attack_rates(fakes, reals)


@given(st.dictionaries(st.text(max_size=3), CALLED, min_size=1, max_size=4), CALLED)
def test_rates_are_shares_and_the_worst_is_no_better_than_any(
    fakes: dict[str, dict[str, int]], reals: dict[str, int]
) -> None:
    try:
        found = attack_rates(fakes, reals, fewest=1)
    except Unmeasurable:
        return
    for kind in found["kinds"]:
        rates = [kind[name] for name in ("recall", "apcer", "apnrr")]
        assert sum(rate["value"] for rate in rates) == pytest.approx(1, abs=2e-4)
        assert all(0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1 for rate in rates)
        assert kind["apcer"]["value"] <= found["apcer_max"]["apcer"]["value"]
    assert 0 <= found["bpcer"]["value"] + found["bpnrr"]["value"] <= 1.0002
