"""Who may call the server, and which models."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from veracity.server.proxy.keys import KeyRing
from veracity.server.repository import DETECTORS
from veracity.settings import Settings
from veracity_client.errors import BadOption

ALL = "all"
NO_KEYS = (
    "--host {host} is reached from other machines, so callers need API keys: set VERACITY_API_KEYS or "
    "VERACITY_API_KEYS_FILE, or pass --insecure (VERACITY_INSECURE=true) to let everybody in"
)


@dataclass(frozen=True)
class Tls:
    """PEM files: the server's certificate and key, and the authority that signs the callers' (None: no mTLS)."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class Access:
    """What the proxy lets in.

    ``hosts`` are names that callers may know the server by, beside addresses and this machine's own; ``open_models``
    are models that they may call beside the detectors, ``("all",)`` for every one.
    """

    keys: KeyRing | None = None
    insecure: bool = False
    hosts: tuple[str, ...] = ()
    open_models: tuple[str, ...] = ()
    tls: Tls | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Access:
        """Read the keys too; raises :class:`BadOption`."""
        text = settings.api_keys.get_secret_value()
        if text and settings.api_keys_file:
            raise BadOption("VERACITY_API_KEYS and VERACITY_API_KEYS_FILE are both set; keep one")
        keys = KeyRing(text, settings.api_keys_file) if text or settings.api_keys_file else None
        return cls(keys, settings.insecure, _words(settings.hosts), _words(settings.open_models), _tls(settings))

    def check(self, host: str, address: str) -> None:
        """Raise :class:`BadOption` where ``address``, which ``host`` stands for, wants keys that are not there."""
        if self.keys is None and not self.insecure and not ipaddress.ip_address(address).is_loopback:
            raise BadOption(NO_KEYS.format(host=host))

    @property
    def models(self) -> tuple[str, ...] | None:
        """The names that callers may use, None for any."""
        return None if ALL in self.open_models else tuple(dict.fromkeys((*DETECTORS, *self.open_models)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _tls(settings: Settings) -> Tls | None:
    cert, key, client_ca = settings.tls_cert, settings.tls_key, settings.tls_client_ca
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        raise BadOption("TLS wants both VERACITY_TLS_CERT and VERACITY_TLS_KEY")
    for file in filter(None, (cert, key, client_ca)):
        if not file.is_file():
            raise BadOption(f"there is no file {file}, which TLS was told to use")
    return Tls(cert.absolute(), key.absolute(), client_ca and client_ca.absolute())
