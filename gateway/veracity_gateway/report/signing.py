"""Ed25519 signatures. They are deterministic: the same report under the same key is signed with the same bytes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from veracity_gateway.private_files import read_private, write_new
from veracity_gateway.report.canonical import from_base64
from veracity_gateway.report.errors import SigningKeyError

ALGORITHM = "Ed25519"
PRIVATE, PUBLIC = "report-key.pem", "report-key.pub.pem"


@dataclass(frozen=True)
class Signature:
    """``public_key`` and ``value`` are base64; ``key_id`` is the sha256 of the public key's 32 bytes."""

    algorithm: str
    public_key: str
    key_id: str
    value: str

    def fault(self, signed: bytes) -> str | None:
        """Return why this does not sign these bytes; None where it does."""
        if self.algorithm != ALGORITHM:
            return f"the algorithm {self.algorithm} is not known, only {ALGORITHM} is"
        try:
            public = from_base64(self.public_key)
            key, value = Ed25519PublicKey.from_public_bytes(public), from_base64(self.value)
        except ValueError as error:
            return f"the signature is damaged: {error}"
        if self.key_id != key_id(public):
            return "the key id is not that of the key"
        try:
            key.verify(value, signed)
        except InvalidSignature:
            return "the report was changed after it was signed, or signed by another key"
        return None


def key_id(public: bytes) -> str:
    """Return how a public key is named: the sha256 of its 32 bytes."""
    return hashlib.sha256(public).hexdigest()


class SigningKey:
    """A private key. Its public half is what readers of reports should have from somewhere else than the report."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key()

    @classmethod
    def from_pem(cls, path: Path) -> SigningKey:
        """Read a private key (PKCS 8, not encrypted) that nobody else may read."""
        content = read_private(path, "signing key", SigningKeyError)
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise SigningKeyError(f"{path} is no private key in PEM form without a password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"{path} is a key of another kind than Ed25519")
        return cls(key)

    @classmethod
    def in_folder(cls, folder: Path) -> SigningKey:
        """Return the key of a folder; it is made, with its public half beside it, where there is none yet."""
        path = folder / PRIVATE
        try:
            if not path.exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_new(path, cls(Ed25519PrivateKey.generate()).private_pem())
            key = cls.from_pem(path)
            if not (folder / PUBLIC).exists():
                write_new(folder / PUBLIC, key.public_pem())
        except OSError as error:
            raise SigningKeyError(f"no signing key can be kept in {folder}: {error.strerror}") from None
        return key

    @property
    def id(self) -> str:
        """The name of the key."""
        return key_id(self._public.public_bytes_raw())

    def sign(self, content: bytes) -> Signature:
        """Sign these bytes."""
        public = base64.b64encode(self._public.public_bytes_raw()).decode()
        return Signature(ALGORITHM, public, self.id, base64.b64encode(self._key.sign(content)).decode())

    def private_pem(self) -> bytes:
        """Return the private key as PKCS 8."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> bytes:
        """Return the public half, to be published."""
        return self._public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_key_id(given: str) -> str:
    """Return the id of a public key that is given as a PEM file or by its id."""
    if len(given) == 64 and set(given.lower()) <= set("0123456789abcdef"):
        return given.lower()
    try:
        key = load_pem_public_key(Path(given).read_bytes())
    except OSError as error:
        raise SigningKeyError(f"the public key {given} cannot be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError(f"{given} is neither a public key in PEM form nor a key id of 64 hex digits") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError(f"{given} is a key of another kind than Ed25519")
    return key_id(key.public_bytes_raw())
