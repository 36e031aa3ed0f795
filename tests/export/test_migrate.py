"""Old state dicts of the compact RawNet2: one kind becomes a checkpoint of ours, two are refused with their reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from torch import Tensor, nn  # noqa: E402

from export.__main__ import main  # noqa: E402
from export.audio_scratch import network  # noqa: E402
from export.migrate import convert, migrate  # noqa: E402
from networks import name_seeded_weights  # noqa: E402
from networks.errors import CheckpointError  # noqa: E402
from veracity.install.graphs.publish import ExportError  # noqa: E402

pytestmark = pytest.mark.export

SOUND = 0.1 * torch.randn(3, 2_000, generator=torch.Generator().manual_seed(0))
BLOCKS = {1: (32, 32, 1), 2: (32, 64, 2), 3: (64, 64, 1), 4: (64, 128, 2), 5: (128, 128, 1), 6: (128, 256, 2)}


def block(channels_in: int, channels_out: int, stride: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(channels_in, channels_out, 3, stride, 1, bias=bias),
        nn.BatchNorm1d(channels_out),
        nn.LeakyReLU(0.3),
        nn.Conv1d(channels_out, channels_out, 3, 1, 1, bias=bias),
        nn.BatchNorm1d(channels_out),
    )


def skip(channels_in: int, channels_out: int, stride: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(channels_in, channels_out, 1, stride, bias=bias),
        nn.BatchNorm1d(channels_out),
    )


class Old(nn.Module):
    """The network under its old names; ``stem`` is what ``conv1`` was."""

    def __init__(self, stem: str = "normed", bias: bool = True) -> None:
        super().__init__()
        self.conv1: nn.Module = nn.Conv1d(1, 32, 3, padding=1, bias=bias)
        if stem == "normed":
            self.conv1 = nn.Sequential(self.conv1, nn.BatchNorm1d(32), nn.LeakyReLU(0.3))
        for number, shape in BLOCKS.items():
            setattr(self, f"res_block{number}", block(*shape, bias))
        for number in (2, 4, 6):
            setattr(self, f"skip{number}", skip(*BLOCKS[number], bias))
        self.fc1, self.fc2 = nn.Linear(256, 64), nn.Linear(64, 1)

    def forward(self, sound: Tensor) -> Tensor:
        x = self.conv1(sound[:, None])
        if isinstance(self.conv1, nn.Conv1d):
            x = nn.functional.leaky_relu(x, 0.3)
        for number in BLOCKS:
            beside = getattr(self, f"skip{number}")(x) if number % 2 == 0 else x
            x = nn.functional.leaky_relu(getattr(self, f"res_block{number}")(x) + beside, 0.3)
        return self.fc2(nn.functional.leaky_relu(self.fc1(x.mean(2)), 0.3))


class Overwritten(nn.Module):
    """One ``skip`` that each block overwrote."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(1, 32, 3, padding=1), nn.BatchNorm1d(32))
        for number, shape in BLOCKS.items():
            setattr(self, f"res_block{number}", block(*shape, True))
            if number % 2 == 0:
                self.skip = skip(*shape, True)
        self.fc1, self.fc2 = nn.Linear(256, 64), nn.Linear(64, 1)


