"""Ask a Veracity server whether a video is fake.

from veracity_client import Detector

with Detector("localhost:8001") as detector:
    verdict = detector.analyze("clip.mp4")
    print(verdict.label, verdict.reasoning)
"""

from __future__ import annotations

from veracity_client._address import TlsConfig
from veracity_client._version import __version__
from veracity_client.client import AsyncDetector, Detector
from veracity_client.errors import VeracityError
from veracity_client.verdict import Options, StageEvent, Verdict

__all__ = ["AsyncDetector", "Detector", "Options", "StageEvent", "TlsConfig", "VeracityError", "Verdict", "__version__"]
