"""Requests to addresses that callers name: http and https, to public addresses alone, unless ``private`` is allowed.

A name is looked up once, at the connection, and the connection goes to what was looked at: a name server that answers
otherwise a moment later changes nothing. TLS verifies the name all the same.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from socket import EAI_AGAIN, SOCK_STREAM, gaierror

import anyio
import httpcore
import httpx

from veracity_gateway.errors import BadUrl, UrlTimeout, UrlUnavailable

Resolve = Callable[[str, int], Awaitable[list[str]]]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST_URL = 8192  # characters; signed addresses are long
PUBLIC_PORTS = (80, 443, 8080, 8443)
USUAL_PORT = {"http": 80, "https": 443}
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0  # without a byte
REFUSED = "that address may not be asked"
NAT64 = ipaddress.ip_network("64:ff9b::/96")
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
NOT_PUBLIC = [  # beside what every version of `ipaddress` knows
    ipaddress.ip_network(each)
    for each in (
        "168.63.129.16/32",  # the host of Azure's virtual machines
        "192.0.0.0/24",  # protocol assignments; a metadata service of Oracle's cloud
        "192.88.99.0/24",  # 6to4 relays
        "3fff::/20",  # documentation
    )
]


def check_url(url: str, *, private: bool = False) -> str:
    """Return an address that may be asked as far as its text says; raises :class:`BadUrl`."""
    parsed = _parsed(url)
    if parsed.scheme not in USUAL_PORT or not parsed.host:
        raise BadUrl("give an address that begins with https:// or http://")
    if parsed.userinfo:
        raise BadUrl("an address with a user or a password is not asked")
    if not private and port_of(parsed) not in PUBLIC_PORTS:
        raise BadUrl(f"{REFUSED}: its port is none of {', '.join(map(str, PUBLIC_PORTS))}")
    host = _host(parsed)
    if address := _literal(host):
        _check([address], private)
    return url


def port_of(url: httpx.URL) -> int:
    """Return the port of an address, also where it is the usual one."""
    return USUAL_PORT[url.scheme] if url.port is None else url.port


def is_public(address: IPAddress) -> bool:
    """Say whether an address belongs to the public network, and so does the IPv4 address inside it, if there is one."""
    if isinstance(address, ipaddress.IPv6Address) and (inner := _embedded(address)):
        return is_public(inner)
    if address.version == 6 and address not in GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in NOT_PUBLIC)
    return address.is_global and not special


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as this machine looks them up."""
    return [str(found[4][0]) for found in await anyio.getaddrinfo(host, port, type=SOCK_STREAM)]


class Outbound:
    """Asks addresses. No proxy, no cookies, no redirects, no connection that is used twice."""

    def __init__(self, *, private: bool, resolve: Resolve = resolve) -> None:
        self.private = private
        self._backend = _Pinned(private, resolve)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()  # with SSL_CERT_FILE, for networks that have an authority of their own

    @asynccontextmanager
    async def ask(
        self, method: str, url: str, headers: Mapping[bytes | str, bytes | str], content: bytes | None = None
    ) -> AsyncGenerator[httpcore.Response, None]:
        """Give the response to a request, its body still to be read.

        Raises :class:`BadUrl`, :class:`UrlUnavailable`, :class:`UrlTimeout`, also while the body is read.
        """
        parsed = _parsed(check_url(url, private=self.private))
        target = httpcore.URL(
            scheme=parsed.raw_scheme, host=_host(parsed).encode(), port=parsed.port, target=parsed.raw_path
        )
        seconds = {"connect": CONNECT_SECONDS, "read": IDLE_SECONDS, "write": IDLE_SECONDS, "pool": CONNECT_SECONDS}
        with _in_our_words():
            async with (
                httpcore.AsyncConnectionPool(self._tls, network_backend=self._backend) as pool,
                pool.stream(
                    method, target, headers=headers, content=content, extensions={"timeout": seconds}
                ) as response,
            ):
                yield response


class _Pinned(httpcore.AnyIOBackend):
    """Looks a host up, checks every address, and connects to those that it checked."""

    def __init__(self, private: bool, resolve: Resolve) -> None:
        self._private, self._resolve = private, resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109, the name is that of httpcore
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with anyio.fail_after(timeout):
            found = await self._addresses(host, port)
            for address in found[:-1]:
                try:
                    return await super().connect_tcp(address, port, timeout, local_address, socket_options)
                except httpcore.ConnectError:
                    continue
            return await super().connect_tcp(found[-1], port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await self._resolve(host, port)
        except gaierror as error:
            if error.errno == EAI_AGAIN:
                raise UrlUnavailable("the address's host could not be looked up; try again later") from None
            found = []
        except UnicodeError:  # a label that is too long
            found = []
        _check([ipaddress.ip_address(each) for each in found], self._private)
        return found


def _parsed(url: str) -> httpx.URL:
    if len(url) > LONGEST_URL:
        raise BadUrl(f"an address of over {LONGEST_URL:,} characters")
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise BadUrl("that is no address: give one that begins with https:// or http://") from None


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _literal(host: str) -> IPAddress | None:
    """Return the address that a host is written as; refuses what only some programs read as one, such as 0177.1."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        if last.isdecimal() or last.startswith("0x"):
            raise BadUrl(f"{REFUSED}: its host is a number, and no IP address") from None
        return None


def _check(addresses: list[IPAddress], private: bool) -> None:
    """Refuse a host with any address that is not public. One message: which names are known inside is nobody's."""
    if not addresses or not (private or all(is_public(address) for address in addresses)):
        raise BadUrl(f"{REFUSED}: its host has no public address")


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


@contextmanager
def _in_our_words() -> Generator[None, None, None]:
    """Raise what goes wrong on the way without the address, which may hold a signature."""
    try:
        yield
    except (httpcore.TimeoutException, TimeoutError):
        raise UrlTimeout("the address did not answer in time") from None
    except httpcore.ConnectError as error:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args):
            raise BadUrl("the address's certificate is not valid for its host") from None
        raise UrlUnavailable("no connection to the address") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError):
        raise UrlUnavailable("the address's answer broke off or is no HTTP") from None
