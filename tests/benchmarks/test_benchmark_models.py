"""``python -m benchmarks models``: what it measures of a graph, and what it refuses to measure."""

import argparse
import json
import shutil
from pathlib import Path

import pytest
from conftest import REPOSITORY

from benchmarks import models
from veracity.catalog import MODELS, memory
from veracity.catalog.provenance import FILE
from veracity.server import Server
from veracity_client.errors import VeracityError

VOICE = MODELS["audio_starter"]


@pytest.mark.triton
def test_a_graph_is_asked_what_its_papers_know(tmp_path: Path) -> None:
    folder = tmp_path / VOICE.name
    shutil.copytree(REPOSITORY / VOICE.name, folder)
    paper = json.loads((folder / FILE).read_text())
    with Server(tmp_path, models=()) as server, server.sockets.connect() as client:
        figures = models.measure(client, server.pid, tmp_path, VOICE, rounds=1)
        assert figures["known_answer"] is True
        assert min(figures["load_seconds"], figures["one_item_ms"], figures["item_in_request_ms"]) > 0
        graph, loaded, running, peak = (figures[key] for key in memory.FIELDS)
        assert graph < loaded < running <= peak  # a process holds more than its graph
        for answer in ({"FAKE_LOGIT": [paper["known_answer"]["FAKE_LOGIT"][0] + 1.0]}, None):
            (folder / FILE).write_text(json.dumps(paper | {"known_answer": answer}))
            assert models.measure(client, server.pid, tmp_path, VOICE, rounds=1)["known_answer"] is False


@pytest.mark.parametrize(("names", "words"), [(["nobody", VOICE.name], "no graph of nobody in"), ([], "of any model")])
def test_what_has_no_graph_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    repository = REPOSITORY if names else tmp_path
    with pytest.raises(VeracityError, match=words):
        models.run(argparse.Namespace(models=names, repository=repository, rounds=1))
