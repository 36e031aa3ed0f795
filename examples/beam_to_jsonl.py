"""A folder or bucket of videos into JSON lines with Beam's RunInference; an error of a file is in its line.

python examples/beam_to_jsonl.py 'FOLDER/*' OUT [--url localhost:8001] [--runner ... and the runner's own options]
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference

from veracity_client import Detector, Options, VeracityError

BULK = Options(priority="bulk", deadline_seconds=900.0)


class VeracityHandler(ModelHandler[bytes, str, Detector]):
    """Asks the servers at ``urls``. A prediction is a verdict as JSON, or ``Class: message`` of an error."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__()
        self._urls = urls

    def load_model(self) -> Detector:
        """Connect, once a process."""
        return Detector(self._urls, retries=None, timeout=900.0)

    def run_inference(
        self,
        batch: Sequence[bytes],
        model: Detector,
        inference_args: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> Iterable[str]:
        """Ask about each content."""
        return [_ask(model, content) for content in batch]


def _ask(detector: Detector, content: bytes) -> str:
    try:
        return detector.analyze(content, BULK).to_json()
    except VeracityError as error:
        return error.to_wire()


def _line(answer: tuple[str, str]) -> str:
    path, said = answer
    return json.dumps(
        {"path": path, "verdict": json.loads(said)} if said.startswith("{") else {"path": path, "error": said}
    )


def main(pattern: str, out: str, urls: list[str], options: list[str]) -> None:
    """Write the lines."""
    with beam.Pipeline(argv=options) as pipeline:
        (
            pipeline
            | fileio.MatchFiles(pattern)
            | fileio.ReadMatches()
            | beam.Map(lambda file: (file.metadata.path, file.read()))
            | RunInference(KeyedModelHandler(VeracityHandler(urls)))
            | beam.Map(_line)
            | beam.io.WriteToText(out, file_name_suffix=".jsonl", shard_name_template="")
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pattern")
    parser.add_argument("out")
    parser.add_argument("--url", action="append")
    args, more = parser.parse_known_args()
    main(args.pattern, args.out, args.url or ["localhost:8001"], more)