class Unregistered(nn.Module):
    """Blocks that were kept in tuples, beside skip paths that were not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(1, 32, 3, padding=1), nn.BatchNorm1d(32))
        self.blocks = tuple((block(*shape, True), number) for number, shape in BLOCKS.items())
        self.skip2 = skip(*BLOCKS[2], True)
        self.fc1, self.fc2 = nn.Linear(256, 64), nn.Linear(64, 1)


def filled(net: nn.Module) -> nn.Module:
    name_seeded_weights.fill(net)
    return net.eval()


def saved(net: nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path)
    return path


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stem", ["normed", "bare"])
def test_the_sound_kind_answers_the_same_afterwards(tmp_path: Path, stem: str, bias: bool) -> None:
    old = filled(Old(stem, bias))
    migrate(saved(old, tmp_path / "old.pt"), tmp_path / "new.pt", trained_on=("mine",))
    content = torch.load(tmp_path / "new.pt", weights_only=True)
    assert content["trained_on"] == ["mine"]
    new = network(content).eval()
    with torch.inference_mode():
        wanted = old(SOUND)
        assert wanted.std() > 1e-3  # or everything is like everything
        assert torch.allclose(new(SOUND), wanted, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(new(10 * SOUND), wanted, rtol=1e-2)  # sound is taken as it is


def test_a_network_for_sound_of_one_level_makes_that_level_itself(tmp_path: Path) -> None:
    old = filled(Old())
    migrate(saved(old, tmp_path / "old.pt"), tmp_path / "new.pt", level=True, trained_on=("mine",))
    new = network(torch.load(tmp_path / "new.pt", weights_only=True)).eval()
    with torch.inference_mode():
        wanted = old(SOUND / SOUND.square().mean(1, keepdim=True).sqrt())
        assert torch.allclose(new(SOUND), wanted, rtol=1e-5, atol=1e-5)


def test_the_command_prints_every_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = filled(Old())
    torch.save({"epoch": 3, "state_dict": old.state_dict()}, tmp_path / "old.pt")
    assert main(["migrate", str(tmp_path / "old.pt"), str(tmp_path / "new.pt")]) == 0
    said = capsys.readouterr().out.splitlines()
    for key in old.state_dict():
        assert any(line.startswith(f"{key} → ") for line in said), key
    assert "res_block4.3.weight → blocks.3.body.3.weight" in said
    assert "skip6.1.running_var → blocks.5.skip.1.running_var" in said
    assert "blocks.3.body.3.bias → taken off blocks.3.body.4.running_mean" in said


def test_one_skip_for_all_is_refused_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(filled(Overwritten()), tmp_path / "old.pt")
    assert main(["migrate", str(path), str(tmp_path / "new.pt")]) == 1
    said = capsys.readouterr().err
    assert "one skip path for all blocks" in said
    assert "2, 4 and 6 were trained without any" in said
    assert not (tmp_path / "new.pt").exists()


def test_missing_blocks_are_refused_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(filled(Unregistered()), tmp_path / "old.pt")
    assert main(["migrate", str(path), str(tmp_path / "new.pt")]) == 1
    assert "has no residual blocks: its module kept them in tuples" in capsys.readouterr().err
    assert not (tmp_path / "new.pt").exists()


def test_an_existing_file_stays(tmp_path: Path) -> None:
    path = saved(filled(Old()), tmp_path / "old.pt")
    before = path.read_bytes()
    with pytest.raises(ExportError, match="is there already"):
        migrate(path, path, trained_on=("mine",))
    assert path.read_bytes() == before


def without(key: str) -> dict[str, Tensor]:
    return {name: value for name, value in filled(Old()).state_dict().items() if name != key}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (lambda: without("res_block3.4.weight"), "1 missing: blocks.2.body.4.weight"),
        (lambda: without("conv1.1.running_mean"), "1 missing: stem.1.running_mean; 1 not of this network: stem.0.bias"),
        (lambda: without("skip4.0.weight"), "1 missing: blocks.3.skip.0.weight"),
        (lambda: without("") | {"gru.weight": torch.ones(1)}, "1 not of this network: gru.weight"),
        (lambda: without("") | {"fc2.weight": torch.ones(2, 64)}, r"head.2.weight \[2, 64\], not \[1, 64\]"),
        (lambda: without("") | {"conv1.weight": torch.ones(32, 1, 3)}, "names a weight twice"),
        (lambda: {"weight": torch.ones(1)}, "missing: stem.0.weight"),
    ],
)
def test_what_has_no_place_or_leaves_one_empty_is_named(state: Callable[[], dict[str, Tensor]], words: str) -> None:
    with pytest.raises((CheckpointError, ExportError), match=words):
        convert(state(), "old.pt")
