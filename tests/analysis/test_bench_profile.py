"""Made-up weights measure time in the profile ``bench`` and answer nowhere else: in this process, then in a server."""

import asyncio
import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_models
from server_models import WAIT_SECONDS, eventually

from veracity import cli
from veracity.analysis.context import AnalysisContext
from veracity.analysis.local_infer import LocalInfer
from veracity.analysis.pipeline import analyze
from veracity.catalog.profiles import PROFILES, required
from veracity.catalog.provenance import FILE, GRAPH
from veracity.install import doctor
from veracity.media import Source
from veracity.server import Server, readiness
from veracity.server.repository import read
from veracity.settings import Settings
from veracity_client import Detector
from veracity_client.errors import ServerUnavailable
from veracity_client.verdict import Options, Policy, Verdict

CHILDREN = required(PROFILES["bench"])[1:]
LAYERS = ("1_audio", "2_visual", "3_lipsync", "4_semantic")


@pytest.fixture(scope="module")
def repository(full_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both the starter's graphs and untrained published ones, sure of themselves: fake, whatever they see."""
    target = tmp_path_factory.mktemp("bench") / "model_repository"
    shutil.copytree(full_repository, target)
    for name in CHILDREN:
        tiny_models.install(target, name, gain=1.0, middle=-100.0)
        (target / name / FILE).write_text(json.dumps({"untrained": True}))
    return target


def verdict_of(settings: Settings, video: Path, options: Options) -> Verdict:
    infer = LocalInfer(settings.model_repository)
    return asyncio.run(analyze(Source(video), infer, options, AnalysisContext.from_settings(settings)))


def timed_and_not_judged(verdict: Verdict) -> None:
    assert (verdict.label, verdict.final_verdict, verdict.fake_probability) == ("inconclusive", None, None)
    assert verdict.confidence == 0
    assert verdict.reasoning.startswith("Untrained: ")
    assert {key: result.status for key, result in verdict.layer_results.items()} == dict.fromkeys(LAYERS, "scored")


@pytest.mark.parametrize("policy", ["fail_fast", "decided", "exhaustive"])
def test_every_policy_goes_the_whole_way_and_judges_nothing(repository: Path, talking: Path, policy: Policy) -> None:
    verdict = verdict_of(Settings(profile="bench", model_repository=repository), talking, Options(policy=policy))
    timed_and_not_judged(verdict)
    for result in verdict.layer_results.values():
        assert result.fake_probability is not None
        assert result.fake_probability > 0.9
        assert (result.is_fake, result.confidence) == (None, 0.0)
        assert result.reasoning.startswith("Untrained: ")
        assert [model.trained_on for model in result.models] == ["nothing: untrained"]


def test_a_trained_model_among_them_is_called_trained(repository: Path, talking: Path) -> None:
    settings = Settings(profile="bench", models="audio_starter", model_repository=repository)
    verdict = verdict_of(settings, talking, Options(policy="decided"))
    timed_and_not_judged(verdict)
    voice = verdict.layer_results["1_audio"]
    assert "LibriSpeech" in voice.models[0].trained_on
    assert voice.reasoning.startswith("the voice: ")
    assert voice.confidence is not None
    assert voice.confidence > 0.5


def test_without_graphs_it_asks_for_made_up_ones(repository: Path, talking: Path, tmp_path: Path) -> None:
    bare = tmp_path / "model_repository"
    shutil.copytree(repository, bare)
    name = "semantic_clip_vitl14"
    (bare / name / GRAPH).unlink()
    settings = Settings(profile="bench", model_repository=bare)
    hint = f"no graph: python -m export {name} --untrained"
    assert verdict_of(settings, talking, Options(policy="exhaustive")).layer_results["4_semantic"].reason == hint
    assert read(bare, [name], untrained=True).missing == {name: hint}
    assert {f.what: f.detail for f in doctor.examine(settings, graphs=False)}[f"model {name}"] == hint


def test_untrained_weights_answer_in_no_other_profile(repository: Path, talking: Path) -> None:
    settings = Settings(profile="published", models="audio_starter", model_repository=repository)
    verdict = verdict_of(settings, talking, Options(policy="exhaustive"))
    statuses = [result.status for result in verdict.layer_results.values()]
    assert statuses == ["scored", "abstained", "abstained", "abstained"]
    assert verdict.layer_results["4_semantic"].reason == (
        "untrained: made to measure time; "
        "veracity weights fetch semantic_clip_vitl14 && python -m export semantic_clip_vitl14"
    )
    assert not verdict.reasoning.startswith("Untrained")


@pytest.fixture(scope="module")
def bench(repository: Path, media_folder: Path) -> Settings:
    return Settings(profile="bench", model_repository=repository, media_root=media_folder)


@pytest.fixture(scope="module")
def server(bench: Settings) -> Iterator[Server]:
    with Server.from_settings(bench, canary_seconds=0.5) as running:
        yield running


def health(server: Server) -> int:
    try:
        with urllib.request.urlopen(f"http://{server.http_url}/v2/health/ready", timeout=WAIT_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def faults(settings: Settings, server: Server) -> list[str]:
    return list(readiness.faults(settings, server.grpc_url, WAIT_SECONDS))


@pytest.mark.triton
def test_the_server_times_what_is_untrained(server: Server, talking: Path) -> None:
    with Detector(server.grpc_url) as detector:
        timed_and_not_judged(detector.analyze(talking))


@pytest.mark.triton
def test_ready_is_silent_and_asks_each_model(
    server: Server, bench: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health(server) == 200
    for name, value in bench.to_env().items():
        monkeypatch.setenv(name, value)
    assert cli.main(["ready", server.grpc_url]) == 0
    assert capsys.readouterr().out == "ready: every model answered\n"


@pytest.mark.triton
def test_ready_holds_the_answers_against_the_papers(server: Server, bench: Settings, tmp_path: Path) -> None:
    shutil.copytree(bench.model_repository, tmp_path / "other")
    paper = tmp_path / "other" / "audio_wav2vec2" / FILE
    paper.write_text(json.dumps({"known_answer": {"FAKE_LOGIT": [1.0]}}))
    there, away = (bench.replace(model_repository=tmp_path / name) for name in ("other", "nowhere"))
    (fault,) = faults(there, server)
    assert fault.startswith("audio_wav2vec2: its smoke-test output is ")
    assert not faults(away, server)


@pytest.mark.triton
def test_ready_misses_what_is_installed_and_in_production_what_is_not(server: Server, bench: Settings) -> None:
    starter = bench.replace(profile="starter")
    assert faults(starter, server)[:2] == ["audio_starter: is not loaded", "visual_starter: is not loaded"]
    away = starter.replace(model_repository=Path("/nowhere"))
    nothing = "no model that scores answered, of profile starter: every verdict would be inconclusive"
    assert faults(away, server) == [nothing]
    by_name = away.replace(models="audio_aasist")
    assert faults(by_name, server) == [nothing.replace("starter", "starter with audio_aasist")]
    missed = faults(away.replace(env="production"), server)
    assert missed[:2] == ["audio_starter: is not loaded", "visual_starter: is not loaded"]


def test_ready_says_that_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ready", "127.0.0.1:1", "--timeout", "1"]) == 1
    assert capsys.readouterr().out.startswith("the server at 127.0.0.1:1 does not answer by gRPC: ")
    assert cli.main(["ready", "http://127.0.0.1:1"]) == 3
    assert "protocol is grpc" in capsys.readouterr().err
    for wrong in ("0", "-3", "nan", "inf"):
        assert cli.main(["ready", "127.0.0.1:1", "--timeout", wrong]) == 3
        assert f"--timeout is a number of seconds over 0, got {wrong}" in capsys.readouterr().err


@pytest.mark.triton
def test_a_child_that_cannot_be_healed_is_not_ready(server: Server, bench: Settings) -> None:
    graph = bench.model_repository / "semantic_clip_vitl14" / GRAPH
    good = graph.read_bytes()
    graph.write_bytes(b"not a graph")
    for stub in stubs(server, "semantic_clip_vitl14"):
        os.kill(stub, signal.SIGKILL)
    eventually(lambda: server.models["semantic_clip_vitl14"].state == "failed")
    eventually(lambda: "semantic_clip_vitl14: is unavailable (" in " ".join(faults(bench, server)))
    assert health(server) == 400
    assert faults(bench, server)[0] == "the server is not ready: Triton says that a model is not"
    graph.write_bytes(good)
    eventually(lambda: server.models["semantic_clip_vitl14"].state == "ready")
    assert health(server) == 200
    assert not faults(bench, server)


def stubs(server: Server, model: str) -> list[int]:
    """Return the processes of a model: their command line names its folder."""
    from veracity.server import reaper

    def line(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text()

    found = [pid for pid in reaper.child_processes(server.pid) if f"/{model}/" in line(pid)]
    assert found
    return found


def test_production_refuses_made_up_weights_before_triton_starts(bench: Settings) -> None:
    settings = bench.replace(profile="published", env="production")
    with pytest.raises(ServerUnavailable, match="semantic_clip_vitl14: missing: untrained: made to measure time"):
        Server.from_settings(settings)


@pytest.mark.triton
def test_a_server_of_another_profile_does_not_load_them(repository: Path, bench: Settings) -> None:
    with Server(repository, models=["audio_wav2vec2"]) as server:
        assert server.models["audio_wav2vec2"].state == "missing"
        assert server.models["audio_wav2vec2"].reason.startswith("untrained: made to measure time; veracity weights")
        assert "audio_wav2vec2: is not loaded" in faults(bench, server)


@pytest.mark.export
def test_made_up_weights_overwrite_no_others(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="make test-export installs torch")
    from export.published import Published, untrained
    from veracity.install.graphs.publish import ExportError

    detector = Published("audio_aasist", "test", (), lambda: torch.nn.Linear(2, 1), lambda net: net, dict)
    folder = tmp_path / "audio_aasist"
    assert untrained(detector, folder)[1] == {"trained_on": ["nothing: untrained"], "untrained": True}
    tiny_models.install(tmp_path, "audio_aasist")
    with pytest.raises(ExportError, match="name another --repository"):
        untrained(detector, folder)
    (folder / FILE).write_text(json.dumps({"untrained": True}))
    assert untrained(detector, folder)[1]["untrained"]
