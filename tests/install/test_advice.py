"""What messages tell a person to do, in a checkout and where only the wheels are installed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from veracity import __version__
from veracity.catalog import MODELS
from veracity.install import advice, locations
from veracity.settings import CHECKOUT

IN_CHECKOUT = ("python -m export", "python -m training", "make models", "make test", "git checkout", "scripts/")
UNSAFE = ("pip install veracity", "pip install 'veracity", 'pip install "veracity')  # a stranger may hold the name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("untrained", [False, True])
def test_an_installed_package_names_no_command_of_a_checkout(
    model: str, untrained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "checkout", lambda: None)
    hint = advice.install_hint(model, untrained=untrained)
    assert not any(word in hint for word in IN_CHECKOUT) or "in a checkout of Veracity: " in hint


def test_a_checkout_is_told_commands_that_it_has() -> None:
    assert advice.obtain("audio_starter") == "veracity install"
    assert advice.obtain("visual_starter") == "git checkout -- model_repository/visual_starter"
    assert advice.obtain("audio_aasist") == "veracity weights fetch audio_aasist && python -m export audio_aasist"
    assert advice.graph_commands(["audio_starter", "audio_aasist"]) == [
        "veracity install audio_starter",
        "python -m export audio_aasist",
    ]


def test_an_extra_is_installed_from_our_own_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advice.extra("calibrate") == "pip install -e '.[calibrate]'"
    monkeypatch.setattr(locations, "checkout", lambda: None)
    assert advice.extra("calibrate").startswith(f"pip install './veracity-{__version__}-py3-none-any.whl[calibrate]'")


def test_only_one_module_of_the_product_names_commands_of_a_checkout() -> None:
    """And none tells anybody to install a name from an index that is not known to be ours."""
    for path in (*CHECKOUT.glob("veracity/**/*.py"), *CHECKOUT.glob("client/veracity_client/**/*.py")):
        said = list(strings(path))
        assert not [text for text in said if any(name in text for name in UNSAFE)], path
        if path.name not in ("advice.py", "triton_config.py"):  # the latter: the header of generated files
            assert not [text for text in said if any(command in text for command in IN_CHECKOUT)], path


def strings(path: Path) -> Iterator[str]:
    """The texts of a module that a person may be shown: all but docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value
