"""Webhooks' secrets at rest: encrypted by keys of a file, one a line, of which the first one encrypts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import String, delete, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from veracity_gateway.database import Base, Database
from veracity_gateway.errors import SecretsKeyError
from veracity_gateway.private_files import read_private, write_new
from veracity_gateway.settings import Settings
from veracity_gateway.webhooks.tables import Endpoint

FILE = "webhook-keys"  # in the data folder, beside the key that signs reports
CLEAR = "["  # how a row begins that an older gateway wrote
WAYS_OUT = "give the file with that key as VERACITY_GATEWAY_WEBHOOK_KEYS, or see docs/webhooks.md where it is lost"


class SecretsKey(Base):
    """The key that the rows are encrypted with, by its id: a gateway with another one must not begin."""

    __tablename__ = "webhook_key"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)


class Secrets:
    """Encrypts with the first key; decrypts with any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take keys of 32 bytes in URL-safe base64; raises ValueError."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self.ids = [hashlib.sha256(key).hexdigest() for key in keys]

    @classmethod
    def from_file(cls, path: Path) -> Secrets:
        """Read the keys; raises :class:`SecretsKeyError`."""
        lines = read_private(path, "file of webhooks' keys", SecretsKeyError).split()
        try:
            return cls(lines)
        except ValueError:
            raise SecretsKeyError(f"{path} holds no keys: each line is 32 bytes in URL-safe base64") from None

    def seal(self, content: str) -> str:
        """Encrypt."""
        return self._fernet.encrypt(content.encode()).decode()

    def open(self, sealed: str) -> str:
        """Decrypt; raises :class:`SecretsKeyError`."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise SecretsKeyError(f"a webhook's secret is encrypted with another key; {WAYS_OUT}") from None


def unlock(database: Database, settings: Settings) -> Secrets:
    """Return the keys of this database's secrets, made where there are none yet. Raises :class:`SecretsKeyError`.

    What is in clear, or was encrypted with a key that is no longer the first one, is encrypted anew.
    """
    with database.session() as session:
        if session.get_bind().dialect.name == "postgresql":  # another gateway may begin at this moment
            session.execute(text("LOCK TABLE webhook_key IN EXCLUSIVE MODE"))
        recorded = session.scalar(select(SecretsKey.id))
        secrets = _keys(settings, recorded)
        changed = select(Endpoint)
        if recorded == secrets.ids[0]:
            changed = changed.where(Endpoint.secrets.startswith(CLEAR))
        for endpoint in session.scalars(changed):
            held = endpoint.secrets
            endpoint.secrets = secrets.seal(held if held.startswith(CLEAR) else secrets.open(held))
        _record(session, secrets.ids[0])
    return secrets


def forget(database: Database) -> int:
    """Delete every webhook, and that their secrets had a key; return how many there were."""
    with database.session() as session:
        session.execute(delete(SecretsKey))
        return int(session.execute(delete(Endpoint)).rowcount)  # type: ignore[attr-defined]


def _keys(settings: Settings, recorded: str | None) -> Secrets:
    path = settings.webhook_keys or settings.data / "keys" / FILE
    if recorded and not path.exists():
        raise SecretsKeyError(f"webhooks' secrets are encrypted, and their key {path} is not there; {WAYS_OUT}")
    if not settings.webhook_keys and not path.exists():
        _make(path)
    secrets = Secrets.from_file(path)
    if recorded and recorded not in secrets.ids:
        raise SecretsKeyError(f"webhooks' secrets are encrypted with another key than those of {path}; {WAYS_OUT}")
    return secrets


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new(path, Fernet.generate_key() + b"\n")
    except OSError as error:
        raise SecretsKeyError(f"no key for webhooks' secrets can be kept in {path.parent}: {error.strerror}") from None


def _record(session: Session, id_: str) -> None:
    session.execute(delete(SecretsKey).where(SecretsKey.id != id_))
    session.merge(SecretsKey(id=id_))
