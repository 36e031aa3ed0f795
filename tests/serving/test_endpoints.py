"""One video, four ways in: gRPC, HTTP, the stream, the pipeline in this process; and what else a server must do."""

import asyncio
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.catalog import MODELS
from veracity.catalog.serving import VIDEOS_AT_ONCE
from veracity.media import Source
from veracity.server import Server
from veracity.server.reaper import child_processes
from veracity_client import AsyncDetector, Detector, Options, StageEvent, Verdict, errors

pytestmark = pytest.mark.triton
EXHAUSTIVE = Options(policy="exhaustive")


def same(one: Any, other: Any) -> bool:
    """Compare JSON; numbers to 2e-3, since batches of other sizes sum in another order and scores are rounded."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, abs=2e-3)
    return bool(one == other)


def comparable(verdict: Verdict) -> dict[str, Any]:
    """Drop what differs by nature, and the sentences, which repeat rounded scores."""
    plain = dataclasses.replace(verdict, video_id="", timings={}, processing_time=0.0, reasoning="").to_dict()
    for result in plain["layer_results"].values():
        del result["reasoning"]
    for face in plain["faces"]:  # of two equal scores the one or the other is first
        face["worst"] = [span["score"] for span in face["worst"]]
        face["boxes"] = [[round(side) for side in box["box"]] for box in face["boxes"]][:1]
    return plain


def test_every_endpoint_gives_the_same_verdict(
    server: Server, detector: Detector, full_context: AnalysisContext, talking: Path
) -> None:
    local = asyncio.run(
        analyze(Source(talking), LocalInfer(full_context.settings.model_repository), EXHAUSTIVE, full_context)
    )
    over_grpc = detector.analyze(talking, EXHAUSTIVE)
    with Detector(f"http://{server.http_url}") as http:
        over_http = http.analyze(talking.read_bytes(), EXHAUSTIVE)
    *events, streamed = detector.stages(talking, EXHAUSTIVE)
    assert isinstance(streamed, Verdict)
    assert all(isinstance(event, StageEvent) for event in events)
    for verdict in (over_grpc, over_http, streamed):
        assert same(comparable(verdict), comparable(local))
        assert verdict.layers_executed == (1, 2, 3, 4)


def test_the_stream_tells_the_layers_before_the_verdict(detector: Detector, talking: Path) -> None:
    told = [e for e in detector.stages(talking, EXHAUSTIVE) if isinstance(e, StageEvent)]
    results = {e.stage: e.result for e in told if e.result is not None}
    assert set(results) == {"1_audio", "2_visual", "3_lipsync", "4_semantic"}
    assert [e.seconds for e in told] == sorted(e.seconds for e in told)


def test_a_file_by_its_name_under_the_media_root(detector: Detector, talking: Path) -> None:
    verdict = detector.analyze_path(talking.name, EXHAUSTIVE)
    assert verdict.layers_executed == (1, 2, 3, 4)


def test_async_client(server: Server, talking: Path) -> None:
    async def ask() -> list[Verdict]:
        async with AsyncDetector(server.grpc_url) as found:
            return list(await asyncio.gather(*(found.analyze(talking, EXHAUSTIVE) for _ in range(2))))

    first, second = asyncio.run(ask())
    assert same(comparable(first), comparable(second))
    assert first.video_id != second.video_id


def test_videos_at_one_time_share_batches_in_the_children(server: Server, detector: Detector, talking: Path) -> None:
    """Triton's own statistics: batches larger than any request that one video makes."""

    def shared() -> dict[str, int]:
        return {name: size for name, size in _largest_batches(client).items() if size > MODELS[name].request_items}

    with server.sockets.connect() as client, ThreadPoolExecutor(VIDEOS_AT_ONCE) as pool:
        for _ in range(10):  # whether videos meet in a queue is chance; in ten rounds of all places it is sure
            if shared():
                break
            list(pool.map(lambda _: detector.analyze(talking, EXHAUSTIVE), range(VIDEOS_AT_ONCE)))
        assert shared(), f"no batch held two videos: {_largest_batches(client)}"


def _largest_batches(client: Any) -> dict[str, int]:
    stats = client.get_inference_statistics(as_json=True)["model_stats"]
    sizes = {m["name"]: [int(b.get("batch_size", 0)) for b in m.get("batch_stats", [])] for m in stats}
    return {name: max(found, default=0) for name, found in sizes.items() if name in MODELS}


def test_one_bad_request_harms_no_other(detector: Detector, talking: Path) -> None:
    def ask(video: bytes) -> str:
        try:
            return detector.analyze(video, EXHAUSTIVE).label
        except errors.VeracityError as error:
            return type(error).__name__

    good = talking.read_bytes()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, [good, b"this is no video", good, b""]))
    assert answers[1] == answers[3] == "BadVideo"
    assert answers[0] == answers[2] != "BadVideo"


def test_the_stream_works_on_no_more_videos_at_once_than_it_has_places(
    server: Server, detector: Detector, talking: Path
) -> None:
    """A decoupled model is handed every request at once: the engine itself makes them wait.

    A video has two decoders while it is inspected, then one; all twelve at once would have 24.
    """
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(lambda: [*detector.stages(talking, EXHAUSTIVE)][-1]) for _ in range(12)]
        most = 0
        while not all(future.done() for future in asked):
            most = max(most, sum(len(child_processes(stub)) for stub in child_processes(server.pid)))
            time.sleep(0.01)
    assert all(isinstance(future.result(), Verdict) for future in asked)
    assert 2 <= most <= 2 * VIDEOS_AT_ONCE, f"{most} decoders ran at one time"
