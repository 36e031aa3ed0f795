"""Webhooks: signed as Standard Webhooks says, sent until they are taken, one message of each end of a job."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import httpx
import pytest
from cryptography.fernet import Fernet
from gateway_server import gateway, settings_in
from killed_gateway import killed_at_the_end
from sqlalchemy import update
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from veracity_client.errors import BadVideo
from veracity_gateway.database import Database
from veracity_gateway.errors import Conflict, NotFound
from veracity_gateway.gateway import Gateway
from veracity_gateway.jobs.store import Jobs, NewJob
from veracity_gateway.outbound import Outbound
from veracity_gateway.webhooks import outbox
from veracity_gateway.webhooks.delivery import RESPONSE_BYTES, Deliveries
from veracity_gateway.webhooks.endpoints import ROTATION_SECONDS, Webhooks
from veracity_gateway.webhooks.outbox import Outbox
from veracity_gateway.webhooks.secrets import Secrets
from veracity_gateway.webhooks.tables import EVENT_TYPES, Endpoint


class Receiver(ThreadingHTTPServer):
    """Keeps what it was sent; answers with the statuses of a list, then 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook?token=t"
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []


class _Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()
        self.wfile.write(b"thanks " * 1000)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Parts:
    """Jobs and webhooks of one database, and a clock that can be set."""

    def __init__(self, url: str, pauses: tuple[float, ...] = outbox.PAUSES) -> None:
        self.now = time.time()
        self.database = Database(url)
        keys = Secrets([Fernet.generate_key()])
        self.webhooks = Webhooks(self.database, keys, self.clock)
        self.outbox = Outbox(self.database, keys, pauses=pauses, clock=self.clock)
        self.jobs = Jobs(self.database, max_queued=100)
        self.jobs.on_end.append(self.webhooks.job_ended)
        self.jobs.on_delete.append(self.webhooks.job_deleted)

    def clock(self) -> float:
        return self.now

    def end_a_job(self, owner: str = "me") -> str:
        job = self.jobs.begin(NewJob(owner, "clip.mp4", "{}"))
        self.jobs.upload_failed(job.id, BadVideo("no video"))
        return job.id

    def send(self, answer_seconds: float = 5.0) -> None:
        """Send whatever is due."""

        async def run() -> None:
            sender = Deliveries(self.outbox, Outbound(private=True), answer_seconds=answer_seconds)
            while delivery := self.outbox.claim(sender._id, 60.0):
                await sender._deliver(delivery)

        anyio.run(run)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(f"sqlite:///{tmp_path / 'gateway.db'}")
    yield made
    made.database.close()


