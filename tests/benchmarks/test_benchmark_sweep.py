"""``python -m benchmarks sweep``: a point alters what it names, in a copy, and a server of it answers."""

from pathlib import Path

import pytest
import tritonclient.grpc as grpc
from conftest import REPOSITORY
from google.protobuf import text_format

from benchmarks import sweep
from benchmarks.sweep import COMMITTED, Point, Visit
from benchmarks.target import sound_of
from veracity.catalog import MODELS
from veracity.settings import Settings

FACES = MODELS["visual_starter"]
EVERYTHING = Point("all", instances=2, batch=1, delay_us=0, threads=1, spinning=1)


def _config(text: str) -> grpc.model_config_pb2.ModelConfig:
    return text_format.Parse(text, grpc.model_config_pb2.ModelConfig())


def test_a_point_alters_what_it_names_and_nothing_else() -> None:
    text = (REPOSITORY / FACES.name / "config.pbtxt").read_text()
    assert sweep.altered(text, COMMITTED, FACES.request_items) == _config(text)
    config = sweep.altered(text, EVERYTHING, FACES.request_items)
    assert config.instance_group[0].count == 2
    assert config.max_batch_size == FACES.request_items < _config(text).max_batch_size
    assert not config.dynamic_batching.preferred_batch_size
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    assert config.parameters["intra_op_thread_count"].string_value == "1"
    assert config.parameters["session.intra_op.allow_spinning"].string_value == "1"
    assert config.model_warmup == _config(text).model_warmup


def test_the_repository_is_left_as_it_is(tmp_path: Path, full_repository: Path) -> None:
    before = {path: path.read_bytes() for path in full_repository.rglob("config.pbtxt")}
    copy = sweep.repository_of(Settings(model_repository=full_repository), EVERYTHING, tmp_path)
    assert {path: path.read_bytes() for path in full_repository.rglob("config.pbtxt")} == before
    config = FACES.name + "/config.pbtxt"
    assert (copy / config).read_text() != (full_repository / config).read_text()
    assert (copy / FACES.name / "1/model.onnx").read_bytes()


def test_the_best_settings_are_said_in_full() -> None:
    found = sweep.effective(Settings(model_repository=REPOSITORY), Point("", threads=1, delay_us=0))[FACES.name]
    assert found == {"instances": 1, "max_batch": FACES.max_batch, "delay_us": 0, "threads": 1, "spinning": 0}


def test_points_are_visited_forwards_and_then_backwards() -> None:
    order: list[str] = []

    def work(point: Point) -> Visit:
        order.append(point.name)
        return Visit(1.0, 1.0)

    points = [Point("a"), Point("b"), Point("c")]
    visits = sweep.measure(points, rounds=3, minutes=1.0, work=work)
    assert "".join(order) == "abccbaabc"
    assert [len(visits[point]) for point in points] == [3, 3, 3]
    order.clear()
    assert list(sweep.measure(points, rounds=2, minutes=0.0, work=work)) == points[:1]
    assert order == ["a", "a"]


def test_a_point_within_the_spread_of_the_committed_settings_is_not_better() -> None:
    visits = {COMMITTED: [Visit(1, 1.0), Visit(1, 1.2)], Point("noise"): [Visit(1, 1.1), Visit(1, 9.0)]}
    assert sweep.best(visits) == COMMITTED
    visits |= {Point("better"): [Visit(1, 1.3), Visit(1, 1.4)], Point("more"): [Visit(1, 1.5), Visit(1, 1.3001)]}
    assert sweep.best(visits).name == "more"


@pytest.mark.triton
def test_a_server_of_a_point_answers(full_repository: Path, talking: Path, settings: Settings, tmp_path: Path) -> None:
    files = [talking, sound_of(talking, tmp_path)]
    found = sweep.visit(Settings(model_repository=full_repository), EVERYTHING, files)
    assert found.seconds > 0
    assert found.files_per_second > 0
