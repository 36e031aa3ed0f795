"""The mel-spectrogram network: its filters and powers, its export from a checkpoint and without one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="make test-export installs torch")

from export import audio_melspec, audio_starter  # noqa: E402
from export.graph import error  # noqa: E402
from networks.melspec import MelSpectrum  # noqa: E402
from networks.registry import AUDIO_NETS  # noqa: E402
from patches import torchvision  # noqa: E402
from veracity.install.graphs.mel import mel_filters  # noqa: E402
from veracity.install.graphs.publish import ExportError  # noqa: E402

torchvision.ensure()  # transformers imports it

from transformers.audio_utils import mel_filter_bank  # noqa: E402

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # the exporter's own
]


def test_mel_filters_are_slaneys() -> None:
    theirs = mel_filter_bank(257, 80, 0, 8_000, 16_000, norm="slaney", mel_scale="slaney").T
    assert np.allclose(mel_filters(), theirs, atol=1e-12)


def test_mel_power_is_that_of_a_fourier_transform() -> None:
    noise = np.random.default_rng(0).standard_normal(2_000).astype(np.float32)
    ours = MelSpectrum()(torch.from_numpy(noise[None]))[0].numpy()
    frames = np.lib.stride_tricks.sliding_window_view(noise[56:-56], 400)[::160]  # a frame's middle 25 ms
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:-1], 512)) ** 2
    assert ours.shape == (80, 1 + (2_000 - 512) // 160)
    assert error(ours, mel_filters() @ power.T) <= 1e-5


def trained(path: Path, net: str) -> Path:
    torch.manual_seed(0)
    torch.save({"net": net, "state": AUDIO_NETS[net]().state_dict(), "trained_on": ["mine"]}, path)
    return path


def arguments(repository: Path, checkpoint: Path | None = None, untrained: bool = False) -> argparse.Namespace:
    return argparse.Namespace(repository=repository, checkpoint=checkpoint, untrained=untrained)


@pytest.mark.slow
def test_melspec_is_exported_from_a_checkpoint_and_stays(tmp_path: Path) -> None:
    audio_melspec.export(arguments(tmp_path, trained(tmp_path / "net.pt", "melspec")))
    provenance = json.loads((tmp_path / "audio_melspec" / "provenance.json").read_text())
    assert provenance["source"] == "networks/, network melspec"
    assert provenance["trained_on"] == ["mine"]
    with pytest.raises(ExportError, match="has trained weights installed"):
        audio_melspec.export(arguments(tmp_path, untrained=True))
    assert json.loads((tmp_path / "audio_melspec" / "provenance.json").read_text()) == provenance


@pytest.mark.slow
def test_melspec_without_weights_says_untrained(tmp_path: Path) -> None:
    audio_melspec.export(arguments(tmp_path, untrained=True))
    provenance = json.loads((tmp_path / "audio_melspec" / "provenance.json").read_text())
    assert provenance["untrained"] is True
    assert provenance["trained_on"] == ["nothing: untrained"]


def test_another_network_is_no_melspec(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"audio_melspec is the network melspec; net\.pt holds spectrum"):
        audio_melspec.export(arguments(tmp_path, trained(tmp_path / "net.pt", "spectrum")))
    with pytest.raises(ExportError, match="audio_melspec is trained in this repository"):
        audio_melspec.export(arguments(tmp_path))
    with pytest.raises(ExportError, match=r"no checkpoint of ours: none\.pt cannot be read"):
        audio_starter.export(arguments(tmp_path, tmp_path / "none.pt"))
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]
