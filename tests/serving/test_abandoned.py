"""What nobody waits for any more ends: the caller went away, or the deadline passed on the way."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import media_samples
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from veracity.catalog.serving import ARRIVED, VIDEOS_AT_ONCE
from veracity.server import Server
from veracity.server.reaper import child_processes
from veracity_client import Detector, Options, Verdict, errors

pytestmark = pytest.mark.triton
LONG = media_samples.gif(8192, 4320, 4000)  # 92 kB; more processor time than a test may take


def decoders(server: Server) -> int:
    """Return how many decoders run in the server's models."""
    return sum(len(child_processes(stub)) for stub in child_processes(server.pid))


def until(server: Server, running: bool) -> None:
    """Wait, as long as a test may take, until decoders run or none does."""
    while (decoders(server) > 0) != running:
        time.sleep(0.05)


def inputs(video: bytes, options: Options, kind: ModuleType = tritonclient.grpc) -> list[Any]:
    made = []
    for name, value in (("VIDEO", video), ("OPTIONS", options.to_json().encode())):
        tensor = kind.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value]], np.object_))
        made.append(tensor)
    return made


def test_an_http_caller_whose_time_is_up(server: Server) -> None:
    """Triton's HTTP does not notice who leaves, see docs/operate.md; so the client tells how long it waits."""
    with Detector(f"http://{server.http_url}") as detector, pytest.raises(errors.AnalysisTimeout):
        detector.analyze(LONG, timeout=3)
    until(server, running=False)


def test_a_grpc_caller_who_leaves(server: Server) -> None:
    with Detector(server.grpc_url) as detector, pytest.raises(errors.AnalysisTimeout):
        detector.analyze(LONG, timeout=3)
    until(server, running=False)


def test_a_stream_that_is_left(server: Server) -> None:
    with Detector(server.grpc_url) as detector:
        events = detector.stages(LONG)
        next(events)
        until(server, running=True)
        events.close()
    until(server, running=False)


@pytest.mark.parametrize(("ago", "late"), [(60, True), (1, False), (-1000, False)])
def test_the_deadline_counts_from_the_arrival_that_a_proxy_stamps(
    server: Server, media_folder: Path, ago: float, late: bool
) -> None:
    sound = media_samples.audio_only(media_folder, seconds=1).read_bytes()
    asked = inputs(sound, Options(deadline_seconds=30))
    stamp = {ARRIVED: f"{time.time() - ago:.6f}"}
    with server.sockets.connect() as client:  # past the proxy, which stamps each request itself
        if late:
            with pytest.raises(Exception, match="AnalysisTimeout: no verdict within 30 s"):
                client.infer("deepfake_detector", asked, parameters=stamp)
        else:
            answer = client.infer("deepfake_detector", asked, parameters=stamp).as_numpy("VERDICT")
            assert json.loads(answer.item())["label"] == "inconclusive"


def test_a_stamp_that_is_none_is_ignored(server: Server, media_folder: Path) -> None:
    sound = media_samples.audio_only(media_folder, seconds=1).read_bytes()
    asked = inputs(sound, Options())
    with server.sockets.connect() as client:
        for stamp in ("soon", "nan", True):
            assert client.infer("deepfake_detector", asked, parameters={ARRIVED: stamp}).as_numpy("VERDICT").size


def test_a_deadline_that_passes_in_the_queue(server: Server, media_folder: Path) -> None:
    """All instances are busy for longer; what waited past its deadline is not analysed when they are free."""
    sound = media_samples.audio_only(media_folder, seconds=1)
    with Detector(server.grpc_url, retries=0) as detector, ThreadPoolExecutor(VIDEOS_AT_ONCE) as pool:
        busy = [pool.submit(detector.analyze, LONG, timeout=8) for _ in range(VIDEOS_AT_ONCE)]
        while decoders(server) < VIDEOS_AT_ONCE:
            time.sleep(0.05)
        with pytest.raises(errors.Overloaded):
            detector.analyze(sound, Options(deadline_seconds=1))
        assert all(isinstance(one.exception(), errors.AnalysisTimeout) for one in busy)
        until(server, running=False)
        assert isinstance(detector.analyze(sound), Verdict)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_proxy_stamps_the_arrival(server: Server, media_folder: Path, protocol: str) -> None:
    """What waits for an instance, without a word to Triton's queue, has used up its time when its turn comes."""
    sound = media_samples.audio_only(media_folder, seconds=1).read_bytes()
    kind = tritonclient.grpc if protocol == "grpc" else tritonclient.http
    with Detector(server.grpc_url, retries=0) as detector, ThreadPoolExecutor(VIDEOS_AT_ONCE) as pool:
        busy = [pool.submit(detector.analyze, LONG, timeout=8) for _ in range(VIDEOS_AT_ONCE)]
        while decoders(server) < VIDEOS_AT_ONCE:
            time.sleep(0.05)
        url, wait = (server.grpc_url, {}) if protocol == "grpc" else (server.http_url, {"network_timeout": 60})
        forged = {ARRIVED: f"{time.time() + 1000:.6f}"}
        asked = inputs(sound, Options(deadline_seconds=1), kind)
        late = pytest.raises(Exception, match="AnalysisTimeout: no verdict within 1 s")
        with kind.InferenceServerClient(url, **wait) as client, late:
            client.infer("deepfake_detector", asked, headers=forged)
        assert all(isinstance(one.exception(), errors.AnalysisTimeout) for one in busy)
    until(server, running=False)
