"""The gateway's distribution beside the client's, whose contract it speaks."""

import ast
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import veracity_client
import veracity_gateway
from veracity.settings import CHECKOUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_gateway_and_client_have_one_version() -> None:
    assert veracity_gateway.__version__ == veracity_client.__version__
    for project in (CHECKOUT / "gateway", CHECKOUT):
        wanted = (project / "pyproject.toml").read_text()
        assert f"veracity-client{'[cli]' * (project == CHECKOUT)}=={veracity_client.__version__}" in wanted
    assert f"veracity-gateway=={veracity_gateway.__version__}" in (CHECKOUT / "pyproject.toml").read_text()


def test_what_it_imports_comes_with_what_it_declares() -> None:
    project = tomllib.loads((CHECKOUT / "gateway" / "pyproject.toml").read_text())["project"]
    come, asked = set(), [Requirement(each).name for each in project["dependencies"]]
    while asked:
        name = canonicalize_name(asked.pop())
        if name not in come:
            come.add(name)
            needed = map(Requirement, metadata.requires(name) or ())
            asked += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    from_ = metadata.packages_distributions()
    for file in (CHECKOUT / "gateway" / "veracity_gateway").rglob("*.py"):
        for module in imported(file) - set(sys.stdlib_module_names) - {"veracity_gateway", "veracity_client"}:
            assert come & set(map(canonicalize_name, from_[module])), f"{file.name} imports {module}"


def imported(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}
