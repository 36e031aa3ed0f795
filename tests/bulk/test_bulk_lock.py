"""A bucket has one run at a time: on a real S3, with owners that live, die, and come back too late."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from gateway_stores import BUCKET, KEYS, s3
from obstore.store import ObjectStore, from_url
from test_bulk_output import row

from veracity_bulk import lock
from veracity_bulk.errors import OutputError
from veracity_bulk.output import Output
from veracity_client.errors import BadOption


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An S3 of which the key ``limited`` may read all and write nothing."""
    with s3(tmp_path_factory.mktemp("s3"), limited=[f"List:{BUCKET}", f"Read:{BUCKET}"]) as found:
        yield found


@pytest.fixture
def place(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{request.node.name}"


def names(store: ObjectStore) -> list[str]:
    return sorted(found["path"].partition("-")[0] for batch in store.list() for found in batch)


def test_a_second_run_is_kept_out(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.2)
    with Output(place) as output:
        with pytest.raises(BadOption, match="another run writes to it"):
            Output(place)
        output.write([row("a")])
        output.finish([], {})
    assert names(from_url(place)) == ["dead", "report.json", "rows/part"]
    with Output(place) as output:
        assert list(output.earlier("1-f", "{}")) == ["a"]
        output.drop({output.earlier("1-f", "{}")["a"][0].part: {"a"}})
        assert output.earlier("1-f", "{}") == {}


def test_of_many_that_begin_at_once_one_writes(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.2)
    barrier, won, lost = threading.Barrier(6), list[Output](), list[str]()

    def begin() -> None:
        barrier.wait()
        try:
            won.append(Output(place))
        except BadOption as error:
            lost.append(error.message)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 5), lost
    with won[0]:
        won[0].write([row("a")])


def test_what_a_dead_run_held_is_taken_over_and_it_writes_no_more(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Output(place)  # it stalls: nothing of it is renewed
    first.write([row("a")])
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.0)
    with Output(place) as second:
        assert "another run writes to it or was killed" in capsys.readouterr().err
        with pytest.raises(OutputError, match="another run took it over"):
            first.write([row("late")])
        first.__exit__(None, None, None)
        second.write([row("b")])
        assert set(second.earlier("1-f", "{}")) == {"a", "b"}
    assert "lock.json" not in names(from_url(place))


@pytest.mark.parametrize(
    ("variables", "bucket", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, BUCKET, "The access key ID you provided does not exist in our records."),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, BUCKET, "signature"),
        ({"AWS_ACCESS_KEY_ID": "limited"}, BUCKET, "Access Denied."),
        ({}, "nobucket", "The specified bucket does not exist"),
    ],
)
def test_a_bucket_that_refuses_says_why(
    variables: dict[str, str], bucket: str, said: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Output(place) as output:
        output.write([row("before")])
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadOption, match="rows cannot be written there") as raised:
        Output(place.replace(BUCKET, bucket, 1))
    assert said in raised.value.message
    assert "<" not in raised.value.message
    for name in variables:
        monkeypatch.setenv(name, KEYS[name])
    with Output(place) as output:
        assert list(output.earlier("1-f", "{}")) == ["before"]


class Forgetful(BaseHTTPRequestHandler):
    """An S3 of before 2024: it takes every PUT, whatever its condition."""

    def do_GET(self) -> None:
        self._answer(b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>")

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("etag", f'"{time.monotonic_ns()}"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_store_that_ignores_conditions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for name, value in (KEYS | {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BadOption, match="the store ignores conditional writes"):
            Output("s3://bucket/out")
        server.shutdown()
