"""A client with a list of servers: whom it asks, whom it sets aside, and when it asks them again."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from server_models import eventually
from switchable_servers import Switch, switchable

from veracity_client import AsyncDetector, Detector, StageEvent, Verdict, errors
from veracity_client._servers import Server, Servers, parse
from veracity_client._wire import Pauses

TRANSPORTS = ("grpc", "http")
AT_ONCE, NEVER = Pauses(0.0, 1, 0.0), Pauses(3600.0, 1, 3600.0)
RETRIED = [errors.Overloaded("full"), errors.ModelUnavailable("died"), errors.ServerUnavailable("starts")]

Ask = Callable[..., Verdict]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def two(transport: str) -> Iterator[tuple[Switch, Switch]]:
    with switchable(transport) as first, switchable(transport) as second:
        yield first, second


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pauses], None]:
    """Set the pauses before a server that was set aside is probed, and those of a request that all refused."""

    def probe(pauses: Pauses) -> None:
        for name in ("_wire.WHEN_DOWN", "_wire.WHEN_MODEL_DOWN", "_wire.WHEN_OVERLOADED", "_servers.WHEN_DOWN"):
            monkeypatch.setattr(f"veracity_client.{name}", pauses)

    probe(NEVER)
    return probe


@contextmanager
def asking(kind: str, *urls: str, **options: Any) -> Iterator[Ask]:
    """Yield how a detector of one kind is asked."""
    if kind == "sync":
        with Detector(urls, **options) as detector:
            yield detector.analyze
        return
    with closing(asyncio.new_event_loop()) as loop:
        found = AsyncDetector(urls, **options)
        yield lambda *args, **given: loop.run_until_complete(found.analyze(*args, **given))
        loop.run_until_complete(found.close())


@contextmanager
def nobody(transport: str) -> Iterator[str]:
    """Yield an address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"{transport}://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def silent(transport: str, *, connects: bool) -> Iterator[str]:
    """Yield an address where connections are taken and nothing is said, or where none comes about."""
    with socket.socket() as listening, ExitStack() as filling:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100 if connects else 0)
        address = listening.getsockname()
        for _ in range(0 if connects else 3):  # the queue of the kernel is full then
            waiting = filling.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"{transport}://127.0.0.1:{address[1]}"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_equal_servers_are_asked_in_turn(two: tuple[Switch, Switch], kind: str) -> None:
    first, second = two
    with asking(kind, first.url, second.url) as ask:
        for _ in range(6):
            assert ask(b"clip").label == "fake"
    assert (first.asked, second.asked) == (3, 3)
    assert (first.probed, second.probed) == (0, 0)


