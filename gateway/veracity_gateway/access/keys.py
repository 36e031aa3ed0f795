"""API keys: ``vk_<id>_<secret>``. The database has a digest of each, and who has the database cannot use it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable

from sqlalchemy import String, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from veracity_client.errors import BadOption
from veracity_gateway.access.caller import SCOPES, Caller, Scope
from veracity_gateway.database import Base, Database
from veracity_gateway.errors import NotFound

FORM = re.compile(r"vk_([0-9a-f]{16})_[\w-]{43}", re.ASCII)
SECRET_BYTES = 32
USED_SECONDS = 60.0  # how exactly it is known when a key or a session was used last: not a write for each request
NO_DIGEST = "0" * 64


class Key(Base):
    """One key. What belongs to it stays its own after it was revoked, so it is never deleted."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(64))
    per_minute: Mapped[int]
    jobs_a_day: Mapped[int | None]
    created: Mapped[float]
    revoked: Mapped[float | None]
    used: Mapped[float | None]

    @property
    def caller(self) -> Caller:
        """Who asks with this key."""
        return Caller(self.id, self.name, frozenset(scope for scope in SCOPES if scope in self.scopes.split(",")))


class Keys:
    """The keys of a database."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, scopes: Iterable[Scope], per_minute: int, jobs_a_day: int | None = None) -> str:
        """Make a key and return it. It cannot be had again."""
        text = f"vk_{secrets.token_hex(8)}_{secrets.token_urlsafe(SECRET_BYTES)}"
        self.put(text, name, scopes, per_minute, jobs_a_day)
        return text

    def put(
        self, text: str, name: str, scopes: Iterable[Scope], per_minute: int, jobs_a_day: int | None = None
    ) -> None:
        """Let a key in that was made elsewhere; where it is there already nothing changes.

        Raises BadOption for what is no key, for a revoked one, and where another key has its id.
        """
        if not (said := FORM.fullmatch(text)):
            raise BadOption("a key is vk_, 16 hexadecimal digits, _ and 43 characters of base64url")
        key = Key(
            id=said[1], name=name, digest=digest_of(text), scopes=",".join(scopes), per_minute=per_minute,
            jobs_a_day=jobs_a_day, created=self._clock(),
        )  # fmt: skip
        with self._database.session() as session:
            there = session.get(Key, key.id)
            if there is None:
                session.add(key)
            elif there.revoked is not None:
                raise BadOption(f"the key {key.id} was revoked; make another one")
            elif there.digest != key.digest:
                raise BadOption(f"another key has the id {key.id}; make another one")

    def revoke(self, id_: str) -> None:
        """Let nobody in with a key again, nor with the sessions that it began; raises NotFound."""
        with self._database.session() as session:
            if session.get(Key, id_) is None:
                raise NotFound(f"there is no key {id_[:64]}")
            session.execute(update(Key).where(Key.id == id_, Key.revoked.is_(None)).values(revoked=self._clock()))

    def all(self) -> list[Key]:
        """Return every key, the oldest first, revoked ones too."""
        with self._database.reading() as session:
            return list(session.scalars(select(Key).order_by(Key.created)))

    def any_active(self) -> bool:
        """Say whether anybody can come in with a key."""
        return any(key.revoked is None for key in self.all())

    def any_made(self) -> bool:
        """Say whether there ever was a key."""
        with self._database.reading() as session:
            return session.scalar(select(Key.id).limit(1)) is not None

    def find(self, text: str, *, use: bool = True) -> Key | None:
        """Return the key that this is; None where it is none, or is revoked. Its ``use`` is noted."""
        if not text.isascii() or not (said := FORM.fullmatch(text)):
            return None
        with self._database.reading() as session:
            key = session.get(Key, said[1])
        right = hmac.compare_digest(key.digest if key else NO_DIGEST, digest_of(text))
        if key is None or not right or key.revoked is not None:
            return None
        if use:
            self.note_use(key)
        return key

    def note_use(self, key: Key) -> None:
        """Keep when a key was used last, to the minute."""
        before = self._clock() - USED_SECONDS
        if key.used is None or key.used < before:
            with self._database.session() as session:
                old = or_(Key.used.is_(None), Key.used < before)
                session.execute(update(Key).where(Key.id == key.id, old).values(used=self._clock()))


def digest_of(secret: str) -> str:
    """Return what is kept of a secret. Nobody guesses 256 random bits: a slow hash, as for passwords, adds nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
