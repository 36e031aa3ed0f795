"""The database: SQLite in a file, or PostgreSQL. Each room declares its tables on :class:`Base`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session

BUSY_MILLISECONDS = 10_000
TABLES_LOCK = 0x766572616369  # any number that nobody else locks
READS = "veracity_reads"  # of a connection


AWAY = (OperationalError, InterfaceError, PoolTimeout)  # what is raised where the database does not answer


class Base(DeclarativeBase):
    """Declares tables."""


class Database:
    """Sessions of one database, whose tables are made where there are none. Safe to use from many threads."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, pool_pre_ping=True)
        if self.engine.dialect.name == "sqlite":
            _set_up_sqlite(self.engine)
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":  # another gateway may make them at this moment
                connection.execute(text(f"SELECT pg_advisory_xact_lock({TABLES_LOCK})"))
            Base.metadata.create_all(connection)
            _add_columns(connection)

    @contextmanager
    def session(self) -> Generator[Session, None, None]:
        """Give one transaction, which an exception rolls back."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Generator[Session, None, None]:
        """Give a transaction that only reads, and on SQLite waits for no writer."""
        with self.engine.connect() as connection:
            reads = connection.execution_options(**{READS: True})
            with Session(reads, expire_on_commit=False) as session:
                yield session

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()


def _add_columns(connection: Connection) -> None:
    """Add what an older gateway's tables lack: since the first version there came only columns that may be empty."""
    known, quoted = inspect(connection), connection.dialect.identifier_preparer.quote
    for table in Base.metadata.sorted_tables:
        there = {column["name"] for column in known.get_columns(table.name)}
        for column in (column for column in table.columns if column.name not in there):
            kind = column.type.compile(connection.dialect)
            connection.execute(text(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(column.name)} {kind}"))


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin a transaction too late for BEGIN IMMEDIATE
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an accepted job outlives a power cut
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what was deleted is not left in the file's free pages

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        reads = connection.get_execution_options().get(READS)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")  # a reader that turns writer is refused
