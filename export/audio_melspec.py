"""The mel-spectrogram ResNet, by the same way as the audio starter."""

from __future__ import annotations

import argparse

from export import audio_scratch


def export(args: argparse.Namespace) -> None:
    """Writes ``audio_melspec`` into args.repository; raises ExportError."""
    audio_scratch.export(args, "audio_melspec")
