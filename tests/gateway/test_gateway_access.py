"""Who may ask a gateway: over HTTP, against a gateway as the command serves it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from gateway_jobs import complete_job
from gateway_server import gateway, settings_in

from veracity_gateway.access.caller import SCOPES, Scope
from veracity_gateway.access.keys import Key, Keys
from veracity_gateway.database import Database
from veracity_gateway.errors import NotFound
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.store import Jobs, NewJob
from veracity_gateway.settings import Settings

CLOSED = ["/jobs", "/health", "/metrics", "/openapi.json", "/session", "/no-such-page", "/health/live/", "/static"]
OPEN = ["/health/live", "/version"]


@dataclass
class Served:
    """A gateway with keys, and the same database seen from outside, as the command `keys` sees it."""

    url: str
    settings: Settings
    database: Database
    clients: ExitStack

    @property
    def keys(self) -> Keys:
        return Keys(self.database)

    def add(self, *scopes: Scope, per_minute: int = 600, jobs_a_day: int | None = None) -> httpx.Client:
        key = self.keys.add("a test", scopes or SCOPES, per_minute, jobs_a_day)
        return self.client({"Authorization": f"Bearer {key}"})

    def client(self, headers: dict[str, str] | None = None) -> httpx.Client:
        return self.clients.enter_context(httpx.Client(base_url=self.url, headers=headers))

    def job_of(self, owner: str) -> str:
        return Jobs(self.database, max_queued=10).begin(NewJob(owner, "clip.mp4", "{}")).id


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = settings_in(tmp_path_factory.mktemp("gateway"))
    database = Database(settings.database_url())
    Keys(database).add("the first", SCOPES, 600)
    with gateway(settings) as url, ExitStack() as clients:
        yield Served(url, settings, database, clients)
    database.close()


def name_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and error; every error has our form and the request's id."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["type"].removeprefix("urn:veracity:error:")


@pytest.mark.parametrize("path", CLOSED)
def test_without_a_key_nothing_is_to_be_had(served: Served, path: str) -> None:
    answer = served.client().get(path)
    assert name_of(answer) == (401, "Unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="veracity"'


@pytest.mark.parametrize("path", OPEN)
def test_what_wants_no_key(served: Served, path: str) -> None:
    assert served.client().get(path).status_code == 200


def test_changing_anything_wants_a_key(served: Served) -> None:
    client = served.client()
    for method, path in [("POST", "/health/live"), ("POST", "/analyze-video"), ("DELETE", "/version")]:
        assert name_of(client.request(method, path)) == (401, "Unauthorized")


def test_a_key_is_taken_in_either_header(served: Served) -> None:
    key = served.keys.add("both", ["read"], 600)
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}, {"X-API-Key": key}):
        assert served.client(headers).get("/jobs").json() == {"jobs": [], "next": None}


def test_wrong_keys(served: Served) -> None:
    key = served.keys.add("right", ["read"], 600)
    other = served.keys.add("other", ["read"], 600)
    mixed = key.rpartition("_")[0] + "_" + other.rpartition("_")[2]
    for wrong in (mixed, key[:-1], key.upper(), "vk_", "ключ", "x" * 5000):
        answer = served.client().get("/jobs", headers={b"Authorization": b"Bearer " + wrong.encode()})
        assert name_of(answer) == (401, "Unauthorized")


def test_a_revoked_key_is_refused_at_once(served: Served) -> None:
    client = served.add("read")
    assert client.get("/jobs").status_code == 200
    served.keys.revoke(served.keys.all()[-1].id)
    assert name_of(client.get("/jobs")) == (401, "Unauthorized")
    with pytest.raises(NotFound, match="there is no key"):
        served.keys.revoke("0" * 16)


def test_each_address_wants_its_scope(served: Served) -> None:
    asked: list[tuple[Scope, Callable[[httpx.Client], httpx.Response]]] = [
        ("read", lambda client: client.get("/jobs")),
        ("analyze", lambda client: client.post("/analyze-video", json={})),
        ("review", lambda client: client.get("/reviews/manifest.csv")),
        ("admin", lambda client: client.get("/metrics")),
    ]
    assert {scope for scope, _ in asked} == set(SCOPES)
    for scope, ask in asked:
        client = served.add(*(each for each in SCOPES if each != scope))
        answer = ask(client)
        assert name_of(answer) == (403, "Forbidden")
        assert f"this needs the scope {scope}" in answer.json()["detail"]


def test_a_job_of_someone_else_is_not_there(served: Served) -> None:
    client = served.add("read", "analyze")
    id_ = served.job_of("0" * 16)
    for method, path in [("GET", ""), ("GET", "/events"), ("GET", "/media"), ("DELETE", "")]:
        assert name_of(client.request(method, f"/jobs/{id_}{path}")) == (404, "NotFound")
    assert client.get("/jobs").json()["jobs"] == []
    client = served.add("read", "admin")
    assert client.get(f"/jobs/{id_}").json()["job_id"] == id_


def test_the_verdict_of_someone_else_is_not_there(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    found, batch = Gateway(settings), "0" * 32
    id_ = complete_job(found, "0" * 16)
    found.jobs.begin(NewJob("0" * 16, "clip.mp4", "{}", batch=batch))
    own, all_ = (found.keys.add("a test", scopes, 600) for scopes in (("analyze", "read", "review"), SCOPES))
    found.database.close()
    paths = [f"/jobs/{id_}/report.{kind}" for kind in ("json", "html", "pdf")]
    paths += [f"/jobs/{id_}", f"/jobs/{id_}/reviews", f"/batches/{batch}"]
    review = f"/jobs/{id_}/reviews", {"opinion": "cannot_tell"}
    with gateway(settings) as url:
        with httpx.Client(base_url=url, headers={"x-api-key": own}) as client:
            assert [name_of(client.get(path)) for path in paths] == [(404, "NotFound")] * len(paths)
            assert name_of(client.post(review[0], json=review[1])) == (404, "NotFound")
            assert client.get("/results.jsonl").text == ""
            assert len(client.get("/reviews/manifest.csv").text.splitlines()) == 1
        with httpx.Client(base_url=url, headers={"x-api-key": all_}, timeout=60) as client:
            assert [client.get(path).status_code for path in paths] == [200] * len(paths)
            assert client.get(f"/jobs/{id_}/reviews").json() == {"reviews": []}
            assert client.post(review[0], json=review[1]).status_code == 201


def test_an_address_with_too_many_wrong_keys_waits(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    database = Database(settings.database_url())
    good, late = (Keys(database).add(name, SCOPES, 600) for name in ("good", "late"))
    with gateway(settings) as url, httpx.Client(base_url=url) as client:
        assert client.get("/jobs", headers={"x-api-key": good}).status_code == 200
        statuses = [client.get("/jobs", headers={"x-api-key": f"vk_{n}"}).status_code for n in range(20)]
        assert statuses == [401] * 20
        answer = client.get("/jobs", headers={"x-api-key": late})
        assert name_of(answer) == (429, "TooManyRequests")
        assert 1 <= int(answer.headers["retry-after"]) <= 4
        assert name_of(client.post("/session", json={"api_key": late})) == (429, "TooManyRequests")
        assert client.get("/jobs", headers={"x-api-key": good}).status_code == 200  # it was right before
    database.close()


def test_the_rate_of_a_key(served: Served) -> None:
    client = served.add("read", per_minute=3)
    answers = [client.get("/jobs") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"minute";q=3;w=60'
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
        '"minute";r=2', '"minute";r=1', '"minute";r=0', '"minute";r=0',
    ]  # fmt: skip
    assert name_of(answers[3]) == (429, "TooManyRequests")
    assert 15 <= int(answers[3].headers["retry-after"]) <= 20
    client = served.add("read")
    assert client.get("/jobs").status_code == 200  # another key has its own


def test_the_quota_of_a_key(served: Served) -> None:
    client = served.add("read", "analyze", jobs_a_day=2)
    file = {"video": ("clip.mp4", b"not a video")}
    made = [client.post("/analyze-video", files=file) for _ in range(2)]
    assert [answer.status_code for answer in made] == [202, 202]
    assert client.delete(made[0].json()["status_url"]).status_code == 204  # which gives nothing back
    over = client.post("/analyze-video", files=file)
    assert name_of(over) == (429, "TooManyRequests")
    assert "2 jobs in 24 hours" in over.json()["detail"]
    assert over.headers["ratelimit-policy"] == '"minute";q=600;w=60, "day";q=2;w=86400'
    assert over.headers["ratelimit"] == f'"day";r=0;t={over.headers["retry-after"]}'
    assert 86_300 < int(over.headers["retry-after"]) <= 86_400
    assert len(client.get("/jobs").json()["jobs"]) == 1


def test_a_batch_over_the_quota_is_taken_in_part(served: Served) -> None:
    client = served.add("read", "analyze", jobs_a_day=2)
    files = [("video", (f"{n}.mp4", bytes([n]))) for n in range(3)]
    said = client.post("/batches", files=files).json()
    assert len(said["jobs"]) == 2
    assert [(each["name"], each["error"]["status"]) for each in said["refused"]] == [("2.mp4", 429)]


def test_a_repeated_request_is_answered_at_the_end_of_the_quota(served: Served) -> None:
    """The job that it made is its own; only the check before a file is sent could refuse it, and there is one left."""
    client = served.add("read", "analyze", jobs_a_day=2)
    ask = {"files": {"video": ("clip.mp4", b"once")}, "headers": {"Idempotency-Key": "one"}}
    first, again = client.post("/analyze-video", **ask), client.post("/analyze-video", **ask)  # type: ignore[arg-type]
    assert first.json()["job_id"] == again.json()["job_id"]


def test_the_use_of_a_key_is_not_a_write_for_each_request(served: Served) -> None:
    client = served.add("read")
    used = []
    for _ in range(3):
        client.get("/jobs").raise_for_status()
        used.append(served.keys.all()[-1].used)
    assert used[0] is not None
    assert used == [used[0]] * 3
    assert abs(used[0] - time.time()) < 60


def test_reading_waits_for_no_writer(served: Served) -> None:
    client = served.add("read")
    client.get("/jobs").raise_for_status()
    with served.database.session() as session:
        session.query(Key).first()  # a transaction that may write is open
        began = time.monotonic()
        assert served.client().get("/jobs", headers={"x-api-key": "vk_" + "0" * 16 + "_" + "a" * 43}).status_code == 401
        assert time.monotonic() - began < 5


def test_the_document_says_what_wants_a_key(served: Served) -> None:
    client = served.add("read")
    document = client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header", "session"}
    assert document["security"] == [{"bearer": []}, {"header": []}, {"session": []}]
    public = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") == []
    }
    assert public >= {("get", "/health/live"), ("get", "/health/ready"), ("get", "/version"), ("post", "/session")}
    assert not any(path.startswith(("/jobs", "/analyze", "/metrics")) for _, path in public)
