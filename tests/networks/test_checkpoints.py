"""Other people's checkpoints: what is no checkpoint is said to be none, and nothing in a file is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from networks import checkpoints  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402

pytestmark = pytest.mark.export

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def kept(net: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture
def zipped(tmp_path: Path) -> bytes:
    torch.save(STATE, tmp_path / "zipped.pt")
    return (tmp_path / "zipped.pt").read_bytes()


@pytest.fixture
def pickled(tmp_path: Path) -> bytes:
    torch.save(STATE, tmp_path / "pickled.pt", _use_new_zipfile_serialization=False)
    return (tmp_path / "pickled.pt").read_bytes()


@pytest.mark.parametrize("name", ["zipped", "pickled"])
def test_what_torch_saves_is_read(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    content = request.getfixturevalue(name)
    read = checkpoints.read(written(tmp_path / "net.pt", content))
    assert all(torch.equal(read[key], value) for key, value in STATE.items())


def test_safetensors_and_json_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "net.safetensors")
    assert torch.equal(checkpoints.read(tmp_path / "net.safetensors")["bias"], STATE["bias"])
    assert checkpoints.read(written(tmp_path / "net.json", b'{"id2label": {}}')) == {"id2label": {}}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".json"])
@pytest.mark.parametrize("page", [b"<!doctype html><title>Sign in</title>", b"\xef\xbb\xbf\r\n <html>"])
def test_a_web_page_is_called_one(tmp_path: Path, suffix: str, page: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"net\.\w+ is a web page, not weights"):
        checkpoints.read(written(tmp_path / f"net{suffix}", page))


def test_a_pointer_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        checkpoints.read(written(tmp_path / "net.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))


@pytest.mark.parametrize("name", ["zipped", "pickled"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float, request: pytest.FixtureRequest) -> None:
    content = request.getfixturevalue(name)
    with pytest.raises(CheckpointError, match=r"net\.pt cannot be read: .*; is it whole\?"):
        checkpoints.read(written(tmp_path / "net.pt", content[: round(len(content) * share)]))


@pytest.mark.parametrize("length", [0, 5, 60, 150])
def test_truncated_safetensors_are_refused(tmp_path: Path, length: int) -> None:
    save_file(STATE, tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    assert length < len(content)
    with pytest.raises(CheckpointError, match=r"net\.safetensors cannot be read: .*; is it whole\?"):
        checkpoints.read(written(tmp_path / "net.safetensors", content[:length]))


@pytest.mark.parametrize("content", [b"", b"Not found", b"\x80\x04\x95", bytes(range(256))])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"net\.pt cannot be read"):
        checkpoints.read(written(tmp_path / "net.pt", content))


def test_what_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"net\.pt cannot be read: No such file"):
        checkpoints.read(tmp_path / "net.pt")


class Code:
    """A pickle of it makes a folder when it is loaded without care."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"mkdir {self.folder}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, zipped: bool) -> None:
    trap = tmp_path / "trap"
    torch.save(STATE | {"code": Code(trap)}, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"net\.pt holds more than numbers \(\w+\.system\) and is not opened$"):
        checkpoints.read(tmp_path / "net.pt")
    assert not trap.exists()
    torch.load(tmp_path / "net.pt", weights_only=False)  # the trap works
    assert trap.exists()


def test_code_in_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    with pytest.raises(CheckpointError, match=r"net\.pt"):
        checkpoints.read(written(tmp_path / "net.pt", pickle.dumps(Code(trap))))
    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([STATE], "holds no state dict but a list"),
        ({"epoch": 3, "model": STATE}, "holds no state dict but epoch, model"),
        ({1: torch.ones(1)}, "holds no state dict but 1"),
    ],
)
def test_what_is_no_state_dict_is_named(content: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        checkpoints.tensors(content, "net.pt")


def test_a_member_is_found_or_said_to_be_missing() -> None:
    assert checkpoints.member({"model": STATE}, "model", "net.pt") == STATE
    with pytest.raises(CheckpointError, match=r"net\.pt has no 'model' but weight, bias"):
        checkpoints.member(STATE, "model", "net.pt")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"weight": STATE["weight"]}, "1 missing: bias"),
        (STATE | {"scale": torch.ones(1)}, "1 not of this network: scale"),
        (STATE | {"weight": torch.ones(3, 2)}, r"1 of another shape: weight \[3, 2\], not \[2, 3\]"),
        ({"module.weight": STATE["weight"]}, "2 missing: weight, bias; 1 not of this network: module.weight"),
        ({f"w{i}": torch.ones(1) for i in range(9)}, "9 not of this network: w0, w1, w2, …"),
    ],
)
def test_what_does_not_fit_is_named_and_changes_nothing(state: dict[str, Tensor], words: str) -> None:
    net = torch.nn.Linear(3, 2)
    before = kept(net)
    with pytest.raises(CheckpointError, match=rf"net\.pt does not fit the network: .*{words}"):
        checkpoints.load(net, state, "net.pt")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_every_weight_gets_to_its_place() -> None:
    net = torch.nn.Linear(3, 2)
    checkpoints.load(net, STATE, "net.pt")
    assert all(torch.equal(STATE[key], value) for key, value in net.state_dict().items())
