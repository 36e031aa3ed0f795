"""The repository of an installed package: filled from the package's folder, refreshed, and safe to share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from veracity.catalog import provenance
from veracity.install import locations, repository
from veracity.install.files import WeightsError
from veracity.install.graphs.recipe import is_current, recipe
from veracity.settings import CHECKOUT

TWO_AT_ONCE = """
import sys
from pathlib import Path
from veracity.install import locations, repository
locations.packaged_repository = lambda: Path(sys.argv[1])
repository.prepare(Path(sys.argv[2]))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a wheel brings: two models, one of them joined of an encoder and a head."""
    folder = tmp_path / "site-packages" / "model_repository"
    for name, files in {"audio_starter": ("config.pbtxt", "head.onnx", "head.json"), "old": ("config.pbtxt",)}.items():
        for file in files:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / file).write_text(f"{name} {file}")
    monkeypatch.setattr(locations, "packaged_repository", lambda: folder)
    return folder


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def built(repository: Path, name: str, **record: str) -> Path:
    graph = repository / name / provenance.GRAPH
    graph.parent.mkdir(parents=True, exist_ok=True)
    graph.write_text("graph")
    (repository / name / provenance.FILE).write_text(json.dumps(record))
    return graph


def test_an_empty_folder_is_filled_once(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "data" / "model_repository"
    assert not repository.is_prepared(target)
    repository.prepare(target)
    assert {name: text for name, text in files(target).items() if name != repository.STAMP} == files(package)
    assert repository.is_prepared(target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    repository.prepare(target)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before


def test_another_version_replaces_what_it_brings_and_leaves_what_is_the_users(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "model_repository"
    repository.prepare(target)
    head = {name: (package / "audio_starter" / name).read_bytes() for name in ("head.onnx", "head.json")}
    joined = built(target, "audio_starter", encoder="whisper", recipe_sha256=recipe(head))
    exported = built(target, "visual_sbi_b4", source="by hand")
    (package / "audio_starter" / "config.pbtxt").write_text("new")
    (package / "old" / "config.pbtxt").unlink()
    repository.prepare(target)
    assert (target / "audio_starter" / "config.pbtxt").read_text() == "new"
    assert not (target / "old" / "config.pbtxt").exists()
    assert joined.is_file(), "it is made of the same head"
    (package / "audio_starter" / "head.onnx").write_text("trained anew")
    repository.prepare(target)
    assert not joined.exists(), "it was made of another head"
    assert exported.is_file()


def test_a_folder_with_somebody_elses_models_is_left_alone(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "model_repository"
    (target / "theirs").mkdir(parents=True)
    repository.prepare(target)
    assert [path.name for path in target.iterdir()] == ["theirs"]


def test_a_folder_that_cannot_be_written_names_the_variables(package: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"cannot be written \(.*\): set VERACITY_MODEL_REPOSITORY .* XDG_DATA_HOME"):
        repository.prepare(tmp_path / "file" / "model_repository")


SERVES = """
import sys
from pathlib import Path
from veracity.install import install_command, locations
from veracity.settings import Settings
locations.packaged_repository = lambda: Path(sys.argv[1])
install_command.before_serving(Settings(model_repository=Path(sys.argv[2]), weights=Path(sys.argv[3])))
"""


def test_a_volume_that_is_mounted_read_only_is_served_as_it_is(package: Path, tmp_path: Path) -> None:
    """An init container has filled it with what another package came with."""
    target = tmp_path / "model_repository"
    repository.prepare(target)
    (package / "audio_starter" / "config.pbtxt").write_text("of this package")
    assert not repository.is_prepared(target)
    before = files(target)
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    command = [sys.executable, "-c", SERVES, str(package), str(target), str(tmp_path / "weights")]
    spaces = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--user", "--map-root-user"])]
    if subprocess.run([*spaces, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system gives no mount namespaces, which hide the checkout")
    ended = subprocess.run([*spaces, "sh", "-c", mount, target, *command], capture_output=True, text=True, cwd=CHECKOUT)
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert files(target) == before


def test_without_a_home_nothing_is_written_into_the_working_directory(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = list(tmp_path.iterdir())
    with pytest.raises(WeightsError, match="no home directory"):
        repository.prepare(Path("~/.local/share/veracity/model_repository"))
    assert list(tmp_path.iterdir()) == before


def test_two_processes_at_once_leave_one_whole_repository(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "model_repository"
    command = [sys.executable, "-c", TWO_AT_ONCE, str(package), str(target)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 3
    assert repository.is_prepared(target)
    assert not [path for path in target.rglob(".*") if path.name != repository.STAMP]


def test_a_graph_is_built_anew_for_another_recipe_and_never_over_a_persons_own(tmp_path: Path) -> None:
    assert not is_current("audio_starter", tmp_path)
    built(tmp_path, "audio_starter", encoder="whisper")
    assert not is_current("audio_starter", tmp_path), "it does not say what it was built with"
    built(tmp_path, "audio_starter", encoder="whisper", recipe_sha256=recipe())
    assert is_current("audio_starter", tmp_path)
    (tmp_path / "audio_starter" / "head.onnx").write_bytes(b"another head")
    assert not is_current("audio_starter", tmp_path)
    built(tmp_path, "audio_starter", source="a network of mine")
    assert is_current("audio_starter", tmp_path)


def test_a_checkout_serves_its_own_folder() -> None:
    assert locations.checkout() == CHECKOUT
    assert locations.MODEL_REPOSITORY == locations.packaged_repository() == CHECKOUT / "model_repository"
    assert repository.is_prepared(locations.MODEL_REPOSITORY)
    assert not (locations.MODEL_REPOSITORY / repository.STAMP).exists()
