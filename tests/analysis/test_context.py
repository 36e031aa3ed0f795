"""What analyses share is verified when a process starts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from veracity.analysis.context import AnalysisContext
from veracity.catalog.assets import VAD, VAD_FILE
from veracity.settings import Settings
from veracity_client.errors import ModelUnavailable


def test_a_voice_activity_detector_with_a_flipped_bit_is_refused(settings: Settings, tmp_path: Path) -> None:
    content = bytearray((settings.weights / VAD_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / VAD_FILE).write_bytes(content)
    with pytest.raises(ModelUnavailable) as error:
        AnalysisContext.from_settings(settings.replace(weights=tmp_path))
    assert error.value.message == (
        f"{VAD_FILE}: its sha256 is {hashlib.sha256(content).hexdigest()[:12]}…, "
        f"this version wants {str(VAD.sha256)[:12]}…: veracity weights fetch {VAD_FILE}"
    )
