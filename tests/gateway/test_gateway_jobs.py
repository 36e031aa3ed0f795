"""Jobs over HTTP, in front of a real tritonserver: from the file to the verdict, and everything that may go wrong."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gateway_server
import httpx
import media_samples
import pytest

from veracity.cli import main
from veracity.server import Server
from veracity_client.verdict import Verdict

pytestmark = pytest.mark.triton

ENDED = ("COMPLETE", "ERROR", "CANCELLED")
SECONDS = 60.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def client(server: Server, data: Path) -> Iterator[httpx.Client]:
    settings = gateway_server.settings_in(data, urls=(server.grpc_url,), jobs_at_once=2, max_bytes=2_000_000)
    with gateway_server.gateway(settings) as url, httpx.Client(base_url=url, timeout=SECONDS) as made:
        yield made


@pytest.fixture(scope="module")
def talking(media_folder: Path) -> bytes:
    return media_samples.talking(media_folder).read_bytes()


def send(client: httpx.Client, content: bytes, name: str = "clip.mp4", **fields: str) -> str:
    found = client.post("/analyze-video", files={"video": (name, content)}, data=fields)
    assert found.status_code == 202, found.text
    return str(found.json()["job_id"])


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while (found := client.get(f"/jobs/{job}").json())["state"] not in ENDED:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found  # type: ignore[no-any-return]


def problem(found: httpx.Response, status: int, name: str) -> str:
    assert found.headers["content-type"] == "application/problem+json"
    body = found.json()
    assert (found.status_code, body["status"], body["type"]) == (status, status, f"urn:veracity:error:{name}"), body
    assert body["request_id"] == found.headers["x-request-id"]
    return str(body["detail"])


def left_behind(data: Path) -> list[str]:
    return [path.name for path in (data / "incoming").glob("*")]


def test_a_file_becomes_a_verdict(client: httpx.Client, talking: bytes) -> None:
    found = client.post(
        "/analyze-video",
        files={"video": ("a film.mp4", talking)},
        data={"policy": "exhaustive", "layers": "audio,visual"},
    )
    assert found.status_code == 202
    said = found.json()
    assert found.headers["location"] == said["status_url"] == f"/jobs/{said['job_id']}"
    job = ended(client, said["job_id"])
    assert job["state"] == "COMPLETE"
    assert (job["name"], job["bytes"]) == ("a film.mp4", len(talking))
    verdict = Verdict.from_json(json.dumps(job["verdict"]))
    assert verdict.policy == "exhaustive"
    assert verdict.input.sha256 == job["sha256"]
    assert verdict.layer_results["4_semantic"].status == "skipped"
    assert job["label"] == verdict.label
    assert job["provenance"]["state"] == "none"
    assert job["progress"]["fraction"] == 1.0
    assert job["progress"]["stages"]["1_audio"]["status"] == "done"


def test_events_come_in_order_and_resume(client: httpx.Client, talking: bytes) -> None:
    job = send(client, talking + b"events")
    ended(client, job)
    whole = client.get(f"/jobs/{job}/events").text.replace("\r\n", "\n").strip().split("\n\n")
    numbers = [int(event.partition("id: ")[2].partition("\n")[0]) for event in whole]
    assert numbers == list(range(1, len(whole) + 1))
    assert 'event: end\ndata: {"state": "COMPLETE"}' in whole[-1]
    rest = client.get(f"/jobs/{job}/events", headers={"Last-Event-ID": "3"}).text.replace("\r\n", "\n").strip()
    assert rest.split("\n\n") == whole[3:]
    problem(client.get(f"/jobs/{job}/events", headers={"Last-Event-ID": "x"}), 400, "BadRequest")


def test_the_same_content_is_answered_from_the_store(client: httpx.Client, talking: bytes) -> None:
    first = ended(client, send(client, talking + b"same"))
    again = client.get(f"/jobs/{send(client, talking + b'same')}").json()
    assert again["state"] == "COMPLETE"
    assert again["answered_from"] == first["job_id"]
    assert again["verdict"] == first["verdict"]
    times = [client.get(f"/jobs/{job['job_id']}/report.json").json()["evidence"]["times"] for job in (first, again)]
    for name in ("started", "finished"):  # of the analysis, which there was one of
        assert times[0][name] == times[1][name]
    other = ended(client, send(client, talking + b"same", layers="audio"))
    assert other["answered_from"] is None


def test_an_idempotency_key_makes_one_job(client: httpx.Client, talking: bytes) -> None:
    def post(content: bytes, key: str) -> httpx.Response:
        return client.post("/analyze-video", files={"video": ("a.mp4", content)}, headers={"Idempotency-Key": key})

    first, again = post(talking + b"key", "one"), post(talking + b"key", "one")
    assert first.json()["job_id"] == again.json()["job_id"]
    assert post(talking + b"key", "two").json()["job_id"] != first.json()["job_id"]
    problem(post(talking + b"another", "one"), 409, "Conflict")


def test_media_are_kept_on_request_alone(client: httpx.Client, talking: bytes, data: Path) -> None:
    kept = ended(client, send(client, talking + b"kept", keep_media="true"))["job_id"]
    gone = ended(client, send(client, talking + b"gone"))["job_id"]
    deadline = time.monotonic() + SECONDS
    while (data / "media" / gone).exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    problem(client.get(f"/jobs/{gone}/media"), 410, "Gone")
    whole = client.get(f"/jobs/{kept}/media")
    assert whole.content == talking + b"kept"
    part = client.get(f"/jobs/{kept}/media", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    problem(client.get(f"/jobs/{kept}/media", headers={"Range": "bytes=99999999-"}), 416, "RangeNotSatisfiable")


def test_deleting_leaves_nothing_but_a_line_that_says_so(client: httpx.Client, talking: bytes, data: Path) -> None:
    job = ended(client, send(client, talking + b"deleted", keep_media="true"))["job_id"]
    assert client.delete(f"/jobs/{job}").status_code == 204
    problem(client.get(f"/jobs/{job}"), 404, "NotFound")
    problem(client.get(f"/jobs/{job}/media"), 404, "NotFound")
    problem(client.delete(f"/jobs/{job}"), 404, "NotFound")
    assert not (data / "media" / job).exists()


def test_a_job_under_way_is_cancelled(client: httpx.Client, talking: bytes) -> None:
    jobs = [send(client, talking + bytes([number]) * 9, policy="exhaustive") for number in range(4)]
    assert client.delete(f"/jobs/{jobs[0]}").status_code == 204
    assert client.delete(f"/jobs/{jobs[3]}").status_code == 204  # waits still
    assert [ended(client, job)["state"] for job in jobs[1:3]] == ["COMPLETE"] * 2
    for job in (jobs[0], jobs[3]):
        problem(client.get(f"/jobs/{job}"), 404, "NotFound")


def test_what_is_no_media_ends_in_the_servers_error(client: httpx.Client) -> None:
    job = ended(client, send(client, b"no media at all", name="text.mp4"))
    assert job["state"] == "ERROR"
    assert job["error"]["type"] == "urn:veracity:error:BadVideo"
    assert job["verdict"] is None


def test_predict_answers_at_once_and_keeps_nothing(client: httpx.Client, talking: bytes, data: Path) -> None:
    before = len(client.get("/jobs").json()["jobs"])
    found = client.post("/predict", files={"video": ("a.mp4", talking)}, data={"layers": "audio"})
    assert found.status_code == 200
    assert Verdict.from_json(found.content).layers_executed == (1,)
    problem(client.post("/predict", files={"video": ("a.mp4", b"text")}), 422, "BadVideo")
    assert len(client.get("/jobs").json()["jobs"]) == before
    assert left_behind(data) == []


def test_a_batch_makes_a_job_of_each_file(client: httpx.Client, talking: bytes) -> None:
    files = [("video", (f"{number}.mp4", talking + bytes([number]))) for number in range(3)]
    said = client.post("/batches", files=files, data={"layers": "audio"}).json()
    assert len(said["jobs"]) == 3
    for job in said["jobs"]:
        ended(client, job["job_id"])
    found = client.get(said["status_url"]).json()
    assert found["states"] == {"COMPLETE": 3}
    assert sorted(job["name"] for job in found["jobs"]) == ["0.mp4", "1.mp4", "2.mp4"]


def test_a_batch_under_a_key_is_made_once(client: httpx.Client, talking: bytes) -> None:
    files = [("video", (f"{number}.mp4", talking + b"once" + bytes([number]))) for number in range(2)]
    first, again = (
        client.post("/batches", files=files, data={"layers": "audio"}, headers={"Idempotency-Key": key}).json()
        for key in ("k" * 254 + "1", "k" * 254 + "1")
    )
    assert again["jobs"]
    assert [job["job_id"] for job in again["jobs"]] == [job["job_id"] for job in first["jobs"]]
    assert again["batch_id"] == first["batch_id"]
    assert len(client.get(first["status_url"]).json()["jobs"]) == 2
    other = client.post("/batches", files=files[:1], headers={"Idempotency-Key": "k" * 254 + "2"}).json()
    assert other["refused"] == []
    assert other["batch_id"] != first["batch_id"]


def test_jobs_are_listed_in_pages(client: httpx.Client, talking: bytes) -> None:
    names = [f"page {number}.mp4" for number in range(3)]
    for name in names:
        ended(client, send(client, talking + name.encode(), name=name, layers="audio"))
    first = client.get("/jobs", params={"q": "PAGE", "limit": 2}).json()
    assert [job["name"] for job in first["jobs"]] == names[:0:-1]
    second = client.get("/jobs", params={"q": "PAGE", "limit": 2, "after": first["next"]}).json()
    assert [job["name"] for job in second["jobs"]] == names[:1]
    assert second["next"] is None
    assert client.get("/jobs", params={"q": "page_", "state": "COMPLETE"}).json()["jobs"] == []  # no wildcard
    problem(client.get("/jobs", params={"state": "DONE"}), 400, "BadRequest")
    problem(client.get("/jobs", params={"after": "x"}), 400, "BadRequest")


@pytest.mark.parametrize(
    ("files", "fields", "status", "name", "said"),
    [
        ({"file": ("a.mp4", b"x")}, {}, 400, "BadRequest", "'file'"),
        ({}, {"policy": "decided"}, 415, "UnsupportedType", "multipart/form-data"),
        ({"video": ("a.mp4", b"")}, {}, 400, "BadRequest", "a.mp4 is empty"),
        ({"video": ("a.mp4", b"x")}, {"policy": "quick"}, 400, "BadOption", "policy is one of"),
        ({"video": ("a.mp4", b"x")}, {"fps": "5"}, 400, "BadOption", "there is no option fps"),
        ({"video": ("a.mp4", b"x")}, {"keep_media": "perhaps"}, 400, "BadRequest", "keep_media"),
        ({"video": ("a.mp4", b"x")}, {"audio_track": "-1"}, 400, "BadOption", "audio_track"),
        ({"video": ("a.mp4", b"x" * 2_000_001)}, {}, 413, "TooLarge", "2,000,000"),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(
    client: httpx.Client, data: Path, files: Any, fields: dict[str, str], status: int, name: str, said: str
) -> None:
    before = len(client.get("/jobs").json()["jobs"])
    assert said in problem(client.post("/analyze-video", files=files, data=fields), status, name)
    assert left_behind(data) == []
    assert len(client.get("/jobs").json()["jobs"]) == before


def test_two_files_are_refused_where_one_is_wanted(client: httpx.Client, data: Path) -> None:
    files = [("video", ("a.mp4", b"x")), ("video", ("b.mp4", b"y"))]
    assert "/batches" in problem(client.post("/analyze-video", files=files), 400, "BadRequest")
    assert left_behind(data) == []


def raw(client: httpx.Client, head: str, body: bytes, *, hang_up: bool = False) -> bytes:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=SECONDS) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        if hang_up:
            return b""
        with connection.makefile("rb") as answer:
            return answer.read()


HEAD = (
    "POST /analyze-video HTTP/1.1\nHost: localhost\nConnection: close\n"
    "Content-Type: multipart/form-data; boundary=b\nContent-Length: {}"
)
PART = b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'


def test_a_body_that_is_cut_leaves_nothing(client: httpx.Client, data: Path) -> None:
    raw(client, HEAD.format(100_000), PART + b"x" * 50_000, hang_up=True)
    deadline = time.monotonic() + 10
    while left_behind(data):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cut = PART + b"x" * 100  # whole by its length, and without its end
    assert b"ended before it was complete" in raw(client, HEAD.format(len(cut)), cut)
    assert left_behind(data) == []


def test_a_length_of_10_gb_is_refused_before_the_body(client: httpx.Client) -> None:
    assert raw(client, HEAD.format(10**10), b"").startswith(b"HTTP/1.1 413")


def test_unknown_addresses_and_methods_have_our_body(client: httpx.Client) -> None:
    problem(client.get("/nothing"), 404, "NotFound")
    problem(client.put("/jobs"), 405, "NotAllowed")
    problem(client.get(f"/jobs/{'0' * 32}"), 404, "NotFound")
    problem(client.get("/jobs/0"), 400, "BadRequest")
    problem(client.get(f"/batches/{'0' * 32}"), 404, "NotFound")


def test_health_says_what_works(client: httpx.Client) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}
    found = client.get("/health").json()
    assert (found["status"], found["ready"], found["database"], found["media"]) == ("ok", True, True, True)
    assert found["servers"][0]["fingerprint"]
    assert "veracity_gateway_jobs" in client.get("/metrics").text
    assert client.get("/version").json()["schema"] == "veracity/1"


def test_a_review_is_added_and_exported(client: httpx.Client, talking: bytes) -> None:
    job = ended(client, send(client, talking + b"review", keep_media="true"))["job_id"]
    at = f"/jobs/{job}/reviews"
    assert client.get(at).json() == {"reviews": []}
    truth = {"fake": None, "real": None}.get(client.get(f"/jobs/{job}").json()["label"], "real")
    said = client.post(at, json={"opinion": "disagree", "truth": truth, "note": "the original is ours"})
    assert said.status_code == 201
    manifest = client.get("/reviews/manifest.csv").text.splitlines()
    assert manifest[0] == "video_id,label,split,path,source,sha256,reviewers"
    assert any(line.startswith(f"{job},{said.json()['truth']},val,media/{job}.mp4,,") for line in manifest)
    assert client.post(at, json={"opinion": "cannot_tell"}).status_code == 201  # of the same analyst, later
    assert all(not line.startswith(job) for line in client.get("/reviews/manifest.csv").text.splitlines())
    assert len(client.get(at).json()["reviews"]) == 2
    problem(client.post(at, json={"opinion": "perhaps"}), 400, "BadRequest")


def test_a_report_is_signed_chained_and_the_same_each_time(
    client: httpx.Client, talking: bytes, tmp_path: Path
) -> None:
    job = ended(client, send(client, talking + b"report"))["job_id"]
    at = f"/jobs/{job}/report"
    found = client.get(f"{at}.json")
    assert client.get(f"{at}.json").content == found.content
    for kind in ("json", "html", "pdf"):
        (tmp_path / f"report.{kind}").write_bytes(client.get(f"{at}.{kind}").content)
    (tmp_path / "audit.jsonl").write_bytes(client.get("/audit").content)
    (tmp_path / "clip.mp4").write_bytes(talking + b"report")
    log = ["--audit", str(tmp_path / "audit.jsonl")]
    for kind in ("json", "html", "pdf"):
        assert main(["verify", str(tmp_path / f"report.{kind}"), str(tmp_path / "clip.mp4"), *log]) == 0
    (tmp_path / "clip.mp4").write_bytes(talking)
    assert main(["verify", str(tmp_path / "report.json"), str(tmp_path / "clip.mp4")]) == 1
    assert "sandbox" in client.get(f"{at}.html").headers["content-security-policy"]
    client.post(f"/jobs/{job}/reviews", json={"opinion": "cannot_tell", "note": "too short"})
    assert "too short" in client.get(f"{at}.html").text
    client.delete(f"/jobs/{job}")
    last = json.loads(client.get("/audit").text.splitlines()[-1])
    assert (last["event"], last["subject"]) == ("deleted", f"{job} by local")


def test_there_is_no_report_without_a_verdict(client: httpx.Client) -> None:
    job = ended(client, send(client, b"no report"))["job_id"]
    problem(client.get(f"/jobs/{job}/report.json"), 409, "Conflict")
