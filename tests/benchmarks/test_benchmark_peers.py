"""``python -m benchmarks peers``: each peer is really run, has our answers, and is not counted with other weights."""

import asyncio
import shutil
import socket
import threading
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
import tiny_models
from conftest import REPOSITORY
from onnx import numpy_helper

from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.catalog import MODELS, smoke_test
from veracity.media import find_ffmpeg
from veracity.sample import Clip, make_sample
from veracity.settings import Settings
from veracity_client import Verdict
from veracity_client.errors import VeracityError

if any(find_spec(package) is None for package in ("torch", "fastapi", "litserve", "ray")):
    pytest.skip("make test-peers installs the peers", allow_module_level=True)

from benchmarks.peers import arrays, limit, measure, networks, service

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
PEERS = [name for name in measure.CONTENDERS if name != "veracity"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Path:
    """Two seconds of speech over a moving photograph."""
    portrait, size = settings.weights / "astronaut.png", Clip(640, 360, 2.0, 1_500_000)
    return make_sample(tmp_path_factory.mktemp("clip") / "two_seconds.mp4", portrait, find_ffmpeg(None), size)


@pytest.fixture(scope="module")
def cheap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with tiny models in place of the two encoders."""
    target = tmp_path_factory.mktemp("cheap") / "model_repository"
    shutil.copytree(REPOSITORY, target)
    for name in ("audio_starter", "semantic_starter"):
        tiny_models.install(target, name)
    return target


def answered(name: str, settings: Settings, clip: Path) -> Verdict:
    with measure.CONTENDERS[name](settings, AnalysisContext.from_settings(settings)) as analyze:
        return analyze(clip)


@pytest.fixture(scope="module")
def ours(cheap: Path, clip: Path) -> Verdict:
    verdict = answered("veracity", Settings(model_repository=cheap), clip)
    assert {result.status for result in verdict.layer_results.values()} == {"scored"}
    return verdict


@pytest.mark.triton
@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_has_our_answers(name: str, ours: Verdict, cheap: Path, clip: Path) -> None:
    assert measure.difference(ours, answered(name, Settings(model_repository=cheap), clip)) == ""


@pytest.mark.triton
def test_a_peer_with_other_weights_is_refused(ours: Verdict, cheap: Path, clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "model_repository"
    shutil.copytree(cheap, other)
    tiny_models.install(other, "visual_starter")
    theirs = answered("plain", Settings(model_repository=other), clip)
    assert measure.difference(ours, theirs).startswith("2_visual has P(fake) 0.")
    contender = measure.Contender("plain", lambda _: theirs, [], 0.0)
    contender.hold([ours, theirs, ours], ours)
    assert contender.refused.startswith("2_visual has P(fake)")


@pytest.mark.slow
def test_without_clients_a_contender_has_figures_of_one_video_alone() -> None:
    alone = measure.Contender("plain", analyze=lambda _: pytest.fail("nobody asks"), processes=[], start_seconds=1.0)
    alone.alone += [3.0, 1.0, 2.0]
    assert alone.row(0)["seconds"] == {"min": 1.0, "median": 2.0, "max": 3.0}
    assert "videos_per_minute" not in alone.row(0)
    alone.at_once += [8.0]
    assert alone.row(4)["videos_per_minute"] == 30.0


def test_a_service_that_breaks_off_fails_its_model_and_not_the_run() -> None:
    def hang_up(listener: socket.socket) -> None:
        for _ in range(2):
            listener.accept()[0].close()

    async def at_once(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await service.AllAtOnce(client, {"visual_starter": url})("visual_starter", inputs)

    inputs = smoke_test.inputs(MODELS["visual_starter"])
    with socket.create_server(("127.0.0.1", 0)) as listener, httpx.Client(trust_env=False) as client:
        threading.Thread(target=hang_up, args=[listener], daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/visual_starter"
        with pytest.raises(VeracityError, match="visual_starter's service broke off"):
            asyncio.run(service.OneByOne(client, {"visual_starter": url})("visual_starter", inputs))
        with pytest.raises(VeracityError, match="visual_starter's service broke off"):
            asyncio.run(at_once(url))


def test_eager_torch_has_the_weights_of_the_graph(tmp_path: Path) -> None:
    from export.__main__ import main

    name = "visual_sbi_b4"
    assert main([name, "--untrained", "--repository", str(tmp_path)]) == 0
    settings = Settings(profile="bench", model_repository=tmp_path)
    assert [(model, networks.runtime(model)) for model in networks.installed(settings)] == [(name, networks.TORCH)]
    batch, graph = smoke_test.inputs(MODELS[name]), LocalInfer(tmp_path)
    expected = asyncio.run(graph(name, batch))
    for output, found in networks.load(name, settings)(batch).items():
        assert found == pytest.approx(expected[output], rel=1e-4, abs=1e-4), output


def test_flop_are_counted_by_the_shapes(tmp_path: Path) -> None:
    """Two convolutions, the second transposed, and two products of matrices, of whose weights one is transposed."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    counted (float[batch, 3, 8, 8] x) => (float[batch, 5] y)
    <float[4, 3, 3, 3] a, float[4, 2, 2, 2] b, float[98, 7] c, float[5, 7] d> {
       p = Conv(x, a)
       q = ConvTranspose(p, b)
       r = Flatten(q)
       s = MatMul(r, c)
       y = Gemm<transB = 1>(s, d)
    }"""
    model = onnx.parser.parse_model(text)
    shapes = {"a": (4, 3, 3, 3), "b": (4, 2, 2, 2), "c": (98, 7), "d": (5, 7)}
    weights = (numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in shapes.items())
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    onnx.save(model, tmp_path / "counted.onnx")
    item = {"x": np.ones((1, 3, 8, 8), np.float32)}
    conv, transposed, matmul, gemm = 4 * 6 * 6 * 27, 4 * 6 * 6 * 2 * 4, 98 * 7, 7 * 5
    assert limit.flop(tmp_path / "counted.onnx", item) == 2 * (conv + transposed + matmul + gemm)


def test_items_are_taken_apart_and_put_together() -> None:
    column = np.arange(3, dtype=np.float32)[:, None]
    batch: arrays.Arrays = {"a": np.arange(6, dtype=np.int16).reshape(3, 2), "b": column}
    parts = arrays.items(batch)
    assert [part["a"].shape for part in parts] == [(1, 2)] * 3
    again = arrays.joined([arrays.unpacked(arrays.packed(part)) for part in parts])
    assert {name: (array.dtype, array.tolist()) for name, array in again.items()} == {
        name: (array.dtype, array.tolist()) for name, array in batch.items()
    }