def test_the_one_with_the_least_in_flight_is_asked(two: tuple[Switch, Switch]) -> None:
    first, second = two
    first.gate.clear()
    with Detector([first.url, second.url]) as detector, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(detector.analyze, b"clip")
        eventually(lambda: first.asked == 1)
        for _ in range(5):
            detector.analyze(b"clip")
        assert (first.asked, second.asked) == (1, 5)
        first.gate.set()
        assert waiting.result().label == "fake"


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("refusal", RETRIED, ids=lambda error: type(error).__name__)
def test_a_server_that_refuses_is_set_aside_until_it_says_that_it_is_ready(
    two: tuple[Switch, Switch], kind: str, refusal: errors.VeracityError, probes: Callable[[Pauses], None]
) -> None:
    first, second = two
    first.refusal = refusal
    with asking(kind, first.url, second.url, retries=0) as ask:  # pauses of an hour: without another server it fails
        for _ in range(3):
            assert ask(b"clip").label == "fake"
        assert (first.asked, first.probed, second.asked) == (1, 0, 3)

        first.refusal, second.refusal = None, refusal  # both aside: the request itself finds the first well again
        ask(b"clip")
        assert (first.asked, first.probed, second.asked) == (2, 0, 4)

        probes(AT_ONCE)
        first.refusal, second.refusal = refusal, None
        ask(b"clip")
        assert (first.asked, second.asked) == (3, 5)
        before = first.probed
        ask(b"clip")
        assert (first.asked, first.probed) == (3, before + 1)
        first.refusal = None
        for _ in range(3):
            ask(b"clip")
        assert first.asked > 3
        assert first.probed == before + 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_address_where_nobody_listens_is_passed_over(
    transport: str, kind: str, probes: Callable[[Pauses], None]
) -> None:
    with nobody(transport) as url, switchable(transport) as well, asking(kind, url, well.url, retries=0) as ask:
        assert [ask(b"clip").label for _ in range(4)] == ["fake"] * 4
    assert well.asked == 4


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_to_which_no_connection_comes_about_is_passed_over(
    transport: str, kind: str, monkeypatch: pytest.MonkeyPatch, probes: Callable[[Pauses], None]
) -> None:
    monkeypatch.setattr("veracity_client._servers.CONNECT_SECONDS", 0.3)
    with (
        silent(transport, connects=False) as url,
        switchable(transport) as well,
        asking(kind, url, well.url, timeout=15.0) as ask,  # gRPC's own limit is 20 s
    ):
        assert [ask(b"clip").label for _ in range(4)] == ["fake"] * 4
    assert well.asked == 4


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_server_that_lets_a_request_time_out_is_probed_before_the_next(
    transport: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veracity_client._base.PROBE_SECONDS", 0.2)
    with (
        silent(transport, connects=True) as url,
        switchable(transport) as well,
        asking(kind, url, well.url) as ask,
    ):
        with pytest.raises(errors.AnalysisTimeout):
            ask(b"clip", timeout=0.5)
        assert [ask(b"clip").label for _ in range(3)] == ["fake"] * 3
    assert well.asked == 3


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_when_all_refuse_the_request_pauses_and_each_is_asked_again(
    two: tuple[Switch, Switch], kind: str, probes: Callable[[Pauses], None]
) -> None:
    first, second = two
    probes(AT_ONCE)
    first.refusal, second.refusal = errors.ServerUnavailable("starts"), errors.Overloaded("the queue is full")
    names = [switch.url.partition("://")[2] for switch in two]
    with asking(kind, first.url, second.url, retries=2) as ask:
        with pytest.raises(errors.Overloaded) as caught:
            ask(b"clip")
        assert (first.asked, second.asked) == (3, 3)
        assert caught.value.message.startswith("none of 2 servers took the request: ")
        assert all(f"{name}: " in caught.value.message for name in names)
        second.refusal = None
        assert ask(b"clip").label == "fake"


def test_within_the_timeout(two: tuple[Switch, Switch]) -> None:
    for switch in two:
        switch.refusal = errors.ServerUnavailable("starts")
    with Detector([switch.url for switch in two]) as detector, pytest.raises(errors.ServerUnavailable):
        detector.analyze(b"clip", timeout=0.9)  # the first pause is 1 s or longer
    assert [switch.asked for switch in two] == [1, 1]


def test_where_nobody_ever_answered_each_is_asked_once(transport: str, probes: Callable[[Pauses], None]) -> None:
    with nobody(transport) as first, nobody(transport) as second, Detector([first, second]) as detector:
        assert not detector.ready()
        with pytest.raises(errors.ServerUnavailable, match=r"none of 2 servers .*; .*") as caught:
            detector.analyze(b"clip")
    assert not caught.value.connected


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_is_not_retried_goes_to_one_server(two: tuple[Switch, Switch], kind: str) -> None:
    for switch in two:
        switch.refusal = errors.BadVideo("no moov atom")
    with asking(kind, *(switch.url for switch in two)) as ask, pytest.raises(errors.BadVideo, match=r"^no moov atom$"):
        ask(b"clip")
    assert sorted(switch.asked for switch in two) == [0, 1]


def stages(kind: str, *urls: str) -> list[StageEvent | Verdict]:
    if kind == "sync":
        with Detector(urls, retries=0) as detector:
            return list(detector.stages(b"clip"))

    async def watch() -> list[StageEvent | Verdict]:
        async with AsyncDetector(urls, retries=0) as detector:
            return [event async for event in detector.stages(b"clip")]

    return asyncio.run(watch())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_goes_to_another_server_until_it_has_begun(kind: str) -> None:
    with nobody("grpc") as url, switchable("grpc") as full, switchable("grpc") as well:
        full.refusal = errors.Overloaded("full")
        for bad in (url, full.url):
            event, verdict = stages(kind, bad, well.url)
            assert isinstance(event, StageEvent)
            assert isinstance(verdict, Verdict)
        assert (full.asked, well.asked) == (1, 2)
        full.refusal, full.breaks = None, True
        with pytest.raises(errors.ServerUnavailable):
            stages(kind, full.url, well.url)
        assert (full.asked, well.asked) == (2, 2)


def test_a_stream_refused_while_it_is_sent_says_why() -> None:
    """grpc.aio lost the reason of some in a hundred."""

    async def refused(url: str) -> set[str]:
        said = set()
        async with AsyncDetector(url, retries=0) as detector:
            for _ in range(200):
                with pytest.raises(errors.VeracityError) as caught:
                    await anext(detector.stages(b"clip"))
                said.add(str(caught.value))
        return said

    with switchable("grpc") as full:
        full.refusal = errors.Overloaded("full")
        assert asyncio.run(refused(full.url)) == {"full"}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_one_address_is_never_probed_and_one_in_a_list_is_no_other(transport: str, kind: str) -> None:
    with switchable(transport) as only:
        only.refusal = errors.Overloaded("full")
        with asking(kind, only.url, retries=1) as ask:
            for _ in range(2):
                with pytest.raises(errors.Overloaded, match=r"^full$"):
                    ask(b"clip")
    assert (only.asked, only.probed) == (4, 0)


def test_ready_is_said_where_one_server_is(two: tuple[Switch, Switch]) -> None:
    first, second = two
    first.refusal = errors.ServerUnavailable("starts")

    async def ask() -> bool:
        async with AsyncDetector([first.url, second.url]) as detector:
            return await detector.ready()

    with Detector([first.url, second.url]) as detector:
        assert detector.ready()
        assert asyncio.run(ask())
        second.refusal = first.refusal
        assert not detector.ready()
        assert not asyncio.run(ask())


def test_an_answer_to_an_older_request_brings_no_server_back() -> None:
    servers: Servers[str] = Servers(parse(["a:1", "b:1"], None, False, None), lambda address: address.target)
    a, b = servers
    with servers.ask({b}) as chosen:
        assert chosen is a
        _refuse(servers, a, b)
    for _ in range(3):
        with servers.ask(()) as chosen:
            assert chosen is b


def test_a_probe_is_one_request_s() -> None:
    servers: Servers[str] = Servers(parse(["a:1", "b:1"], None, False, None), lambda address: address.target)
    a, b = servers
    with suppress(errors.AnalysisTimeout), servers.ask({b}):
        raise errors.AnalysisTimeout("no verdict")
    assert servers.to_probe() is a
    assert servers.to_probe() is None


def _refuse(servers: Servers[str], server: Server[str], other: Server[str]) -> None:
    with suppress(errors.Overloaded), servers.ask({other}) as chosen:
        assert chosen is server
        raise errors.Overloaded("full")


def test_the_command_takes_an_address_for_each_server(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"clip")
    with nobody("grpc") as url, switchable("grpc") as well:
        done = run("--url", url, "--url", well.url, "--json", tmp_path / "clip")
        assert done.returncode == 1, done.stderr
        mixed = run("--url", well.url, "--url", "http://localhost:1", "--json", tmp_path / "clip")
    assert mixed.returncode == 3
    assert b"one protocol" in mixed.stdout