def eventually(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def test_a_message_is_signed_as_the_standard_says(parts: Parts, receiver: Receiver) -> None:
    _, secret = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    job = parts.end_a_job()
    parts.send()
    ((headers, body),) = receiver.got
    said = Webhook(secret).verify(body, headers)
    assert (said["type"], said["data"]["job_id"], said["data"]["state"]) == ("job.error", job, "ERROR")
    assert said["data"]["error"]["type"] == "urn:veracity:error:BadVideo"
    assert said["data"]["name"] == "clip.mp4"
    assert said["data"]["status_url"] == f"/jobs/{job}"
    assert headers["Content-Type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"clip", b"klip"), headers)


def test_only_the_owner_is_told_and_only_of_what_was_asked_for(parts: Parts, receiver: Receiver) -> None:
    parts.webhooks.add("me", receiver.url, ["job.complete"])
    parts.webhooks.add("other", receiver.url, EVENT_TYPES)
    parts.end_a_job()
    parts.send()
    assert not receiver.got


def test_for_a_day_both_secrets_sign(parts: Parts, receiver: Receiver) -> None:
    endpoint, old = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    _, new = parts.webhooks.rotate(endpoint.id, "me")
    parts.end_a_job()
    parts.send()
    headers, body = receiver.got[0]
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(body, headers)
    parts.now += ROTATION_SECONDS + 1
    parts.end_a_job()
    parts.send()
    headers, body = receiver.got[1]
    Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_a_message_that_is_not_taken_is_sent_again_with_the_same_id(parts: Parts, receiver: Receiver) -> None:
    endpoint, _ = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    receiver.statuses = [500, 302]  # a redirect is not followed
    parts.end_a_job()
    parts.send()
    parts.send()
    assert len(receiver.got) == 1  # not before its pause
    parts.now += outbox.PAUSES[0] * (1 + outbox.JITTER)
    parts.send()
    parts.now += outbox.PAUSES[1] * (1 + outbox.JITTER)
    parts.send()
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len({body for _, body in receiver.got}) == 1
    (sent,) = parts.webhooks.messages(endpoint.id, "me", 10)
    assert [attempt.status for attempt in sent.attempts] == [500, 302, 200]
    assert (sent.message.state, len(sent.attempts[0].response)) == ("DELIVERED", RESPONSE_BYTES)


def test_after_the_last_attempt_the_webhook_is_disabled(parts: Parts, receiver: Receiver) -> None:
    endpoint, _ = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    receiver.statuses = [500] * 8
    parts.end_a_job()
    for pause in (0.0, *outbox.PAUSES):
        parts.now += pause * (1 + outbox.JITTER)
        parts.send()
    assert len(receiver.got) == 8
    (found,) = parts.webhooks.of("me")
    assert found.disabled
    assert "8 attempts" in str(found.disabled_reason)
    parts.end_a_job()
    parts.send()
    assert len(receiver.got) == 8  # nothing is sent, and nothing is kept for it
    (failed,) = parts.webhooks.messages(endpoint.id, "me", 10)
    with pytest.raises(Conflict):
        parts.webhooks.replay(endpoint.id, failed.message.id, "me")
    parts.webhooks.enable(endpoint.id, "me")
    parts.webhooks.replay(endpoint.id, failed.message.id, "me")
    parts.send()
    assert receiver.got[8][0]["webhook-id"] == receiver.got[0][0]["webhook-id"]


def test_an_address_that_is_gone_is_disabled_at_once(parts: Parts, receiver: Receiver) -> None:
    parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    receiver.statuses = [410]
    parts.end_a_job()
    parts.send()
    assert "410" in str(parts.webhooks.of("me")[0].disabled_reason)


def test_a_target_that_never_answers_is_cut_and_holds_up_no_other(parts: Parts, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        endpoint, _ = parts.webhooks.add("me", url, EVENT_TYPES)
        parts.webhooks.add("me", receiver.url, EVENT_TYPES)
        parts.end_a_job()
        begun = time.monotonic()
        parts.send(answer_seconds=0.5)
        assert time.monotonic() - begun < 5
    (sent,) = parts.webhooks.messages(endpoint.id, "me", 10)
    assert (sent.attempts[0].status, sent.message.state) == (None, "WAITING")
    assert "did not come within" in str(sent.attempts[0].error)
    assert len(receiver.got) == 1


def test_a_target_inside_is_not_asked(parts: Parts, receiver: Receiver) -> None:
    endpoint, _ = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    parts.end_a_job()

    async def run() -> None:
        sender = Deliveries(parts.outbox, Outbound(private=False))
        delivery = parts.outbox.claim(sender._id, 60.0)
        assert delivery
        await sender._deliver(delivery)

    anyio.run(run)
    (sent,) = parts.webhooks.messages(endpoint.id, "me", 10)
    assert "may not be asked" in str(sent.attempts[0].error)
    assert not receiver.got


def test_of_two_gateways_one_sends(parts: Parts, receiver: Receiver) -> None:
    parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    parts.end_a_job()
    assert parts.outbox.claim("one", 60.0)
    assert parts.outbox.claim("two", 60.0) is None
    parts.now += 61  # the first died
    assert parts.outbox.claim("two", 60.0)


def test_someone_elses_webhook_is_not_found(parts: Parts) -> None:
    endpoint, _ = parts.webhooks.add("me", "https://example.org/", EVENT_TYPES)
    for call in (parts.webhooks.remove, parts.webhooks.rotate, parts.webhooks.enable):
        with pytest.raises(NotFound):
            call(endpoint.id, "other")
    with pytest.raises(NotFound):
        parts.webhooks.messages(endpoint.id, "other", 10)
    with pytest.raises(NotFound):
        parts.webhooks.replay(endpoint.id, "msg_x", "other")
    assert parts.webhooks.of("other") == []


def test_deleting_a_job_deletes_what_was_said_of_it(parts: Parts, receiver: Receiver) -> None:
    endpoint, _ = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    job = parts.end_a_job()
    parts.send()
    parts.jobs.delete(job, by="me")
    assert parts.webhooks.messages(endpoint.id, "me", 10) == []


def test_webhooks_over_http(receiver: Receiver, tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path, fetch_private=True)) as url:
        made = httpx.post(f"{url}/webhooks", json={"url": receiver.url})
        assert made.status_code == 201
        at, secret = made.headers["Location"], made.json()["secret"]
        assert secret.startswith("whsec_")
        assert "secret" not in httpx.get(f"{url}/webhooks").text
        job = httpx.post(f"{url}/analyze-video", json={"video_url": "http://127.0.0.1:1/a.mp4"}).json()["job_id"]
        httpx.delete(f"{url}/jobs/{job}")
        eventually(lambda: receiver.got)
        headers, body = receiver.got[0]
        assert Webhook(secret).verify(body, headers)["type"] == "job.cancelled"

        def delivered() -> Any:
            (message,) = httpx.get(f"{url}{at}/messages").json()["messages"]
            return message if message["state"] == "DELIVERED" else None

        message = eventually(delivered)
        assert message["payload"] == json.loads(body)
        replayed = httpx.post(f"{url}{at}/messages/{message['message_id']}/replay")
        assert replayed.status_code == 202
        eventually(lambda: len(receiver.got) == 2)
        assert receiver.got[1][0]["webhook-id"] == message["message_id"]
        new = httpx.post(f"{url}{at}/rotate").json()["secret"]
        assert new != secret
        assert httpx.delete(f"{url}{at}").status_code == 204
        assert httpx.get(f"{url}{at}/messages").status_code == 404


def test_what_is_no_webhook_is_refused(tmp_path: Path) -> None:
    with gateway(settings_in(tmp_path)) as url:
        for body in (
            {"url": "http://127.0.0.1/hook"},
            {"url": "https://example.org/", "events": []},
            {"url": "https://example.org/", "events": ["job.started"]},
            {"url": "https://example.org/", "secret": "whsec_bXk="},
            {},
        ):
            answer = httpx.post(f"{url}/webhooks", json=body)
            assert (answer.status_code, answer.json()["status"]) == (400, 400), answer.text


@pytest.mark.slow
def test_one_message_of_each_end_after_a_kill(receiver: Receiver, tmp_path: Path) -> None:
    port = socket.create_server(("127.0.0.1", 0))
    away = f"http://127.0.0.1:{port.getsockname()[1]}/"
    port.close()  # nobody listens there
    with killed_at_the_end(tmp_path) as url:
        for target in (receiver.url, away):
            assert httpx.post(f"{url}/webhooks", json={"url": target}).status_code == 201
        jobs = []
        for _ in range(5):
            answer = httpx.post(f"{url}/analyze-video", json={"video_url": receiver.url.replace("/hook", "/none")})
            jobs.append(answer.json()["job_id"])
    with killed_at_the_end(tmp_path) as url:

        def told() -> bool:
            return len({json.loads(body)["data"]["job_id"] for _, body in receiver.got}) == len(jobs)

        eventually(told, 120)
        found = Gateway(settings_in(tmp_path))
        for endpoint in found.webhooks.of("local"):
            sent = [each.message.job for each in found.webhooks.messages(endpoint.id, "local", 100)]
            assert sorted(sent) == sorted(jobs)
        found.database.close()


def test_a_webhooks_address_is_in_no_log(parts: Parts, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    parts.end_a_job()
    parts.send()
    said = capsys.readouterr()
    assert "a webhook was called" in said.out + said.err
    assert "token" not in said.out + said.err


def test_what_is_kept_of_a_deleted_job_goes_when_it_was_sent(parts: Parts, receiver: Receiver) -> None:
    kept, _ = parts.webhooks.add("me", receiver.url, EVENT_TYPES)
    off, _ = parts.webhooks.add("me", f"{receiver.url}/off", EVENT_TYPES)
    job = parts.end_a_job()
    with parts.database.session() as session:
        session.execute(update(Endpoint).where(Endpoint.id == off.id).values(disabled=parts.now))
    parts.jobs.delete(job, by="me")
    assert [len(parts.webhooks.messages(each.id, "me", 10)) for each in (kept, off)] == [1, 0]
    parts.send()
    assert len(receiver.got) == 1
    assert parts.webhooks.messages(kept.id, "me", 10) == []
