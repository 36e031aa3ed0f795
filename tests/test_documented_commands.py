"""Every command that the documents name exists, and takes the options that they give it."""

import argparse
import importlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from veracity.settings import CHECKOUT

PAGES = [*sorted(CHECKOUT.glob("*.md")), *sorted(CHECKOUT.glob("docs/**/*.md"))]
COMMAND = re.compile(
    r"(?:^|&& )(?:(?:[A-Z_]+=\S+|nice|\.venv\S*/bin/) ?)*"
    r"(make|veracity(?:-client|-gateway|-bulk)?|python -m (?:export|training|benchmarks))((?: [^&|#]*)?)$"
)
MAINS = {
    "veracity": "veracity.cli",
    "veracity-client": "veracity_client.cli",
    "veracity-gateway": "veracity_gateway.__main__",
    "veracity-bulk": "veracity_bulk.__main__",
    "python -m export": "export.__main__",
    "python -m training": "training.__main__",
    "python -m benchmarks": "benchmarks.__main__",
}
WORDS = {"MODEL": "visual_starter", "NAME": "silero_vad.onnx", "HOST:PORT": "localhost:8001"}  # what a placeholder is

Accepts = Callable[[str, list[str]], tuple[bool, str]]


class Accepted(BaseException):
    """The command line was understood; nothing is run."""


@pytest.fixture
def accepts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Accepts:
    """Call a program's own main, up to the end of its parsing; return whether it understood, and what it printed."""
    parse_args = argparse.ArgumentParser.parse_args

    def stop(*args: Any, **options: Any) -> NoReturn:
        parse_args(*args, **options)
        raise Accepted

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)

    def accept(program: str, arguments: list[str]) -> tuple[bool, str]:
        try:
            understood = (
                importlib.import_module(MAINS[program]).main(arguments) == 0
            )  # of --help: some return, some exit
        except Accepted:
            understood = True
        except SystemExit as ended:
            understood = ended.code in (0, None)
        printed = capsys.readouterr()
        without_torch = "torch is not installed" in printed.err  # it knows the command, and has no way to parse it here
        return understood or without_torch, printed.out + printed.err

    return accept


def lines(page: Path) -> Iterator[str]:
    """Command lines of a page: of its blocks of code, without what follows two spaces or a #."""
    for block in re.findall(r"```(?!mermaid)\w*\n(.*?)```", page.read_text(), re.S):
        for line in block.replace("\\\n", "").splitlines():
            yield re.split(r"\s{2,}| #", line.strip())[0]
    for line in re.findall(r"^ {4}(\S.*)$", page.read_text(), re.M):
        yield re.split(r"\s{2,}", line)[0]


def mentions(page: Path) -> Iterator[str]:
    """What a page mentions as code in its sentences."""
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))


def arguments_of(text: str) -> list[str]:
    """Arguments as a person would give them: placeholders filled in, optional ones too."""
    words = shlex.split(text.replace("[", "").replace("]", ""))
    return [WORDS.get(word.rstrip("….,"), word.rstrip("….")) or "--help" for word in words]


def found(source: Callable[[Path], Iterator[str]]) -> list[tuple[str, str, str]]:
    """Page, program and arguments of each command."""
    return [
        (page.name, match[1], match[2].strip())
        for page in PAGES
        for line in source(page)
        if (match := COMMAND.search(line))
    ]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.M))
    named = [text for source in (lines, mentions) for _, program, text in found(source) if program == "make"]
    words = {word for text in named for word in text.split() if re.fullmatch(r"[a-z-]+", word)}
    assert len(words) > 5
    assert words - targets == set()


def test_commands_in_blocks_are_accepted(accepts: Accepts) -> None:
    named = [one for one in found(lines) if one[1] in MAINS]
    assert len(named) > 20
    assert [one for one in named if not accepts(one[1], arguments_of(one[2]))[0]] == []


def test_commands_in_sentences_exist(accepts: Accepts) -> None:
    named = [one for one in found(mentions) if one[1] in MAINS and one[2].split()[:1] not in ([], ["…"], ["COMMAND"])]
    assert len(named) > 20
    assert [one for one in named if not exists(accepts, one[1], arguments_of(one[2]))] == []


def exists(accepts: Accepts, program: str, words: list[str]) -> bool:
    """Whether there is such a command, and its help lists the options; a sentence need not give all arguments."""
    options = [word for word in words if word.startswith("-") and word != "--help"]
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    understood, shown = accepts(program, [*words[:first], "--help"])
    return understood and all(option in shown for option in options)
