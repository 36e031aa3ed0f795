"""What a person can do about something missing. The one place that tells a checkout from an installed package."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from veracity import __version__
from veracity.catalog import FACE_DETECTOR, MODELS
from veracity.install import locations


def install_hint(model: str, *, untrained: bool = False) -> str:
    """Say that a model has no weights, and what to do; ``untrained`` where made-up ones are what is wanted.

    Clients see it, in the reasons of a verdict: it holds no path.
    """
    known = MODELS.get(model)
    if untrained and known and known.files and known.layer:
        return f"no graph: {_in_checkout(f'python -m export {model} --untrained')}"
    if known and not known.released:
        return f"weights not installed: none of {model} were released yet"
    return f"weights not installed: {obtain(model)}"


def obtain(model: str) -> str:
    """Say how the graph of a model is obtained."""
    if model not in MODELS:
        return "this version knows no model of that name; its folder has to bring its graph"
    known = MODELS[model]
    if known.joined or known is FACE_DETECTOR:
        return "veracity install"
    if not known.files:
        return restore(f"model_repository/{model}")
    return _in_checkout(f"veracity weights fetch {model} && python -m export {model}")


def anew(model: str, *, engine: bool = False) -> str:
    """Say how a graph that does not fit its provenance is replaced, or a TensorRT ``engine``."""
    if engine:
        return _in_checkout(f"python -m export {model} --format tensorrt")
    return obtain(model) if model in MODELS else "export it anew"


def graph_commands(models: Sequence[str]) -> list[str]:
    """Say how the graphs of models are built of files that are there, a line for those that torch is not needed for."""
    free = [name for name in models if MODELS[name].joined or MODELS[name] is FACE_DETECTOR]
    rest = [name for name in models if name not in free]
    lines = [f"veracity install {' '.join(free)}"] if free else []
    return [*lines, _in_checkout(f"python -m export {' '.join(rest)}")] if rest else lines


def made_by(model: str, *, installed: bool, options: Sequence[str] = ()) -> str:
    """Return the command that makes such a graph anew, wherever it is told: ``veracity install``, or an export."""
    words = ["veracity", "install", model] if installed else ["python", "-m", "export", model]
    return shlex.join([*words, *options])


def extra(name: str) -> str:
    """Say how an optional part of this package is installed; from our own wheel, whatever an index may hold."""
    if locations.checkout():
        return f"pip install -e '.[{name}]'"
    return f"pip install './veracity-{__version__}-py3-none-any.whl[{name}]', with the wheel that veracity came from"


def restore(path: str) -> str:
    """Say how a file or folder that comes with this version is brought back; ``path`` is its path in the checkout."""
    return f"git checkout -- {path}" if locations.checkout() else "reinstall the wheel of veracity, which brings it"


def _in_checkout(command: str) -> str:
    """Say a command that needs the source tree, since the wheel has no torch and no ``export``."""
    return command if locations.checkout() else f"in a checkout of Veracity: {command}"
