"""What both detectors have in common: their servers, and when a request is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from veracity_client._address import Protocol, TlsConfig
from veracity_client._servers import PROBE_SECONDS, Server, parse, refusal
from veracity_client._wire import RetryBudget, answered
from veracity_client.errors import BadOption, ServerUnavailable, VeracityError


@dataclass
class Call:
    """A request under way. ``refused``: by which servers, since the last pause. ``closes``: of the detector, before.

    ``headers`` carry the caller's trace.
    """

    budget: RetryBudget
    closes: int
    refused: dict[Server[Any], VeracityError] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def probe_seconds(self) -> float:
        """Return what a probe may take of the time left."""
        left = self.budget.left()
        return PROBE_SECONDS if left is None else min(PROBE_SECONDS, left)


class Base:
    """What both detectors have in common.

    ``url``: ``host:port`` or one of ``grpc://``, ``grpcs://``, ``http://``, ``https://`` before it; or a list of them,
    of equal servers. ``api_key`` is sent as the header ``x-api-key``. ``retries``: how often a request is repeated that
    an overloaded server refused (after 0.2 s, 0.4 s, … 5 s), whose model went away (after 1 s, 2 s, … 8 s) or whose
    server did (after 2 s, 4 s, … 10 s), with jitter; None for as often as ``timeout`` allows, which has to be given
    then. No other error is retried. ``timeout``: seconds for one analysis, retries included, and the
    server is told; None leaves the deadline to ``Options.deadline_seconds``. Proxies are taken from the environment
    (``grpc_proxy``, ``https_proxy``, ``http_proxy``), but for a server on this machine. Raises :class:`BadOption` for a
    bad url or key; its methods do for ``retries`` and ``timeout``.

    Of several servers the one with the least requests in flight is asked. One that refuses for a reason that is retried
    is set aside, until after a pause that grows it says that it is ready; the request goes to another at once. Only
    when all have refused does it pause, and only that counts as one of ``retries``.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "localhost:8001",
        *,
        protocol: Protocol | None = None,
        api_key: str | None = None,
        tls: bool | TlsConfig = False,
        retries: int | None = 5,
        timeout: float | None = None,
    ) -> None:
        self._addresses = parse(url, protocol, tls, api_key)
        self._retries = retries
        self._timeout = timeout
        self._answered = False  # whether there was a server at an address
        self._closes = 0
        try:
            self._connect()
        except OSError as error:  # PEM files that are absent or no PEM
            raise BadOption(f"tls: {error}") from error

    def _connect(self) -> None:
        raise NotImplementedError

    @property
    def protocol(self) -> Protocol:
        """``grpc`` or ``http``."""
        return self._addresses[0].protocol

    def _call(self, timeout: float | None) -> Call:
        return Call(RetryBudget(self._timeout if timeout is None else timeout, self._retries), self._closes)

    def _pause(self, call: Call, server: Server[Any], error: VeracityError) -> float:
        """Return the seconds to wait before the next attempt, 0 while there is a server that did not refuse.

        Raises the servers' error where no attempt is worth it.
        """
        call.refused[server] = error
        self._answered |= answered(error)
        if self._closes != call.closes:
            raise error
        if len(call.refused) < len(self._addresses):
            return 0.0
        error = refusal(call.refused)
        call.refused.clear()
        if not self._answered:
            raise error
        try:
            return call.budget.pause(error)
        except ServerUnavailable:
            self._answered = answered(error)  # the next request need not wait as long
            raise
