"""C2PA's and IPTC's terms in plain English."""

from __future__ import annotations

import unicodedata
from typing import Any

LONGEST = 300  # characters kept of a text in the file
MOST = 50  # entries kept of a list in the file

# http://cv.iptc.org/newscodes/digitalsourcetype/ and, for the last two, http://c2pa.org/digitalsourcetype/
SOURCE_TYPES = {
    "trainedAlgorithmicMedia": "made by a generative model",
    "compositeWithTrainedAlgorithmicMedia": "partly made or edited by a generative model",
    "compositeSynthetic": "put together from parts, at least one of them synthetic",
    "algorithmicMedia": "made by an algorithm that was not trained on samples",
    "algorithmicallyEnhanced": "enhanced by an algorithm",
    "dataDrivenMedia": "made by a program from data",
    "virtualRecording": "recorded from a virtual scene",
    "digitalCapture": "captured by a camera or another sensor",
    "computationalCapture": "captured by a camera, several frames put together by its software",
    "compositeCapture": "put together from several captures",
    "negativeFilm": "scanned from a film negative",
    "positiveFilm": "scanned from a film positive",
    "print": "scanned from a print",
    "screenCapture": "recorded from a screen",
    "humanEdits": "edited by a person",
    "minorHumanEdits": "slightly edited by a person",
    "composite": "put together from several parts",
    "digitalCreation": "made by a person with software",
    "digitalArt": "made by a person with software",
    "softwareImage": "drawn by software",
    "empty": "an empty canvas",
    "trainedAlgorithmicData": "data made by a generative model",
}
GENERATIVE = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic")
CAPTURED = ("digitalCapture", "computationalCapture", "compositeCapture", "negativeFilm", "positiveFilm", "print")

ACTIONS = {
    "c2pa.created": "created",
    "c2pa.opened": "opened for editing",
    "c2pa.placed": "another file was placed in it",
    "c2pa.removed": "a part was removed",
    "c2pa.edited": "edited",
    "c2pa.edited.metadata": "its metadata was edited",
    "c2pa.adjustedColor": "colours were adjusted",
    "c2pa.color_adjustments": "colours were adjusted",
    "c2pa.changedSpeed": "its speed was changed",
    "c2pa.cropped": "cropped",
    "c2pa.resized": "resized",
    "c2pa.resized.proportional": "resized",
    "c2pa.orientation": "turned or mirrored",
    "c2pa.filtered": "a filter was applied",
    "c2pa.drawing": "drawn on",
    "c2pa.addedText": "text was added",
    "c2pa.dubbed": "dubbed",
    "c2pa.translated": "translated",
    "c2pa.converted": "converted to another format",
    "c2pa.transcoded": "encoded anew",
    "c2pa.trimmed": "shortened",
    "c2pa.repackaged": "packed anew, its content unchanged",
    "c2pa.published": "published",
    "c2pa.redacted": "a statement was taken out of its credentials",
    "c2pa.deleted": "a part was deleted",
    "c2pa.watermarked": "watermarked",
    "c2pa.watermarked.bound": "watermarked",
    "c2pa.watermarked.unbound": "watermarked",
    "c2pa.unknown": "something was done that the signer does not name",
}

# A code is looked up whole, then by what comes before its last dots.
PROBLEMS = {
    "assertion.dataHash.mismatch": "picture or sound was changed after signing",
    "assertion.bmffHash.mismatch": "picture or sound was changed after signing",
    "assertion.boxesHash.mismatch": "picture or sound was changed after signing",
    "assertion.boxesHash.unknownBox": "parts were added after signing",
    "assertion.collectionHash": "the files that were signed together are not as they were",
    "assertion.hashedURI.mismatch": "a signed statement was changed after signing",
    "assertion.missing": "a signed statement is missing",
    "assertion.undeclared": "there is a statement that was not signed",
    "assertion.inaccessible": "a statement lies elsewhere and was not asked for",
    "assertion.action": "the list of actions contradicts itself",
    "assertion.ingredient": "the account of an ingredient is damaged",
    "assertion": "a statement is damaged or not allowed",
    "hashedURI": "a part that is referred to is missing or was changed",
    "claim.hardBindings.missing": "the credentials are not bound to this content",
    "claim": "the claim is damaged or missing",
    "claimSignature.mismatch": "the signature does not fit what it signs",
    "claimSignature.missing": "the signature is missing",
    "claimSignature.outsideValidity": "the certificate was not valid when this was signed",
    "ingredient": "the credentials of an ingredient do not hold",
    "manifest.inaccessible": "the credentials lie elsewhere and were not asked for",
    "manifest": "the credentials are damaged or not well formed",
    "signingCredential.untrusted": "the signer is not on the list of known signers",
    "signingCredential.expired": "the signer's certificate had expired",
    "signingCredential.ocsp.revoked": "the signer's certificate was revoked",
    "signingCredential": "the signer's certificate may not sign content credentials",
    "timeStamp": "the time stamp does not hold",
    "algorithm": "the algorithm of the signature is not allowed",
    "cawg": "a person's or organisation's own statement does not hold",
}


def clean(value: Any) -> str:
    """Return a text of the file as one that can be shown: bounded, on one line, without control characters."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    shown = "".join(" " if c.isspace() else c for c in text[: 4 * LONGEST] if c.isspace() or _visible(c))
    shown = " ".join(shown.split())
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def cleaned(value: Any) -> str | None:
    """Return a text of the file, None where there is none."""
    return None if value is None else clean(value) or None


def source_type(value: Any) -> str | None:
    """Return the last part of a digital source type's address."""
    return None if value is None else clean(value).rstrip("/").rpartition("/")[2] or None


def problem(code: str) -> str:
    """Say what a validation code of C2PA means."""
    while code and code not in PROBLEMS:
        code = code.rpartition(".")[0]
    return PROBLEMS.get(code, "the credentials do not hold")


def _visible(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
