"""Certificates and content credentials (C2PA) made on the spot."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID, ObjectIdentifier

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Identity:
    """A certificate with its key and its issuer's certificate, all in PEM."""

    certificate: bytes
    key: bytes
    issuer: bytes

    @property
    def chain(self) -> bytes:
        return self.certificate + self.issuer


def authority(purpose: ObjectIdentifier, organisation: str, ocsp: str | None = None) -> Identity:
    """Make a certificate authority and a certificate of it; ``ocsp`` is where to ask whether it was revoked."""
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, leaf_name = _name("Example Root", organisation), _name("Example Signer", organisation)
    root = _draft(root_name, root_name, root_key.public_key(), root_key.public_key(), 365, ca=True).sign(
        root_key, hashes.SHA256()
    )
    draft = _draft(root_name, leaf_name, root_key.public_key(), leaf_key.public_key(), 30, ca=False)
    draft = draft.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    if ocsp:
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp))
        draft = draft.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    leaf = draft.sign(root_key, hashes.SHA256())
    key = leaf_key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(leaf.public_bytes(PEM), key, root.public_bytes(PEM))


def signer(organisation: str = "Example News", ocsp: str | None = None) -> Identity:
    """Make a certificate that may sign content credentials."""
    return authority(ExtendedKeyUsageOID.EMAIL_PROTECTION, organisation, ocsp)


def _name(common: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _draft(
    issuer: x509.Name,
    subject: x509.Name,
    issuer_key: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePublicKey,
    days: int,
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = {
        "content_commitment": False, "key_encipherment": False, "data_encipherment": False, "key_agreement": False,
        "encipher_only": False, "decipher_only": False,
    }  # fmt: skip
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def action(name: str, source_type: str | None = None, **more: Any) -> dict[str, Any]:
    """Return an action of a manifest."""
    return {"action": name, **({"digitalSourceType": IPTC + source_type} if source_type else {}), **more}


def sign(
    source: Path,
    target: Path,
    identity: Identity,
    actions: list[dict[str, Any]],
    *,
    remote_url: str | None = None,
    time_stamps: str | None = None,
    ingredient: Path | None = None,
) -> Path:
    """Sign ``source`` as ``target``; with ``remote_url`` the file holds only the address of its manifest."""
    manifest = {
        "claim_generator_info": [{"name": "Example Editor", "version": "1.2"}],
        "title": source.name,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }
    media = {".jpg": "image/jpeg", ".mp4": "video/mp4", ".png": "image/png"}[source.suffix]
    settings = {"version": 1, "verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"enabled": False}}}
    info = c2pa.C2paSignerInfo(
        alg=c2pa.C2paSigningAlg.ES256,
        sign_cert=identity.chain,
        private_key=identity.key,
        ta_url=time_stamps.encode() if time_stamps else None,
    )
    with c2pa.Context.from_dict(settings) as context, c2pa.Builder(json.dumps(manifest), context=context) as builder:
        if ingredient:
            with ingredient.open("rb") as stream:
                builder.add_ingredient(
                    json.dumps({"title": ingredient.name, "relationship": "componentOf"}), media, stream
                )
        if remote_url:
            builder.set_no_embed()
            builder.set_remote_url(remote_url)
        output = io.BytesIO()
        with source.open("rb") as stream, c2pa.Signer.from_info(info) as signing:
            builder.sign(signing, media, stream, output)
    target.write_bytes(output.getvalue())
    return target
