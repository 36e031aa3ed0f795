"""Every example runs as its first lines say, against one real server, on a clip made on the spot."""

import csv
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nbclient
import nbformat
import pytest

from veracity.server import Server
from veracity.settings import CHECKOUT

pytestmark = pytest.mark.triton

EXAMPLES = CHECKOUT / "examples"
LABELS = ("real", "fake", "inconclusive")
LAYERS = ("1_audio", "2_visual", "3_lipsync", "4_semantic")


def run(name: str, *arguments: object, **environment: str) -> str:
    """Run an example as a person does and return its standard output."""
    program = ["bash"] if name.endswith(".sh") else [sys.executable]
    command = [*program, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def test_every_example_is_tested_and_listed() -> None:
    """A file that no test of this module names would run nowhere."""
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()} - {"README.md"}
    tests, readme = Path(__file__).read_text(), (EXAMPLES / "README.md").read_text()
    assert names
    for name in names:
        assert f'"{name}"' in tests, f"{name} has no test"
        assert f"[{name}]({name})" in readme, f"examples/README.md does not list {name}"


def test_python_sync(server: Server, talking: Path) -> None:
    first, _reasoning, *layers = run("python_sync.py", talking, server.grpc_url).splitlines()
    assert first.split()[0] in LABELS
    assert [line.split()[:2] for line in layers] == [[name, "scored"] for name in LAYERS]


def test_trace_receiver() -> None:
    """It takes what OpenTelemetry's exporter sends; tests/observe/test_tracing.py gives it tritonserver's."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from trace_receiver import Receiver, tree
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
receiver, provider = Receiver(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=receiver.url + "/v1/traces")))
tracer = provider.get_tracer("test")
with tracer.start_as_current_span("above"), tracer.start_as_current_span("below"):
    pass
(spans,) = receiver.traces().values()
print(tree(spans))
"""
    folder = (EXAMPLES / "trace_receiver.py").parent
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, _, above, below = done.stdout.splitlines()
    assert above[17:].startswith("above")
    assert below[17:].startswith("  below")


def test_python_sync_says_what_is_wrong(server: Server, tmp_path: Path) -> None:
    (tmp_path / "no-video.mp4").write_text("not a video")
    command = [sys.executable, str(EXAMPLES / "python_sync.py"), str(tmp_path / "no-video.mp4"), server.grpc_url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("BadVideo: ")


def test_python_async(server: Server, talking: Path, tmp_path: Path) -> None:
    (tmp_path / "no-video.mp4").write_text("not a video")
    good, bad = run("python_async.py", talking, tmp_path / "no-video.mp4", "--url", server.grpc_url).splitlines()
    assert good.removeprefix(f"{talking}: ").split(",")[0] in LABELS
    assert bad.startswith(f"{tmp_path / 'no-video.mp4'}: BadVideo: ")


def test_python_stream(server: Server, talking: Path) -> None:
    *stages, verdict = run("python_stream.py", talking, server.grpc_url).splitlines()
    assert verdict.split()[0] == "verdict:"
    assert {line.split()[2] for line in stages} >= {"probe", *LAYERS}


def test_folder_to_csv(server: Server, talking: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(talking, folder / "good.mp4")
    (folder / "bad.mp4").write_text("not a video")
    run("folder_to_csv.py", folder, "--out", tmp_path / "verdicts.csv", "--url", server.grpc_url)
    with (tmp_path / "verdicts.csv").open(newline="") as table:
        bad, good = csv.DictReader(table)
    assert (bad["file"], bad["label"]) == ("bad.mp4", "")
    assert bad["error"].startswith("BadVideo: ")
    assert (good["file"], good["error"]) == ("good.mp4", "")
    assert good["label"] in LABELS
    assert 0 <= float(good["1_audio"]) <= 1


@pytest.fixture
def two_files(talking: Path, tmp_path: Path) -> Path:
    """A folder with a clip and a file that is none."""
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(talking, folder / "good.mp4")
    (folder / "bad.mp4").write_text("not a video")
    return folder


def needs(package: str, name: str) -> None:
    """Skip where an example's package is not installed; that the example compiles is tested anyway."""
    compile((EXAMPLES / name).read_text(), name, "exec")
    if find_spec(package) is None:
        pytest.skip(f"make test-pipelines installs {package}")


def test_spark_to_parquet(server: Server, two_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("pyspark", "spark_to_parquet.py")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)  # else its workers take the python3 of the path
    import pyarrow.parquet

    run("spark_to_parquet.py", two_files, tmp_path / "out", server.grpc_url)
    rows = pyarrow.parquet.read_table(tmp_path / "out").to_pylist()
    bad, good = sorted(rows, key=lambda row: str(row["path"]))
    assert (good["label"] in LABELS, good["error"]) == (True, None)
    assert (bad["label"], bad["error"].split(":")[0]) == (None, "BadVideo")


def test_beam_to_jsonl(server: Server, two_files: Path, tmp_path: Path) -> None:
    needs("apache_beam", "beam_to_jsonl.py")
    run("beam_to_jsonl.py", two_files / "*", tmp_path / "out", "--url", server.grpc_url)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    bad, good = sorted(lines, key=lambda line: str(line["path"]))
    assert good["verdict"]["label"] in LABELS
    assert bad["error"].startswith("BadVideo: ")


def test_notebook(server: Server, talking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP", str(talking))
    monkeypatch.setenv("URL", server.grpc_url)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    printed = ["".join(output["text"] for output in cell.get("outputs", ())) for cell in notebook.cells]
    assert printed[3].split()[0] in LABELS
    assert [line.split()[0] for line in printed[5].splitlines()] == list(LAYERS)
    assert set(LAYERS) <= set(printed[7].split())


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_curl(server: Server, talking: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    verdict = json.loads(run("curl.sh", talking, server.http_url))
    assert verdict["label"] in LABELS
    assert verdict["layers_executed"] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["tritonclient_grpc.py", "tritonclient_http.py"])
def test_tritonclient(name: str, server: Server, talking: Path) -> None:
    url = server.grpc_url if "grpc" in name else server.http_url
    assert run(name, talking, url).split()[0] in LABELS


def test_perf_analyzer(server: Server, talking: Path) -> None:
    program = os.environ.get("PERF_ANALYZER", "perf_analyzer")
    if shutil.which(program) is None:
        pytest.skip("perf_analyzer is not installed: name it by PERF_ANALYZER")
    if (attempt := subprocess.run([program, "--help"], capture_output=True, text=True)).returncode == 127:
        pytest.skip(f"perf_analyzer does not run here: {attempt.stderr.strip()}")  # a library of its own is missing
    said = run("perf_analyzer.py", talking, server.grpc_url, "--concurrency", "1:1", "--requests", "2")
    assert "Throughput:" in said
