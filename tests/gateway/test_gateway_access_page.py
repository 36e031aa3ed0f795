"""What a browser may do with a gateway: sessions, their CSRF token, other origins, and the headers of every answer."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gateway_server import gateway, settings_in
from sqlalchemy import select, update

from veracity_gateway.access.caller import LOCAL, SCOPES
from veracity_gateway.access.headers import ALWAYS
from veracity_gateway.access.keys import Keys
from veracity_gateway.access.sessions import PageSession
from veracity_gateway.command import log_to_stderr
from veracity_gateway.database import Database
from veracity_gateway.jobs.store import Jobs, NewJob
from veracity_gateway.jobs.tables import Job
from veracity_gateway.settings import Settings

HTTPS = {"X-Forwarded-Proto": "https"}  # as a proxy on this machine says it


@dataclass
class Served:
    url: str
    settings: Settings
    database: Database
    clients: ExitStack

    def client(self) -> httpx.Client:
        return self.clients.enter_context(httpx.Client(base_url=self.url))

    def logged_in(self, **headers: str) -> httpx.Client:
        """A browser with a session, which does not send the token by itself."""
        client = self.client()
        key = Keys(self.database).add("the page", SCOPES, 600)
        assert client.post("/session", json={"api_key": key}, headers=headers).status_code == 204
        return client

    def a_job(self, state: str) -> str:
        id_ = Jobs(self.database, max_queued=10).begin(NewJob(LOCAL.id, "clip.mp4", "{}")).id
        with self.database.session() as session:
            session.execute(update(Job).where(Job.id == id_).values(state=state))
        return id_


def served_by(folder: Path, *, keys: bool) -> Iterator[Served]:
    settings = settings_in(folder)
    database = Database(settings.database_url())
    if keys:
        Keys(database).add("the first", SCOPES, 600)
    with gateway(settings) as url, ExitStack() as clients:
        yield Served(url, settings, database, clients)
    database.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from served_by(tmp_path_factory.mktemp("closed"), keys=True)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from served_by(tmp_path_factory.mktemp("local"), keys=False)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, answer.json()["type"].removeprefix("urn:veracity:error:")


def test_a_key_begins_a_session_that_no_script_can_read(closed: Served) -> None:
    client = closed.client()
    key = Keys(closed.database).add("Ann", ["read", "review"], 600)
    said = client.post("/session", json={"api_key": key})
    assert (said.status_code, said.content) == (204, b"")
    name, _, rest = said.headers["set-cookie"].partition("=")
    assert name == "veracity"
    assert set(rest.split("; ")[1:]) == {"HttpOnly", "Path=/", "SameSite=strict"}
    shown = client.get("/session").json()
    assert (shown["name"], shown["scopes"]) == ("Ann", ["read", "review"])
    with closed.database.session() as session:
        digests = list(session.scalars(select(PageSession.digest)))
    assert rest.partition(";")[0] not in digests  # what the database has lets nobody in


def test_over_https_no_other_host_can_set_the_cookie(closed: Served) -> None:
    key = Keys(closed.database).add("Ann", ["read"], 600)
    said = closed.client().post("/session", json={"api_key": key}, headers=HTTPS)
    name, _, rest = said.headers["set-cookie"].partition("=")
    assert name == "__Host-veracity"
    assert set(rest.split("; ")[1:]) == {"HttpOnly", "Path=/", "SameSite=strict", "Secure"}
    assert said.headers["strict-transport-security"] == "max-age=31536000"


def test_wrong_logins(closed: Served) -> None:
    client = closed.client()
    assert error_of(client.post("/session", json={"api_key": "vk_1"})) == (401, "Unauthorized")
    bodies: list[object] = [{}, {"api_key": ""}, {"api_key": 1}, {"api_key": "k" * 513}, {"key": "k"}, []]
    for body in bodies:
        answer = client.post("/session", json=body)
        assert error_of(answer) == (400, "BadRequest")
        assert "kkk" not in answer.text
    assert error_of(client.post("/session", content=iter([b"x" * (1 << 20)] * 2))) == (413, "TooLarge")
    assert error_of(client.post("/session", content=b"x" * (2 << 20))) == (413, "TooLarge")
    assert not client.cookies


def test_a_session_changes_nothing_without_its_token(closed: Served) -> None:
    client, other = closed.logged_in(), closed.logged_in()
    token = client.get("/session").json()["csrf"]
    wrong = other.get("/session").json()["csrf"]
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": wrong}, {"X-CSRF-Token": token[:-1]}):
        answer = client.post("/analyze-video", files={"video": b"x"}, headers=headers)
        assert error_of(answer) == (403, "Forbidden")
        assert "X-CSRF-Token" in answer.json()["detail"]
    assert client.post("/analyze-video", files={"video": b"x"}, headers={"X-CSRF-Token": token}).status_code == 202


def test_a_session_ends_when_it_is_left(closed: Served) -> None:
    client = closed.logged_in()
    cookie = dict(client.cookies)
    assert error_of(client.delete("/session")) == (403, "Forbidden")
    token = client.get("/session").json()["csrf"]
    assert client.delete("/session", headers={"X-CSRF-Token": token}).status_code == 204
    assert not client.cookies
    assert error_of(closed.client().get("/session", headers={"Cookie": f"veracity={cookie['veracity']}"}))[0] == 401


def test_a_session_ends_with_its_key(closed: Served) -> None:
    client = closed.logged_in()
    keys = Keys(closed.database)
    keys.revoke(keys.all()[-1].id)
    assert error_of(client.get("/session")) == (401, "Unauthorized")


@pytest.mark.parametrize(("column", "seconds"), [("seen", 3600), ("created", 43_200)])
def test_a_session_ends_after_its_time(closed: Served, column: str, seconds: float) -> None:
    client = closed.logged_in()
    for age, status in ((seconds - 30, 200), (seconds + 30, 401)):
        with closed.database.session() as session:
            session.execute(update(PageSession).values({column: time.time() - age}))
        assert client.get("/session").status_code == status


def test_the_use_of_a_session_is_written_once_a_minute(closed: Served) -> None:
    client = closed.logged_in()
    seen = select(PageSession.seen).order_by(PageSession.created.desc()).limit(1)
    for age, written in ((30, False), (90, True)):
        before = time.time() - age
        with closed.database.session() as session:
            session.execute(update(PageSession).values(seen=before))
        client.get("/session").raise_for_status()
        with closed.database.session() as session:
            assert (session.scalar(seen) != before) is written


def test_without_keys_this_machine_comes_in(local: Served) -> None:
    said = local.client().get("/session").json()
    assert said == {"name": "local", "scopes": sorted(SCOPES), "csrf": ""}
    port = local.url.rpartition(":")[2]
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", "127.1.2.3:80", f"[::1]:{port}"):
        assert local.client().get("/session", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "0.0.0.0", "[", "a@b"])
def test_another_name_that_leads_here_is_refused(local: Served, host: str) -> None:
    for path in ("/session", "/", "/health/ready", "/jobs"):
        assert error_of(local.client().get(path, headers={"Host": host})) == (421, "WrongHost")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_pages_of_other_origins_change_nothing(local: Served, closed: Served, headers: dict[str, str]) -> None:
    for each in (local, closed):
        client = each.client()
        answers = [
            client.post("/analyze-video", files={"video": b"x"}, headers=headers),
            client.post("/session", json={"api_key": "vk_"}, headers=headers),
            client.delete(f"/jobs/{'0' * 32}", headers=headers),
        ]
        assert [error_of(answer) for answer in answers] == [(403, "Forbidden")] * 3


def test_our_own_page_may(local: Served) -> None:
    client = local.client()
    for headers in ({"Sec-Fetch-Site": "same-origin", "Origin": local.url}, {"Origin": local.url}, {}):
        assert error_of(client.delete(f"/jobs/{'0' * 32}", headers=headers)) == (404, "NotFound")


def test_a_gateway_is_closed_by_its_first_key_and_stays_so(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    database = Database(settings.database_url())
    with gateway(settings) as url, httpx.Client(base_url=url) as client:
        assert client.get("/jobs").status_code == 200
        Keys(database).add("first", SCOPES, 600)
        assert client.get("/jobs").status_code == 401
        Keys(database).revoke(Keys(database).all()[0].id)
        assert client.get("/jobs").status_code == 401
    with gateway(settings) as url, httpx.Client(base_url=url) as client:
        assert client.get("/jobs").status_code == 401
    database.close()


def check_headers(answer: httpx.Response) -> None:
    for name, value in ALWAYS.items():
        assert answer.headers.get_list(name) == [value]
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "strict-transport-security" not in answer.headers


def test_headers_of_every_answer(local: Served) -> None:
    client = local.client()
    elsewhere = {"Origin": "https://evil.example"}
    assert "script-src 'self'" in ALWAYS["Content-Security-Policy"]
    for status, answer in [
        (200, client.get("/jobs", headers=elsewhere)),
        (404, client.get("/nothing")),
        (405, client.options("/jobs", headers={**elsewhere, "Access-Control-Request-Method": "GET"})),
        (400, client.get("/jobs", params={"limit": 0})),
        (403, client.delete("/session", headers=elsewhere)),
    ]:
        assert answer.status_code == status
        check_headers(answer)


def test_a_fault_of_ours_is_answered_in_our_form(local: Served, capfd: pytest.CaptureFixture[str]) -> None:
    log_to_stderr()
    id_ = local.a_job("ERROR")
    with local.database.session() as session:
        session.execute(update(Job).where(Job.id == id_).values(options="{"))  # which no gateway writes
    answer = local.client().get(f"/jobs/{id_}")
    assert error_of(answer) == (500, "InternalError")
    assert "options" not in answer.text
    check_headers(answer)
    printed = "".join(capfd.readouterr())
    assert answer.headers["x-request-id"] in printed
    assert "JSONDecodeError" in printed


def test_events_are_sent_as_they_happen_with_the_headers(local: Served) -> None:
    id_ = local.a_job("UPLOADING")
    with local.client().stream("GET", f"/jobs/{id_}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        check_headers(answer)
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("data")) == 'data: {"state": "UPLOADING"}'
        with local.database.session() as session:  # the job is still open: nothing was held back until its end
            session.execute(update(Job).where(Job.id == id_).values(state="UPLOADING", source_url=None))
        Jobs(local.database, max_queued=10).delete(id_, by="test")
        assert "event: end" in list(lines)


def test_a_route_keeps_the_policy_that_it_sets() -> None:
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from veracity_gateway.answering import Answering
    from veracity_gateway.meters import Meters

    own = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "private"}
    app = Starlette(routes=[Route("/", lambda request: HTMLResponse("", headers=own))])
    answer = TestClient(Answering(app, Meters())).get("/")
    assert {name: answer.headers[name] for name in own} == own
    assert answer.headers["x-content-type-options"] == "nosniff"
