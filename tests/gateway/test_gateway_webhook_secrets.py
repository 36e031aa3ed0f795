"""Webhooks' secrets at rest: in the database nobody reads them, and without their key no gateway begins."""

import base64
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gateway_stores
import pytest
from cryptography.fernet import Fernet
from gateway_server import COMMAND, NOWHERE, settings_in
from sqlalchemy import select, text, update

from veracity_gateway.errors import SecretsKeyError
from veracity_gateway.gateway import Gateway
from veracity_gateway.settings import Settings
from veracity_gateway.webhooks.endpoints import new_secret, signing
from veracity_gateway.webhooks.secrets import forget
from veracity_gateway.webhooks.tables import EVENT_TYPES, Endpoint


@contextmanager
def opened(settings: Settings) -> Iterator[Gateway]:
    gateway = Gateway(settings)
    try:
        gateway.check()
        yield gateway
    finally:
        gateway.database.close()


def secrets_of(gateway: Gateway) -> list[str]:
    with gateway.database.reading() as session:
        return [each for row in session.scalars(select(Endpoint)) for each in signing(gateway.secrets, row, 0.0)]


def add(gateway: Gateway) -> str:
    return gateway.webhooks.add("me", "https://example.org/", EVENT_TYPES)[1]


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("gateway.db*"))


def test_the_database_does_not_hold_them(tmp_path: Path) -> None:
    with opened(settings_in(tmp_path)) as gateway:
        secret = add(gateway)
        endpoint = gateway.webhooks.of("me")[0]
        _, new = gateway.webhooks.rotate(endpoint.id, "me")
        found = on_disk(tmp_path)
        for each in (secret, new):
            assert each.removeprefix("whsec_").encode() not in found
            assert base64.b64decode(each.removeprefix("whsec_")) not in found
        assert secrets_of(gateway) == [secret, new]
    assert stat.S_IMODE((tmp_path / "keys" / "webhook-keys").stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "webhook-keys").read_bytes().strip() not in found
    with opened(settings_in(tmp_path)) as gateway:  # a restart
        assert secrets_of(gateway) == [secret, new]


def test_what_an_older_gateway_wrote_is_encrypted_at_the_start(tmp_path: Path) -> None:
    secret = new_secret()
    with opened(settings_in(tmp_path)) as gateway:
        add(gateway)
        with gateway.database.session() as session:
            session.execute(update(Endpoint).values(secrets=json.dumps([(secret, None)])))
            session.execute(text("DROP TABLE webhook_key"))
    (tmp_path / "keys" / "webhook-keys").unlink()
    assert secret.encode() in on_disk(tmp_path)
    with opened(settings_in(tmp_path)) as gateway:
        assert secrets_of(gateway) == [secret]
    assert secret.encode() not in on_disk(tmp_path)  # nor in what SQLite left free


def test_without_their_key_nothing_begins(tmp_path: Path) -> None:
    with opened(settings_in(tmp_path)) as gateway:
        add(gateway)
    key = tmp_path / "keys" / "webhook-keys"
    key.rename(tmp_path / "kept")
    command = [*COMMAND, "--url", NOWHERE, "--port", "0", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"SecretsKeyError: webhooks' secrets are encrypted, and their key {key} is not there" in done.stderr
    assert not key.exists()
    with opened(settings_in(tmp_path, webhook_keys=tmp_path / "kept")) as gateway:
        assert len(secrets_of(gateway)) == 1


def test_a_second_gateway_with_a_key_of_its_own_does_not_begin(tmp_path: Path) -> None:
    with gateway_stores.postgresql() as url:
        with opened(settings_in(tmp_path / "one", database=url)):
            pass
        with pytest.raises(SecretsKeyError, match="is not there"), opened(settings_in(tmp_path / "two", database=url)):
            pass
        shared = tmp_path / "one" / "keys" / "webhook-keys"
        with opened(settings_in(tmp_path / "two", database=url, webhook_keys=shared)):
            pass
        (tmp_path / "other").write_bytes(Fernet.generate_key())
        (tmp_path / "other").chmod(0o600)
        with pytest.raises(SecretsKeyError, match="encrypted with another key than those of"):
            Gateway(settings_in(tmp_path / "two", database=url, webhook_keys=tmp_path / "other")).check()


def test_the_first_key_of_the_file_encrypts_and_the_others_may_go(tmp_path: Path) -> None:
    key = tmp_path / "keys" / "webhook-keys"
    with opened(settings_in(tmp_path)) as gateway:
        secret = add(gateway)
    old, new = key.read_bytes(), Fernet.generate_key() + b"\n"
    key.write_bytes(new + old)
    with opened(settings_in(tmp_path)) as gateway:
        assert secrets_of(gateway) == [secret]
    key.write_bytes(new)
    with opened(settings_in(tmp_path)) as gateway:
        assert secrets_of(gateway) == [secret]
    key.write_bytes(old)
    with pytest.raises(SecretsKeyError, match="another key"), opened(settings_in(tmp_path)):
        pass


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [(b"", 0o600, "holds no keys"), (b"a key", 0o600, "holds no keys"), (Fernet.generate_key(), 0o640, "chmod 600")],
    ids=["empty", "no key", "open to others"],  # a key is another one each time
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes, mode: int, said: str) -> None:
    given = tmp_path / "given"
    given.write_bytes(content)
    given.chmod(mode)
    with pytest.raises(SecretsKeyError, match=said), opened(settings_in(tmp_path, webhook_keys=given)):
        pass


def test_where_the_key_is_lost_webhooks_are_forgotten(tmp_path: Path) -> None:
    with opened(settings_in(tmp_path)) as gateway:
        add(gateway)
    (tmp_path / "keys" / "webhook-keys").unlink()
    command = [sys.executable, "-m", "veracity_gateway", "webhooks", "forget", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "webhooks deleted, with their messages: 1\n"), done.stderr
    with opened(settings_in(tmp_path)) as gateway:
        assert gateway.webhooks.of("me") == []
        add(gateway)
        assert forget(gateway.database) == 1
