"""Keys and certificates to sign models with, as an operator has them: PEM files."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID


def key_pair(folder: Path, name: str, password: str = "") -> tuple[Path, Path]:
    """Write NAME.pem and NAME.pub; returns both."""
    return _write(folder, name, ec.generate_private_key(ec.SECP256R1()), password)


def certified_key(folder: Path, name: str, *, for_signing: bool = True) -> tuple[Path, Path, Path]:
    """Write a private key, its certificate and that of the authority; returns the three."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("authority", authority.public_key(), "authority", authority, authority_itself=True)
    leaf = _certificate(name, own.public_key(), "authority", authority, for_signing=for_signing)
    key, _ = _write(folder, name, own)
    files = folder / f"{name}.crt", folder / f"{name}-authority.crt"
    for file, certificate in zip(files, (leaf, root)):
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return key, *files


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, password: str = "") -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    locked: KeySerializationEncryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def _certificate(
    name: str,
    key: ec.EllipticCurvePublicKey,
    by: str,
    with_key: ec.EllipticCurvePrivateKey,
    *,
    authority_itself: bool = False,
    for_signing: bool = True,
) -> x509.Certificate:
    now = datetime.now(timezone.utc)
    usage = x509.KeyUsage(
        digital_signature=for_signing and not authority_itself, key_cert_sign=authority_itself, crl_sign=False,
        content_commitment=False, key_encipherment=False, data_encipherment=not for_signing, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(_named(by)).public_key(key)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    made = made.not_valid_after(now + timedelta(days=1)).add_extension(usage, critical=True)
    made = made.add_extension(x509.BasicConstraints(ca=authority_itself, path_length=None), critical=True)
    return made.sign(with_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
