"""The simulator against queueing theory, and plans against the simulator."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from evaluation.capacity import Demand, ImpossibleError, Load, Machine, Request, plan, poisson, simulate

ENDLESS = 1_000_000


def by_chance(count: int, rate: float, mean: float, seed: int = 0) -> tuple[list[Request], dict[str, Demand]]:
    """Requests whose work is exponential, each a kind of its own."""
    rng = np.random.default_rng(seed + 1)
    requests = [Request(one.at, str(k)) for k, one in enumerate(poisson(rate, count, {"x": 1.0}, seed))]
    work = rng.exponential(mean, count)
    return requests, {str(k): Demand(1.0, seconds, {"cores": seconds}) for k, seconds in enumerate(work)}


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_shared_core_is_as_theory_says(load: float) -> None:
    """M/G/1 processor sharing: the mean is s / (1 - load), whatever the work's distribution."""
    requests, demands = by_chance(8_000, load, 1.0)
    found = simulate(requests, demands, Machine({"cores": 1.0}, places=ENDLESS), 1)
    assert np.mean(found.seconds) == pytest.approx(1 / (1 - load), rel=0.12)
    assert found.busy["cores"] == pytest.approx(load, rel=0.03)


def test_several_places_with_a_core_each_are_as_erlang_says() -> None:
    """M/M/4 at a load of 0.8: those who wait (Erlang C, 0.596) wait 1.25 s in the mean."""
    requests, demands = by_chance(12_000, 3.2, 1.0)
    found = simulate(requests, demands, Machine({"cores": 4.0}, places=4, waiting=ENDLESS), 1)
    assert np.mean(found.seconds) == pytest.approx(1 + 0.596 * 1.25, rel=0.1)


def test_a_file_alone_takes_what_it_takes_alone() -> None:
    demands = {"film": Demand(10.0, 3.0, {"cores": 4.0}), "idle": Demand(1.0, 2.0, {"cores": 0.5})}
    found = simulate([Request(0.0, "film"), Request(10.0, "idle")], demands, Machine({"cores": 2.0}), 1)
    assert found.seconds == pytest.approx([3.0, 2.0])


def test_more_than_there_is_room_for_is_refused() -> None:
    demands = {"x": Demand(1.0, 1.0, {"cores": 1.0})}
    found = simulate([Request(0.0, "x")] * 40, demands, Machine({"cores": 1.0}, places=4, waiting=32), 1)
    assert (found.refused, len(found.seconds)) == (4, 36)
    assert found.lasted == pytest.approx(36.0)
    assert simulate([Request(0.0, "x")] * 40, demands, Machine({"cores": 1.0}), 2).refused == 0


def test_a_card_and_cores_are_taken_one_after_the_other() -> None:
    demands = {"film": Demand(10.0, 3.0, {"cores": 2.0, "gpus": 1.0})}
    found = simulate([Request(0.0, "film")] * 2, demands, Machine({"cores": 2.0, "gpus": 1.0}), 1)
    assert found.seconds == pytest.approx([4.0, 4.0])  # both decode at once, then share the card


DEMANDS = {"film": Demand(10.0, 2.0, {"cores": 2.0})}


def test_a_plan_holds_and_one_server_less_does_not() -> None:
    load, machine = Load(hours=800.0, mix={"film": 1.0}, peak=2.0), Machine({"cores": 2.0})
    found = plan(load, DEMANDS, machine, p95=6.0)
    assert found.servers == found.needed + 1
    assert found.rate == pytest.approx(800 * 3600 / 10 / 86_400 * 2, rel=1e-3)
    assert found.units == {"cores": 2.0 * found.servers}
    requests = poisson(found.rate, 2000, {"film": 1.0})
    assert simulate(requests, DEMANDS, machine, found.needed).percentile(95) <= 6.0
    worse = simulate(requests, DEMANDS, machine, found.needed - 1)
    assert worse.refused or worse.percentile(95) > 6.0


def test_a_large_load_is_a_small_one_many_times() -> None:
    small = plan(Load(2000.0, {"film": 1.0}), DEMANDS, Machine({"cores": 2.0}), 8.0)
    large = plan(Load(200_000.0, {"film": 1.0}), DEMANDS, Machine({"cores": 2.0}), 8.0)
    assert large.simulated <= 64
    assert large.needed == pytest.approx(100 * small.needed, rel=0.15)


@pytest.mark.parametrize(("count", "films"), [(10, 3), (40, 13), (100, 33)])
def test_requests_have_the_shares_of_their_mix(count: int, films: int) -> None:
    sent = poisson(2.0, count, {"film": 1.0, "sound": 2.0}, seed=4)
    kinds = [request.kind for request in sent]
    assert (kinds.count("film"), len(kinds)) == (films, count)
    assert kinds != sorted(kinds)
    assert [request.at for request in sent] == sorted(request.at for request in sent)


def test_what_no_number_of_servers_does_is_said() -> None:
    with pytest.raises(ImpossibleError, match=r"take over 2\.0 s on a server that does nothing else, not 1 s"):
        plan(Load(10.0, {"film": 1.0}), DEMANDS, Machine({"cores": 2.0}), p95=1.0)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    spread = {"min": 1.0, "median": 2.0, "max": 3.0}
    row = {"media_seconds": 10.0, "wall_seconds": spread, "cpu_seconds": spread}
    path = tmp_path / "capacity.json"
    path.write_text(json.dumps({"full": [{"servers": 2, "inflation": 1.1}], "service": {"film": row}}))
    return path


def test_the_command_plans(service: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["capacity", "--service", str(service), "--mix", "film=1"]
    assert main([*command, "--hours", "1000", "--p95", "20"]) == 0
    said = capsys.readouterr().out
    assert "servers" in said
    assert "1000.0" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--hours", "0"], "are over 0"),
        (["--hours", "10", "--p95", "1"], "on a server that does nothing else"),
        (["--hours", "10", "--mix", "gif=1"], "'gif' was not measured; there are film"),
        (["--hours", "10", "--mix", "film=none"], "wants KIND=SHARE"),
        (["--hours", "10", "--service", "/nowhere.json"], "there is no measurement at /nowhere.json"),
        (["--hours", "10", "--service", __file__], "is no measurement of this command"),
    ],
)
def test_bad_input_is_refused_in_words(
    service: Path, wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capacity", "--service", str(service), "--mix", "film=1", *wrong]) == 1
    assert said in " ".join(capsys.readouterr().err.split())
