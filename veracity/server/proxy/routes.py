"""The addresses that exist. The first that matches answers; what is not listed does not exist."""

from __future__ import annotations

import re
from typing import Any

from veracity.server.proxy.access import Access
from veracity.server.proxy.limits import ANSWER_SECONDS, JSON_BYTES, Limits
from veracity.server.sockets import GRPC_HEADER, HEADER
from veracity_client.errors import BadOption, TooLarge, Unauthorized, UnsupportedCodec, VeracityError

Route = dict[str, Any]
Headers = list[dict[str, Any]]

LITERAL = r"\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]"  # an address, which no foreign name can be made to stand for
OWN_NAMES = (r"localhost\.?", r"[a-z0-9.-]+\.localhost\.?")
TYPE = "type.googleapis.com/envoy"
SERVICE = "/inference.GRPCInferenceService/"
NAMELESS = ("ServerMetadata",)  # calls whose request has no model
NAMED = ("ModelReady", "ModelMetadata", "ModelInfer")
STREAMED = ("ModelStreamInfer",)
WITH_SECRET = ("ModelConfig", "ModelStatistics")  # of the groups that tritonserver closes; only about open models
HEALTH = ("ServerLive", "ServerReady")  # anybody may ask
ABOUT = "/health|/version|/metrics"
LENGTH, JSON_LENGTH = "content-length", "inference-header-content-length"

BAD_HOST = BadOption("this server is not known by that name; its operator lists names in VERACITY_HOSTS")
BAD_ORIGIN = BadOption("this server takes no requests from web pages")
COMPRESSED = UnsupportedCodec("requests are sent uncompressed")
NO_LENGTH = BadOption("a request says how long it is, in the header Content-Length")
LONG_JSON = TooLarge(f"the JSON of a request has at most {JSON_BYTES} bytes; send the video as binary data behind it")
NO_CERTIFICATE = Unauthorized("this server wants a certificate of its operator's authority")
NOT_FOUND = BadOption("this server has nothing at that address")


def too_large(limits: Limits) -> TooLarge:
    """Return the error for a request that is larger than the proxy takes."""
    return TooLarge(f"the request is larger than the {limits.body} bytes that this server takes")


def http(access: Access, limits: Limits, secret: str) -> list[Route]:
    """Return the addresses of the HTTP port."""
    models = "[^/]+" if access.models is None else "|".join(map(re.escape, access.models))
    model = rf"/v2/models/({models})(/versions/[0-9]+)?"
    infer, get, post = rf"{model}/infer", [_method("GET")], [_method("POST")]
    length, json = _at_most(LENGTH, limits.body), _at_most(JSON_LENGTH, JSON_BYTES)
    only_json = [_absent(JSON_LENGTH), _at_most(LENGTH, JSON_BYTES)]
    return [
        *refusals(access, "content-encoding"),
        _pass("/v2/health/(live|ready)", "http", get, open_to_all=True),
        _pass(rf"/v2|{model}(/ready)?", "http", get),
        _pass(rf"{model}/(config|stats)", "http", get, {HEADER: secret}),
        _pass(infer, "http", [*post, length, json]),
        _pass(infer, "http", [*post, *only_json]),
        _refuse(infer, NO_LENGTH, 411, [*post, _absent(LENGTH)]),
        _refuse(infer, LONG_JSON, 413, [*post, length]),
        _refuse(infer, too_large(limits), 413, post),
        _refuse(".*", NOT_FOUND, 404),
    ]


def grpc(access: Access, secret: str) -> list[Route]:
    """Return the calls of the gRPC port; which model a call names is seen by names.lua."""
    return [
        *refusals(access, "grpc-encoding"),
        _call(HEALTH, open_to_all=True, named=False),
        _call(NAMELESS, named=False),
        _call(NAMED),
        _call(STREAMED, cluster="streams"),
        _call(WITH_SECRET, {GRPC_HEADER: secret}),
        _refuse(".*", NOT_FOUND, 404),
    ]


