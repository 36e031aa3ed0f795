"""What breaks while a server runs is mended: real tritonservers, real kills."""

import hashlib
import json
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import tritonclient.grpc as grpc
from server_models import (
    OPEN,
    PYTHON_CONFIG,
    SLEEPER,
    TWO_INSTANCES,
    alive,
    ask,
    ask_slow,
    descendants,
    eventually,
    write_onnx,
    write_python,
)
from tritonclient.utils import InferenceServerException

from veracity.install.advice import obtain
from veracity.install.locations import MODEL_REPOSITORY as REPOSITORY
from veracity.server import Server, reaper
from veracity.server.control import LoadTimedOut
from veracity.server.health import ModelState
from veracity.server.loads import Loads
from veracity.server.models import Timeouts
from veracity_client.errors import ModelUnavailable


@pytest.mark.triton
def test_dead_model_process_is_reloaded(open_server: Server, client: "grpc.InferenceServerClient") -> None:
    before = reaper.child_processes(open_server.pid)
    assert len(before) == 4  # two instances of the child, Triton's default on a CPU, and the detectors
    for stub in before:
        os.kill(stub, signal.SIGKILL)
    eventually(
        lambda: len(reaper.child_processes(open_server.pid) - before) == 4 and ready_states(open_server) == {"ready"}
    )
    assert ask(client, [[1, 2]]).tolist() == [[11, 22]]


def ready_states(server: Server) -> set[str]:
    return {server.models[name].state for name in ("double", "deepfake_detector", "deepfake_detector_stream")}


@pytest.mark.triton
def test_unloaded_model_is_found_by_the_canary(open_server: Server, client: "grpc.InferenceServerClient") -> None:
    with open_server.sockets.connect() as inside:
        inside.unload_model("deepfake_detector_stream")
    eventually(lambda: not client.is_model_ready("deepfake_detector_stream"))
    eventually(lambda: client.is_model_ready("deepfake_detector_stream"))


@pytest.mark.triton
def test_dead_server_is_restarted_on_the_same_ports(open_server: Server) -> None:
    before, url = open_server.pid, open_server.grpc_url
    os.kill(before, signal.SIGKILL)
    eventually(lambda: open_server.pid != before and ready_states(open_server) == {"ready"})
    assert open_server.grpc_url == url
    with grpc.InferenceServerClient(url) as client:
        assert ask(client, [[1, 2]]).tolist() == [[11, 22]]


