"""What the documents say of the code is held against the code."""

import re

import veracity
import veracity_client
from veracity.settings import CHECKOUT, CONFIG_FILE, Settings, variable

FOLDERS = ("*.md", "client/*.md", "examples/*.md", "docs/**/*.md", "deploy/**/*.md")
PAGES = [page for pattern in FOLDERS for page in sorted(CHECKOUT.glob(pattern))]


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(VERACITY_\w+)` \| ([^|]*) \|", (CHECKOUT / "docs" / "operate.md").read_text(), re.M)
    told = {name: default.strip().strip("`") for name, default in rows}
    assert set(told) == {CONFIG_FILE, *map(variable, Settings.model_fields)}
    for name in Settings.model_fields:
        default = getattr(Settings(), name)
        if isinstance(default, bool):
            assert told[variable(name)] == str(default).lower()
        elif isinstance(default, (int, float)):
            assert float(told[variable(name)]) == default
        elif isinstance(default, str):
            assert told[variable(name)] == (default or "–")


def test_both_packages_have_one_version() -> None:
    """The build reads it from one file; what the engine asks for, and what the changelog describes, is that version."""
    version = veracity_client.__version__
    assert veracity.__version__ == version
    assert f'"veracity-client[cli]=={version}"' in (CHECKOUT / "pyproject.toml").read_text()
    assert f"## [{version}]" in (CHECKOUT / "CHANGELOG.md").read_text()
    assert (CHECKOUT / "LICENSE").read_bytes() == (CHECKOUT / "client" / "LICENSE").read_bytes()


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_files_that_documents_name_exist() -> None:
    folders = (
        "deploy|veracity|client|export|networks|evaluation|training|benchmarks|tests|patches|examples|docs|scripts"
    )
    named = re.compile(rf"`((?:{folders})/[\w./-]+)`")
    for page in PAGES:
        for path in named.findall(page.read_text()):
            assert (CHECKOUT / path).exists(), f"{page.name} names {path}"
