"""`face_detector`: a fetched network with our first and last steps, joined by `veracity.install.graphs`."""

from __future__ import annotations

import argparse

from veracity.install.graphs import face_detector


def export(args: argparse.Namespace) -> None:
    """Write the graph and its provenance into ``args.repository``; raises ExportError and WeightsError."""
    face_detector.install(args.weights, args.repository, args.detector)