def metrics(access: Access) -> list[Route]:
    """Return the one address of the metrics port."""
    return [
        *refusals(access, "content-encoding"),
        _pass("/metrics", "metrics", [_method("GET")]),
        _refuse(".*", NOT_FOUND, 404),
    ]


def health(access: Access) -> list[Route]:
    """Return the addresses of the health port. Whoever starts and stops servers asks the first two without a key."""
    get, known = [_method("GET")], access.tls is not None and access.tls.client_ca is not None
    return [
        *refusals(access, "content-encoding"),
        _pass("/health/(live|ready)", "health", get, open_to_all=True),
        _pass(ABOUT, "health", get, certified=known),
        *([_refuse(ABOUT, NO_CERTIFICATE, 401)] if known else []),
        _refuse(".*", NOT_FOUND, 404),
    ]


def refusals(access: Access, encoding: str) -> list[Route]:
    """Return what no address takes: foreign names, web pages (a browser on this machine brings both), compression."""
    names = "|".join((LITERAL, *OWN_NAMES, *map(re.escape, access.hosts)))
    foreign = {"name": ":authority", "string_match": _regex(f"(?i)({names})(:[0-9]+)?"), "invert_match": True}
    plain = {"name": encoding, "string_match": _regex("(?i)identity"), "invert_match": True}
    checks_host = access.keys is None or access.hosts  # a page that comes by a foreign name has no key
    return [
        *([_refuse(".*", BAD_HOST, 403, [foreign])] if checks_host else []),
        _refuse(".*", BAD_ORIGIN, 403, [{"name": "origin", "present_match": True}]),
        _refuse(".*", COMPRESSED, 415, [{"name": encoding, "present_match": True}, plain]),
    ]


def _pass(
    path: str,
    cluster: str,
    headers: Headers,
    added: dict[str, str] | None = None,
    *,
    open_to_all: bool = False,
    named: bool = False,
    certified: bool = False,
) -> Route:
    filters: dict[str, Any] = {}
    if open_to_all:
        filters["keys"] = {"@type": f"{TYPE}.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": True}
    if cluster == "grpc" and not named:
        filters["names"] = {"@type": f"{TYPE}.extensions.filters.http.lua.v3.LuaPerRoute", "disabled": True}
    certificate = {"tls_context": {"presented": True, "validated": True}} if certified else {}
    return {
        "match": _match(path, headers) | certificate,
        "route": {"cluster": cluster, "timeout": f"{ANSWER_SECONDS}s"},
        "typed_per_filter_config": filters,
        "request_headers_to_add": [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in (added or {}).items()
        ],
    }


def _call(
    names: tuple[str, ...],
    added: dict[str, str] | None = None,
    *,
    cluster: str = "grpc",
    open_to_all: bool = False,
    named: bool = True,
) -> Route:
    path = rf"{re.escape(SERVICE)}({'|'.join(names)})"
    return _pass(path, cluster, [_method("POST")], added, open_to_all=open_to_all, named=named)


def _refuse(path: str, error: VeracityError, status: int, headers: Headers | None = None) -> Route:
    body = {"inline_string": error.to_wire()}
    return {"match": _match(path, headers or []), "direct_response": {"status": status, "body": body}}


def _match(path: str, headers: Headers) -> dict[str, Any]:
    return {"safe_regex": _regex(path)["safe_regex"], "headers": headers}


def _method(name: str) -> dict[str, Any]:
    return {"name": ":method", "string_match": {"exact": name}}


def _absent(header: str) -> dict[str, Any]:
    return {"name": header, "present_match": False}


def _at_most(header: str, limit: int) -> dict[str, Any]:
    """Match one number from 0; two headers of one name are one text with a comma, which is no number."""
    return {"name": header, "range_match": {"start": 0, "end": limit + 1}}


def _regex(pattern: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": pattern}}
