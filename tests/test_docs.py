"""What the documents say of the code is held against the code."""

import re
from dataclasses import fields

import veracity
import veracity_client
from veracity.settings import CHECKOUT, Settings, variable


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(VERACITY_\w+)` \| ([^|]*) \|", (CHECKOUT / "docs" / "operate.md").read_text(), re.M)
    told = {name: default.strip().strip("`") for name, default in rows}
    assert set(told) == {variable(f.name) for f in fields(Settings)}
    for f in fields(Settings):
        default = getattr(Settings(), f.name)
        if isinstance(default, (int, float)):
            assert float(told[variable(f.name)]) == default
        elif isinstance(default, str):
            assert told[variable(f.name)] == (default or "–")


def test_versions_agree() -> None:
    for file, version in (
        ("pyproject.toml", veracity.__version__),
        ("client/pyproject.toml", veracity_client.__version__),
    ):
        assert f'version = "{version}"' in (CHECKOUT / file).read_text()


def test_links_between_documents_lead_somewhere() -> None:
    for page in [CHECKOUT / "README.md", *CHECKOUT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
