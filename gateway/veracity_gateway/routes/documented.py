"""What FastAPI cannot see of the bodies that are read as they come: their parts, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from veracity_client.options import Priority
from veracity_client.verdict import LayerName, OperatingPoint, Policy, Verdict
from veracity_gateway.routes.shown import Problem

OPTIONS: dict[str, Any] = {
    "policy": {"type": "string", "enum": list(get_args(Policy)), "default": "fail_fast"},
    "operating_point": {"type": "string", "enum": list(get_args(OperatingPoint)), "default": "balanced"},
    "priority": {
        "type": "string",
        "enum": list(get_args(Priority)),
        "default": "interactive",
        "description": "bulk waits while somebody waits whose request is interactive",
    },
    "audio_track": {"type": "integer", "minimum": 0},
    "video_track": {"type": "integer", "minimum": 0},
    "deadline_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 3600, "default": 300},
    "explain": {"type": "boolean", "default": False, "description": "add pictures of what the models reacted to"},
    "keep_media": {"type": "boolean", "default": False, "description": "keep the file after the verdict"},
}
LAYERS = list(get_args(LayerName))
ONE = f"({'|'.join(LAYERS)})"
AS_TEXT = {"layers": {"type": "string", "pattern": f"^{ONE}(,{ONE})*$", "example": "audio,visual"}}
AS_LIST = {"layers": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": LAYERS}}}
FILE = {"type": "string", "format": "binary"}
VERDICT = {"$ref": "#/components/schemas/Verdict"}
URL = {"type": "string", "format": "uri", "example": "https://example.org/clip.mp4"}


def _multipart(video: dict[str, Any]) -> dict[str, Any]:
    properties = {"video": video, **OPTIONS, **AS_TEXT}
    schema = {"type": "object", "required": ["video"], "properties": properties, "additionalProperties": False}
    return {"schema": schema}


_JSON = {
    "schema": {
        "type": "object",
        "required": ["video_url"],
        "properties": {"video_url": URL, **OPTIONS, **AS_LIST},
        "additionalProperties": False,
    },
    "example": {"video_url": "https://example.org/clip.mp4", "policy": "exhaustive"},
}


def _body(*, several: bool = False, url: bool = True) -> dict[str, Any]:
    video = {"type": "array", "minItems": 1, "maxItems": 100, "items": FILE} if several else FILE
    content = {"multipart/form-data": _multipart(video)} | ({"application/json": _JSON} if url else {})
    return {"requestBody": {"required": True, "content": content}}


ANALYZE = _body()
BATCH = _body(several=True, url=False)
PREDICT = _body() | {
    "responses": {"200": {"description": "The verdict", "content": {"application/json": {"schema": VERDICT}}}}
}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
ANY_ERROR: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request's error, as RFC 9457 says", "content": PROBLEM},
    "5XX": {"description": "The gateway's or the servers' error, in the same form", "content": PROBLEM},
}


def _bytes(kind: str) -> dict[str, Any]:
    return {"description": "The file", "content": {kind: {"schema": FILE}}}


EVENT = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "a number; the next request's Last-Event-ID"},
        "event": {"type": "string", "enum": ["state", "stage", "end"]},
        "data": {"type": "string", "description": "JSON: a state, or what a stage says"},
    },
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What happens, until the job ends: each event as this says",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}
MEDIA: dict[int | str, dict[str, Any]] = {
    200: _bytes("application/octet-stream"),
    206: _bytes("application/octet-stream"),
}

PART = {"requestBody": {"required": True, "content": {"application/offset+octet-stream": {"schema": FILE}}}}


def _header(type_: str, text: str) -> dict[str, Any]:
    return {"schema": {"type": type_}, "description": text}


_TUS_HEADERS = {
    "Tus-Version": _header("string", "the versions of tus"),
    "Tus-Extension": _header("string", "the extensions of tus"),
    "Tus-Max-Size": _header("integer", "the largest file, in bytes"),
    "Tus-Checksum-Algorithm": _header("string", "what Upload-Checksum may name"),
    "Tus-Resumable": _header("string", "the version of tus: 1.0.0"),
    "Upload-Offset": _header("integer", "how many bytes are there"),
    "Upload-Length": _header("integer", "how many bytes the file has"),
    "Upload-Expires": _header("string", "when an upload that is not complete is deleted"),
    "Location": _header("string", "where the upload goes on"),
}


TUS_VERSION = {
    "name": "Tus-Resumable",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": ["1.0.0"]},
}


def tus(status: int, description: str, *names: str) -> dict[int | str, dict[str, Any]]:
    """Return what documents an answer that is made of headers."""
    headers = {name: _TUS_HEADERS[name] for name in ("Tus-Resumable", *names)}
    return {status: {"description": description, "headers": headers}}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the verdict's and the error's schemas and tus' version, and take out the errors that FastAPI would give."""
    _, found = msgspec.json.schema_components([Verdict], ref_template="#/components/schemas/{name}")
    document["servers"] = [{"url": "/", "description": "this gateway"}]
    schemas = document["components"]["schemas"]
    schemas |= _plain(found) | {"Problem": Problem.model_json_schema()}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            if path.startswith("/uploads") and method != "options":
                operation.setdefault("parameters", []).append(TUS_VERSION)
    return document


def _plain(schema: Any) -> Any:
    """Say of a tuple of one type how long it is: tools that make clients do not know ``prefixItems``."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (items := schema.get("prefixItems")) and all(item == items[0] for item in items):
        return {"type": "array", "items": _plain(items[0]), "minItems": len(items), "maxItems": len(items)}
    return {name: _plain(each) for name, each in schema.items()}
