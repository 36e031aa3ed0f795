"""Signatures of model folders, made and checked by OpenSSF's model-signing: ``model.sig`` beside ``config.pbtxt``.

A signature names every file of the folder with its sha256. The package comes with ``veracity[signing]``, and is
imported when it is needed: a server that asks for no signatures does without.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veracity.install.advice import extra
from veracity.install.files import WeightsError, sha256
from veracity_client.errors import BadOption, ServerUnavailable

if TYPE_CHECKING:
    from model_signing.hashing import Config as HashingConfig
    from model_signing.verifying import Config

SIGNATURE = "model.sig"
SETTING = "VERACITY_MODEL_SIGNER"


@dataclass(frozen=True)
class Key:
    """What signs: a private key of an elliptic curve, PEM, and its certificates if it has some."""

    private: Path
    password: str | None = None
    certificate: Path | None = None
    chain: Sequence[Path] = ()


def sign(folder: Path, key: Key) -> None:
    """Sign a model's folder, without Python's caches.

    Raises :class:`BadOption` for a key that is none, :class:`WeightsError` for a folder that cannot be signed.
    """
    try:
        from model_signing import signing
    except ImportError as error:
        raise WeightsError(_needed(error)) from None
    config = signing.Config()
    try:
        if key.certificate is None:
            config.use_elliptic_key_signer(private_key=key.private, password=_secret(key.password))
        else:
            chain = key.chain or [key.certificate]  # it takes no empty one
            config.use_certificate_signer(
                private_key=key.private, signing_certificate=key.certificate, certificate_chain=chain
            )
    except (OSError, ValueError, TypeError) as error:
        raise BadOption(f"{key.private} cannot sign: {_line(error)}") from None
    config.set_hashing_config(_hashing())
    part = folder.parent / f".{folder.name}.{SIGNATURE}"
    try:
        _clear(folder)
        config.sign(folder, part)
        part.replace(folder / SIGNATURE)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder.name} is not signed: {_line(error)}") from None
    finally:
        part.unlink(missing_ok=True)


class Signer:
    """Whose signatures count: a public key, or certificates of an authority, in a PEM file.

    Raises :class:`BadOption` for another file, :class:`ServerUnavailable` where the package is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            import model_signing.verifying  # noqa: F401
        except ImportError as error:
            raise ServerUnavailable(f"{SETTING}: {_needed(error)}") from None
        self._path = path
        self._verifier()

    def error(self, folder: Path) -> str:
        """Return why a model's folder is not what was signed, by the names of its files; empty where it is.

        Python's caches are taken out of it, as Triton's processes would run them in place of what was signed.
        """
        signature = folder / SIGNATURE
        if not signature.is_file():
            return f"{SIGNATURE} is missing: {folder.name} was not signed"
        try:
            with suppress(OSError):  # read-only: they are refused like any other file
                _clear(folder)
            self._verifier().verify(folder, signature)
            signed = _statement(signature)
        except Exception as error:  # whatever the file holds, and whichever of four libraries finds fault with it
            return f"{SIGNATURE}: {_why(error, folder)}"
        name = str(signed["subject"][0]["name"])  # the library takes a model for another whose files are the same
        return "" if name == folder.name else f"{SIGNATURE} is that of {name}, not of {folder.name}"

    def _verifier(self) -> Config:
        """Return what checks one folder, with no file left out."""
        from model_signing.verifying import Config

        found = Config().set_hashing_config(_hashing())
        try:
            if b"BEGIN CERTIFICATE" in self._path.read_bytes():
                return found.use_certificate_verifier(certificate_chain=[self._path])
            return found.use_elliptic_key_verifier(public_key=self._path)
        except OSError as error:
            raise BadOption(f"{SETTING}: {self._path} cannot be read: {error.strerror}") from None
        except (ValueError, AttributeError) as error:  # no PEM, or a key of another kind
            raise BadOption(
                f"{SETTING}: {self._path} has neither a public key of a NIST curve nor certificates: {_line(error)}"
            ) from None


def _needed(error: ImportError) -> str:
    return f"signatures need the package {error.name}: {extra('signing')}"


def _clear(folder: Path) -> None:
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)


def _hashing() -> HashingConfig:
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _statement(signature: Path) -> dict[str, Any]:
    """Return what a signature says, which is worth nothing before it was verified."""
    envelope = json.loads(signature.read_text("utf-8"))["dsseEnvelope"]
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return found


def _why(error: Exception, folder: Path) -> str:
    if type(error).__name__ == "InvalidSignature":  # of cryptography, without words
        return "it was changed, or made by another key"
    if isinstance(error, (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError)):
        return f"it is damaged ({type(error).__name__})"
    if str(error).startswith("Signature mismatch"):
        return _differences(folder)
    return _line(error)


def _differences(folder: Path) -> str:
    """Say in words which files are not those that a verified signature names; the library prints bytes."""
    signed = {one["name"]: one["digest"] for one in _statement(folder / SIGNATURE)["predicate"]["resources"]}
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    del there[SIGNATURE]
    changed = [name for name in sorted(signed.keys() & there) if sha256(there[name]) != signed[name]]
    words = [
        *(f"{name} is not the file that was signed" for name in changed),
        *(f"{name} was not signed: take it out" for name in sorted(there.keys() - signed)),
        *(f"{name} is missing" for name in sorted(signed.keys() - there)),
    ]
    return "; ".join(words)


def _secret(password: str | None) -> Any:
    return None if password is None else password.encode()  # the library hands it on to one that wants bytes


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
