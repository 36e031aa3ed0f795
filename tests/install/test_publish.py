"""How a graph gets into the model repository: with its provenance, whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models

from veracity.catalog import provenance
from veracity.install.files import write
from veracity.install.graphs.publish import ExportError, publish, refuse_over_trained, write_model

LIMITED = """
import resource, signal, sys
from pathlib import Path
from veracity.install.graphs.publish import publish
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails with EFBIG, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
graph, folder, size = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3])
try:
    publish(graph, folder, {"source": "x" * size}, ["numpy"])
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def graph(folder: Path, gain: float = 1.0) -> Path:
    tiny_models.install(folder, "audio_starter", gain)
    return folder / "audio_starter" / provenance.GRAPH


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_disk_that_fills_up_before_the_provenance_leaves_the_old_graph_with_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "audio_starter"
    publish(graph(tmp_path / "old").read_bytes(), folder, {"source": "old"}, ["numpy"])
    before = files(folder)
    new = str(graph(tmp_path / "new", 2.0))
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, new, str(folder), "100000"],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr.strip() == f"ExportError: audio_starter was not written: {os.strerror(errno.EFBIG)}"
    assert files(folder) == before
    assert not provenance.integrity_error(folder)


def test_files_that_belong_together_are_written_together(tmp_path: Path) -> None:
    write({tmp_path / "a": b"1", tmp_path / "below" / "b": b"2"})
    assert files(tmp_path) == {"a": b"1", "below/b": b"2"}
    (tmp_path / "wall").touch()
    with pytest.raises(OSError, match="wall"):
        write({tmp_path / "a": b"new", tmp_path / "wall" / "b": b"new"})
    assert files(tmp_path) == {"a": b"1", "below/b": b"2", "wall": b""}


def test_an_untrained_graph_replaces_untrained_ones_alone(tmp_path: Path) -> None:
    refuse_over_trained(tmp_path)
    for record in ({"untrained": True}, {}):
        write_model(tmp_path, {provenance.GRAPH: b"graph"}, record)
        assert json.loads((tmp_path / provenance.FILE).read_text()) == record
        if record:
            refuse_over_trained(tmp_path)
    with pytest.raises(ExportError, match="has trained weights installed; name another --repository"):
        refuse_over_trained(tmp_path)


@pytest.mark.parametrize(
    ("model", "how"),
    [
        ("audio_aasist", "; veracity weights fetch audio_aasist && python -m export audio_aasist"),
        ("audio_melspec", ""),
        ("visual_starter", ""),
        ("audio_starter", "; veracity install"),
    ],
)
def test_an_untrained_graph_names_only_commands_that_help(tmp_path: Path, model: str, how: str) -> None:
    folder = tmp_path / model
    write_model(folder, {provenance.GRAPH: b"graph"}, {"untrained": True})
    assert provenance.rejection_reason(folder) == f"untrained: made to measure time{how}"


def test_an_engine_that_is_not_the_one_of_its_provenance_is_objected_to(tmp_path: Path) -> None:
    folder = tmp_path / "audio_starter"
    publish(graph(tmp_path / "made").read_bytes(), folder, {"source": "test"}, ["numpy"])
    page = provenance.read(folder)
    digest = hashlib.sha256(b"engine").hexdigest()
    write_model(folder, {Path("1", "model.plan"): b"engine"}, page | {"engine": {"plan_sha256": "0" * 64}})
    assert provenance.integrity_error(folder) == (
        f"1/model.plan: its sha256 is {digest[:12]}…, provenance.json says 000000000000…: "
        "python -m export audio_starter --format tensorrt"
    )
    write_model(folder, {Path("1", "model.plan"): b"engine"}, page | {"engine": {"plan_sha256": digest}})
    assert provenance.integrity_error(folder) == ""
