"""The page's files: how they are served, and what they must not hold."""

import re
from collections.abc import Iterator
from pathlib import Path

import gateway_server
import httpx
import pytest

from veracity_gateway.page.route import FOLDER, files

LINES = 250


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = gateway_server.settings_in(tmp_path_factory.mktemp("page"))
    with gateway_server.gateway(settings) as url, httpx.Client(base_url=url) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/static/main.js", "text/javascript"), ("/static/base.css", "text/css")]
)
def test_a_browser_asks_whether_a_file_changed(client: httpx.Client, path: str, kind: str) -> None:
    found = client.get(path)
    assert found.status_code == 200
    assert found.headers["content-type"].startswith(kind)
    assert found.headers["cache-control"] == "no-cache"
    assert "script-src 'self'; style-src 'self'" in found.headers["content-security-policy"]
    assert client.head(path).status_code == 200
    again = client.get(path, headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2froute.py", "%2e%2e/route.py", "route.py"])
def test_nothing_else_is_served(client: httpx.Client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404
    assert client.get(f"/static/{name}%00").status_code == 400


def test_every_file_that_is_named_is_there() -> None:
    scripts = {path.name: path.read_text() for path in FOLDER.glob("*.js")}
    for name, text in scripts.items():
        assert set(re.findall(r'from "\./([^"]+)"', text)) <= set(scripts), name
    index = (FOLDER / "index.html").read_text()
    assert set(re.findall(r'"/static/([^"]+)"', index)) <= set(files())


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_data_never_becomes_markup_and_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < LINES
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style=\"", text)
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}