@pytest.mark.triton
def test_hung_server_is_restarted(
    open_server: Server, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    before, url = open_server.pid, open_server.grpc_url
    os.kill(before, signal.SIGSTOP)
    eventually(lambda: open_server.pid != before and ready_states(open_server) == {"ready"})
    assert open_server.grpc_url == url
    assert not alive({before})
    with grpc.InferenceServerClient(url) as client:
        assert ask(client, [[1, 2]]).tolist() == [[11, 22]]
    said = caplog.text + "".join(capsys.readouterr())
    assert said.count("tritonserver hung") == 1
    assert "Traceback" not in said


@pytest.mark.triton
def test_killed_reaper_takes_all_with_it_and_the_server_is_restarted(open_server: Server) -> None:
    before, processes = open_server.pid, {open_server.pid} | descendants(open_server.pid)
    os.kill(parent(before), signal.SIGKILL)
    eventually(lambda: open_server.pid != before and ready_states(open_server) == {"ready"})
    assert not alive(processes)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def sleepers(tmp_path: Path) -> Path:
    """A model of two processes that answers after as many seconds as it is asked for."""
    write_python(tmp_path / "models/sleeper", SLEEPER, PYTHON_CONFIG + TWO_INSTANCES)
    (tmp_path / "busy").mkdir()
    return tmp_path / "models"


@pytest.mark.triton
def test_a_process_that_dies_over_a_request_costs_no_other_request(sleepers: Path) -> None:
    """Its neighbour answers its own before it ends: Triton never lets go of what worked for the dead one."""
    busy = sleepers.parent / "busy"
    with (
        Server(sleepers, access=OPEN, canary_seconds=1.0, env={"BUSY_FOLDER": str(busy)}) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        before = reaper.child_processes(server.pid)
        slow = [pool.submit(ask_slow, server.grpc_url, "sleeper", 6.0) for _ in before]
        eventually(lambda: {int(path.name) for path in busy.iterdir()} == before)
        dead, kept = before
        os.kill(dead, signal.SIGKILL)
        eventually(lambda: len(reaper.child_processes(server.pid) - before) == 2)
        outcomes = [future.exception() or int(future.result()) for future in slow]
        assert kept in outcomes
        (failed,) = [outcome for outcome in outcomes if outcome != kept]
        assert "not healthy" in str(failed)
        eventually(lambda: server.models["sleeper"].state == "ready")
        assert int(ask_slow(server.grpc_url, "sleeper", 0.0)) in reaper.child_processes(server.pid) - before


@pytest.mark.triton
@pytest.mark.parametrize("config", [PYTHON_CONFIG, PYTHON_CONFIG + TWO_INSTANCES, ""], ids=["one", "two", "a graph"])
def test_a_server_that_never_ends_a_load_is_restarted(
    tmp_path: Path,
    config: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Triton waits for ever for the first sign of a process that is killed before it."""
    monkeypatch.setattr("veracity.server.loads.STUCK_SECONDS", 5.0)
    model = tmp_path / "models/sleeper"
    write_python(model, SLEEPER, config) if config else write_onnx(model)
    if not config:
        with (model / "config.pbtxt").open("a") as file:
            file.write(TWO_INSTANCES)
    (tmp_path / "busy").mkdir()
    env = {"BUSY_FOLDER": str(tmp_path / "busy")}
    with Server(tmp_path / "models", access=OPEN, canary_seconds=1.0, env=env) as server:
        hung, count = server.pid, len(children_at_once(server.pid))

        def is_whole() -> bool:
            return server.models["sleeper"].state == "ready" and len(children_at_once(server.pid)) == count

        for _ in range(5):  # tries: where the signal comes too late, the load fails at once and is repeated
            kill_at_its_start(hung)
            eventually(lambda: server.pid != hung or is_whole())
            if server.pid != hung:
                break
        eventually(is_whole)
        assert server.pid != hung
    assert "a load never ends" in caplog.text + "".join(capsys.readouterr())


def test_a_load_that_may_wait_for_a_thread_of_triton_is_not_taken_for_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing here has a process; Triton loads four models at a time."""
    monkeypatch.setattr("veracity.server.loads.STUCK_SECONDS", 0.05)
    loads = Loads()

    def stuck(*backends: str) -> str:
        time.sleep(0.1)
        return loads.stuck(os.getpid(), backends)

    with pytest.raises(LoadTimedOut), loads.under_way(tmp_path / "slow", "python", 1):
        raise LoadTimedOut("Deadline Exceeded")
    with ExitStack() as stack:
        for number in range(4):
            stack.enter_context(loads.under_way(tmp_path / str(number), "python", 1))
        assert stuck("python") == ""  # Triton may still be at the slow one
        loads.begin()
        assert stuck("python") == "0"
        assert stuck("onnxruntime") == ""
        stack.enter_context(loads.under_way(tmp_path / "4", "python", 1))
        assert stuck("python") == ""
    assert stuck("python") == ""


def kill_at_its_start(server: int) -> None:
    """Kill the model's processes, and the first of the next ones as soon as it appears."""
    before = children_at_once(server)
    for process in before:
        os.kill(process, signal.SIGKILL)
    while not (started := children_at_once(server) - before):
        pass  # each millisecond counts
    os.kill(min(started), signal.SIGKILL)


def children_at_once(parent: int) -> set[int]:
    """The model's processes, found without the look at every process of the machine that takes too long here."""
    found = set()
    for thread in Path(f"/proc/{parent}/task").iterdir():
        with suppress(OSError):  # it ended
            for child in (thread / "children").read_text().split():
                if b"/sleeper/" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
    return found


@pytest.mark.triton
def test_a_process_that_hangs_beside_one_that_answers_is_ended(sleepers: Path) -> None:
    """The canaries go to the other one, which is free."""
    env = {"BUSY_FOLDER": str(sleepers.parent / "busy")}
    with (
        Server(sleepers, access=OPEN, canary_seconds=0.5, child_hang_seconds=3.0, env=env) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        before = reaper.child_processes(server.pid)
        for_ever = pool.submit(ask_slow, server.grpc_url, "sleeper", 1000.0)
        with pytest.raises(InferenceServerException, match="not healthy"):
            for_ever.result()
        eventually(lambda: len(reaper.child_processes(server.pid) - before) == 2)
        eventually(lambda: server.models["sleeper"].state == "ready")
        assert int(ask_slow(server.grpc_url, "sleeper", 0.0)) not in before


@pytest.mark.triton
def test_processes_are_replaced_again_and_again(sleepers: Path) -> None:
    with Server(
        sleepers, access=OPEN, canary_seconds=1.0, env={"BUSY_FOLDER": str(sleepers.parent / "busy")}
    ) as server:
        seen: set[int] = set()
        for _ in range(3):
            eventually(lambda: len(reaper.child_processes(server.pid) - seen) == 2)
            dead = min(reaper.child_processes(server.pid) - seen)
            os.kill(dead, signal.SIGKILL)
            seen.add(dead)
        eventually(lambda: len(reaper.child_processes(server.pid) - seen) == 2)
        assert int(ask_slow(server.grpc_url, "sleeper", 0.0)) not in seen


@pytest.mark.triton
@pytest.mark.parametrize("dead", [(0,), (1,), (0, 1)], ids=["first", "second", "both"])
def test_each_process_is_watched_from_the_load_on(sleepers: Path, dead: tuple[int, ...]) -> None:
    """Without a canary; a second start of one repository, whose files the first one may have changed."""
    env = {"BUSY_FOLDER": str(sleepers.parent / "busy")}
    with Server(sleepers, access=OPEN, canary_seconds=60.0, env=env):
        pass
    with Server(sleepers, access=OPEN, canary_seconds=60.0, env=env) as server:
        before = sorted(reaper.child_processes(server.pid))
        assert len(before) == 2
        killed = {before[number] for number in dead}
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(reaper.child_processes(server.pid) - killed) == 2)
        eventually(lambda: server.models["sleeper"].state == "ready")
        assert int(ask_slow(server.grpc_url, "sleeper", 0.0)) not in killed
        if len(killed) == 1:
            assert set(before) - killed <= reaper.child_processes(server.pid)


@pytest.mark.triton
def test_a_hung_model_is_reloaded_and_its_old_processes_are_killed(sleepers: Path) -> None:
    """Triton alone would wait for the busy processes until their requests end."""
    busy = sleepers.parent / "busy"
    env = {"BUSY_FOLDER": str(busy)}
    with (
        Server(sleepers, access=OPEN, canary_seconds=1.0, child_hang_seconds=2.0, env=env) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        before = reaper.child_processes(server.pid)
        slow = [pool.submit(ask_slow, server.grpc_url, "sleeper", 60.0) for _ in before]
        eventually(
            lambda: (
                len(reaper.child_processes(server.pid) - before) == 2
                and not reaper.child_processes(server.pid) & before
            )
        )
        for future in slow:
            with pytest.raises(InferenceServerException):
                future.result(timeout=20)


@pytest.mark.triton
def test_model_whose_first_load_failed_is_tried_again(models: Path, tmp_path: Path) -> None:
    write_onnx(tmp_path / "double")
    graph = tmp_path / "double/1/model.onnx"
    graph.write_bytes(b"not a graph")
    with Server(tmp_path) as server:
        assert server.models["double"].state == "failed"
        with pytest.raises(ModelUnavailable, match=r"double: .*model\.onnx"):
            server.require("double")
        shutil.copy(models / "double/1/model.onnx", graph)
        eventually(lambda: server.models["double"].state == "ready")
        server.require("double")
        with pytest.raises(ModelUnavailable, match="nobody"):
            server.require("nobody")


@pytest.mark.triton
def test_graph_of_another_digest_than_in_its_provenance_is_not_loaded(tmp_path: Path) -> None:
    write_onnx(tmp_path / "double")
    graph, provenance = tmp_path / "double/1/model.onnx", tmp_path / "double/provenance.json"
    provenance.write_text(json.dumps({"graph_sha256": "0" * 64}))
    with Server(tmp_path, canary_seconds=0.5) as server:
        assert server.models["double"].state == "failed"
        found = hashlib.sha256(graph.read_bytes()).hexdigest()[:12]
        said = f"1/model.onnx: its sha256 is {found}…, provenance.json says 000000000000…: export it anew"
        assert said in server.models["double"].reason
        assert not reaper.child_processes(server.pid)
        provenance.write_text(json.dumps({"graph_sha256": hashlib.sha256(graph.read_bytes()).hexdigest()}))
        eventually(lambda: server.models["double"].state == "ready")
        provenance.write_text(json.dumps({"graph_sha256": "0" * 64}))
        for stub in reaper.child_processes(server.pid):
            os.kill(stub, signal.SIGKILL)
        eventually(lambda: "sha256" in server.models["double"].reason)
        assert not reaper.child_processes(server.pid)


@pytest.mark.triton
def test_a_graph_with_a_flipped_bit_and_a_version_of_no_record_are_not_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(REPOSITORY / "lipsync_starter", tmp_path / "lipsync_starter")
    graph = tmp_path / "lipsync_starter/1/model.onnx"
    content = bytearray(graph.read_bytes())
    whole = hashlib.sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    write_onnx(tmp_path / "newer")
    record = {"graph_sha256": hashlib.sha256((tmp_path / "newer/1/model.onnx").read_bytes()).hexdigest()}
    (tmp_path / "newer/provenance.json").write_text(json.dumps(record))
    shutil.copytree(tmp_path / "newer/1", tmp_path / "newer/2")  # Triton serves the highest version
    flipped = hashlib.sha256(content).hexdigest()
    reason = f"1/model.onnx: its sha256 is {flipped[:12]}…, provenance.json says {whole[:12]}…: " + obtain(
        "lipsync_starter"
    )
    with Server(tmp_path) as server:
        assert server.models == {
            "lipsync_starter": ModelState("failed", reason),
            "newer": ModelState("failed", "2/model.onnx: provenance.json speaks of version 1 alone: take it out"),
        }
        assert not reaper.child_processes(server.pid)
    with pytest.raises(ModelUnavailable) as error:
        Server(tmp_path, models=["lipsync_starter"], production=True).start()
    assert error.value.message == f"lipsync_starter: {reason}"


def test_children_have_shorter_timeouts_than_detectors() -> None:
    timeouts = Timeouts(canary=5, hang=900, child_hang=120, load=300)
    assert timeouts.hang_of("deepfake_detector_stream") == 900
    assert timeouts.hang_of("face_detector") == 120


@pytest.mark.triton
def test_the_supervisor_reaches_its_server_without_the_proxy_of_the_environment(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(models, access=OPEN, models=["double", "deepfake_detector_stream"]) as server:
        assert {name: state.reason for name, state in server.models.items() if state.state != "ready"} == {}
