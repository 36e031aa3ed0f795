"""Frames of NVDEC against ffmpeg's own, on a machine with an NVIDIA GPU: ``python -m pytest -m gpu tests/media``.

The codecs are defined to the bit and everything after the decoder is the same, so the same frames are expected; a
pixel may differ by ``TOLERANCE`` of 255, which is what another rounding would make.
"""

from __future__ import annotations

from pathlib import Path

import decoder_clips
import media_samples as samples
import numpy as np
import pytest
from structlog.testing import capture_logs

from veracity.catalog import tensorrt
from veracity.media import Limits, isolation, trial
from veracity.media.decoders import CUDA, FFMPEG
from veracity.media.ffmpeg import pips_ffmpeg
from veracity.settings import Settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not tensorrt.gpus(), reason="NVDEC is a part of a GPU, and none is here"),
]
TOLERANCE = 1  # of 255
MAY_LACK = {"av1", "vp9-10-bit"}  # which older GPUs do not decode


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nvdec-clips")


@pytest.mark.parametrize("level", ["auto", "off"])
def test_nvdec_decodes_isolated_and_not(level: isolation.Level) -> None:
    trial.check(Settings(decoder="cuda", ffmpeg=pips_ffmpeg(), decoder_isolation=level))


@pytest.mark.parametrize("level", ["auto", "off"])
@pytest.mark.parametrize("name", decoder_clips.CLIPS)
def test_nvdecs_frames_are_ffmpegs(folder: Path, name: str, level: isolation.Level) -> None:
    clip, limits = decoder_clips.make(folder, name), Limits(isolation=level)
    with capture_logs() as logs:
        frames = samples.run(decoder_clips.decoded(clip, CUDA, limits=limits))
    others = samples.run(decoder_clips.decoded(clip, FFMPEG, limits=limits))
    on_cpu = [line["said"] for line in logs if line["log_level"] == "warning"]
    assert not on_cpu or name in MAY_LACK, on_cpu
    assert [frame.index for frame in frames] == [frame.index for frame in others]
    worst = max(int(np.abs(a.image.astype(int) - b.image).max()) for a, b in zip(frames, others))
    assert worst <= TOLERANCE
