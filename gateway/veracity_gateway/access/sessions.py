"""Sessions of the page: begun with an API key, kept in the database by a digest of the cookie."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from sqlalchemy import ColumnElement, ForeignKey, String, delete, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column
from starlette.requests import HTTPConnection
from starlette.responses import Response

from veracity_gateway.access.keys import SECRET_BYTES, USED_SECONDS, Key, digest_of
from veracity_gateway.database import Base, Database
from veracity_gateway.settings import Settings

CSRF_HEADER = "X-CSRF-Token"


class PageSession(Base):
    """One session; it ends with its key."""

    __tablename__ = "page_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    created: Mapped[float] = mapped_column(index=True)
    seen: Mapped[float]


class Sessions:
    """The sessions of a database."""

    def __init__(self, database: Database, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._idle, self._longest = settings.session_idle_seconds, settings.session_seconds
        self._clock = clock

    def begin(self, key: Key) -> str:
        """Begin a session and return its cookie. Those that are over are deleted."""
        token, now = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        with self._database.session() as session:
            session.execute(delete(PageSession).where(self._over(now)))
            session.add(PageSession(digest=digest_of(token), key=key.id, created=now, seen=now))
        return token

    def find(self, token: str, *, use: bool = True) -> Key | None:
        """Return the key that began a session; None where it is over, its key is revoked, or there is none.

        Its ``use`` keeps it from ending unused.
        """
        now, digest = self._clock(), digest_of(token)
        with self._database.reading() as session:
            query = select(Key, PageSession.seen).join(PageSession, PageSession.key == Key.id)
            wanted = PageSession.digest == digest, Key.revoked.is_(None), ~self._over(now)
            found = session.execute(query.where(*wanted)).one_or_none()
        if found is None:
            return None
        key, seen = found
        if use and seen < now - USED_SECONDS:
            with self._database.session() as session:
                session.execute(update(PageSession).where(PageSession.digest == digest).values(seen=now))
        return key

    def end(self, token: str) -> None:
        """End a session."""
        with self._database.session() as session:
            session.execute(delete(PageSession).where(PageSession.digest == digest_of(token)))

    def _over(self, now: float) -> ColumnElement[bool]:
        return or_(PageSession.seen < now - self._idle, PageSession.created < now - self._longest)


def csrf_of(token: str) -> str:
    """Return what a page has to send beside its cookie: only a page of ours can ask for it."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def cookie_of(connection: HTTPConnection) -> str | None:
    """Return the session's cookie."""
    return connection.cookies.get(_cookie_name(connection))


def give_cookie(connection: HTTPConnection, response: Response, token: str) -> None:
    """Give the browser a cookie, which it forgets when it is closed."""
    response.set_cookie(_cookie_name(connection), token, **_rules(connection))  # type: ignore[arg-type]


def take_cookie(connection: HTTPConnection, response: Response) -> None:
    """Make the browser forget the cookie."""
    response.delete_cookie(_cookie_name(connection), **_rules(connection))  # type: ignore[arg-type]


def _cookie_name(connection: HTTPConnection) -> str:
    """With ``__Host-`` no other host, and nothing without TLS, can set it; browsers refuse that name over http."""
    return "__Host-veracity" if _is_https(connection) else "veracity"


def _rules(connection: HTTPConnection) -> dict[str, object]:
    return {"path": "/", "httponly": True, "samesite": "strict", "secure": _is_https(connection)}


def _is_https(connection: HTTPConnection) -> bool:
    return connection.url.scheme == "https"
