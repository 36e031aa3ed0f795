"""Models that come when they are needed and go when they are not, in real tritonservers."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import tiny_models
from server_models import eventually, make_repository

from veracity import residency
from veracity.catalog import SPEAKER, memory
from veracity.media import find_ffmpeg
from veracity.server import Server, readiness, reaper
from veracity.server.memory import Memory
from veracity.server.repository import is_detector
from veracity.settings import Settings
from veracity_client import Detector, Options, Verdict
from veracity_client.errors import AnalysisTimeout, ModelUnavailable, ServerUnavailable

ALL = Options(policy="exhaustive", deadline_seconds=120.0)
FACES = Options(policy="exhaustive", deadline_seconds=120.0, layers=("audio", "visual"))
IN_THE_WAY = ("face_detector", "visual_starter")
DETECTORS_ONLY = 5  # processes: four of the one detector, one of the other


@pytest.fixture(scope="module")
def lazy_settings(full_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    repository = tmp_path_factory.mktemp("lazy") / "model_repository"
    shutil.copytree(full_repository, repository)
    return Settings(model_repository=repository, memory="lazy")


@pytest.fixture(scope="module")
def lazy(lazy_settings: Settings) -> Iterator[Server]:
    with Server.from_settings(lazy_settings, canary_seconds=1) as running:
        yield running


@pytest.fixture(scope="module")
def tight(lazy_settings: Settings) -> Iterator[Server]:
    """A server that has memory for the models of one layer, not of two."""
    needed = memory.needs(lazy_settings.model_repository, IN_THE_WAY, gpu=False)
    budget = sum(need.bytes for need in needed.values())
    settings = lazy_settings.replace(memory_budget=budget, memory_idle_seconds=1)
    with Server.from_settings(settings, canary_seconds=1) as running:
        yield running


@pytest.fixture(scope="module")
def voice(talking: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sound = tmp_path_factory.mktemp("voice") / "voice.wav"
    command = [str(find_ffmpeg(None)), "-v", "error", "-i", str(talking), "-vn", str(sound)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return sound


def states(server: Server) -> dict[str, str]:
    """Return the states of all but the detectors, and of the one that explanations alone ask if it is missing."""
    found = {name: state.state for name, state in server.models.items() if not is_detector(name)}
    return {name: state for name, state in found.items() if (name, state) != (SPEAKER.name, "missing")}


def loaded(server: Server) -> set[str]:
    return {name for name, state in states(server).items() if state == "ready"}


def ask(server: Server, video: Path, options: Options = ALL) -> Verdict:
    with Detector(server.grpc_url, timeout=120, retries=None) as detector:
        return detector.analyze(video, options)


def probabilities(verdict: Verdict) -> dict[str, float | None]:
    return {key: layer.fake_probability for key, layer in verdict.layer_results.items()}


@pytest.mark.triton
def test_nothing_is_loaded_before_it_is_needed(lazy: Server, lazy_settings: Settings, voice: Path) -> None:
    assert set(states(lazy).values()) == {"unloaded"}
    with urlopen(lazy.health_url) as answer:
        page = json.load(answer)
    assert page["ready"]
    assert page["models"]["visual_starter"]["state"] == "unloaded"
    with Detector(lazy.grpc_url) as detector:
        assert detector.ready(whole=True)
    assert list(readiness.faults(lazy_settings, lazy.grpc_url, 60)) == []
    assert set(states(lazy).values()) == {"unloaded"}
    ask(lazy, voice)
    assert loaded(lazy) == {"audio_starter"}


@pytest.mark.triton
def test_a_verdict_is_the_same_as_with_all_models_in_memory(lazy: Server, server: Server, talking: Path) -> None:
    found, usual = ask(lazy, talking), ask(server, talking)
    assert probabilities(found) == probabilities(usual)
    assert not found.degraded
    assert {"audio_starter", "face_detector", "visual_starter"} <= loaded(lazy)


@pytest.mark.triton
def test_a_loaded_model_that_dies_is_healed(lazy: Server, lazy_settings: Settings, voice: Path) -> None:
    ask(lazy, voice)
    assert list(readiness.faults(lazy_settings, lazy.grpc_url, 60)) == []
    before = reaper.child_processes(lazy.pid)
    for process in before:
        if "audio_starter" in Path(f"/proc/{process}/cmdline").read_text():
            os.kill(process, signal.SIGKILL)
    assert ask(lazy, voice).layer_results["1_audio"].status == "scored"
    eventually(lambda: "audio_starter" in loaded(lazy))


@pytest.mark.triton
def test_a_tritonserver_that_died_comes_back_without_them(lazy: Server, voice: Path) -> None:
    before = lazy.pid
    os.kill(before, signal.SIGKILL)
    eventually(lambda: lazy.pid != before and set(states(lazy).values()) == {"unloaded"})
    assert ask(lazy, voice).layer_results["1_audio"].status == "scored"
    assert loaded(lazy) == {"audio_starter"}


@pytest.mark.triton
def test_videos_at_once_take_turns_in_a_small_memory(tight: Server, server: Server, talking: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: ask(tight, talking, FACES), range(2)))
    usual = probabilities(ask(server, talking, FACES))
    assert [probabilities(verdict) for verdict in found] == [usual] * 2
    assert not any(verdict.degraded for verdict in found)
    eventually(lambda: not loaded(tight))  # nobody uses them any more
    eventually(lambda: len(reaper.child_processes(tight.pid)) == DETECTORS_ONLY)


@pytest.mark.triton
def test_without_memory_within_the_deadline_the_error_says_so(
    tight: Server, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(residency.SOCKET, str(tight.sockets.residency))

    async def asked_while_others_are_used() -> None:
        async with AsyncExitStack() as stack:
            for name in IN_THE_WAY:
                await stack.enter_async_context(residency.held(name, 60))
            with pytest.raises(AnalysisTimeout, match="audio_starter found no room in the server's memory"):
                await asyncio.to_thread(ask, tight, voice, Options(deadline_seconds=3))
            assert loaded(tight) == set(IN_THE_WAY)

    asyncio.run(asked_while_others_are_used())
    assert ask(tight, voice).layer_results["1_audio"].status == "scored"


@pytest.mark.triton
def test_a_model_that_does_not_load_is_a_fault_until_it_does(
    tight: Server, lazy_settings: Settings, talking: Path
) -> None:
    eventually(lambda: not loaded(tight))
    visual = lazy_settings.model_repository / "visual_starter" / "1" / "model.onnx"
    visual.write_bytes(b"no graph")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, tight, talking, FACES)
        eventually(lambda: tight.models["visual_starter"].state == "failed")
        with pytest.raises(HTTPError) as caught:
            urlopen(tight.health_url)
        assert "visual_starter" in caught.value.read().decode()
        tiny_models.install(lazy_settings.model_repository, "visual_starter")
        verdict = waiting.result(timeout=120)
    assert verdict.layer_results["2_visual"].status == "scored"
    eventually(lambda: not tight.status().faults and not loaded(tight))


@pytest.mark.triton
def test_production_loads_each_model_once_before_it_serves(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    names = ("double", "broken", "deepfake_detector")
    with pytest.raises(ModelUnavailable, match="broken: "):
        Server(repository, models=names, production=True, memory=Memory(lazy=True)).start()


@pytest.mark.parametrize(
    ("kept", "budget", "says"),
    [("lazy", "1M", "too small for face_detector"), ("resident", "800M", "VERACITY_MEMORY=lazy has in memory only")],
)
def test_a_budget_that_nothing_fits_is_refused(full_repository: Path, kept: str, budget: str, says: str) -> None:
    settings = Settings.from_env({"VERACITY_MEMORY": kept, "VERACITY_MEMORY_BUDGET": budget})
    with pytest.raises(ServerUnavailable, match=says) as caught:
        Server.from_settings(settings.replace(model_repository=full_repository)).start()
    assert "VERACITY_MEMORY_BUDGET is" in caught.value.message
