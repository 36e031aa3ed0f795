"""Envoy's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from veracity.catalog.serving import ARRIVED, CALLER_TRACE
from veracity.server.ports import Ports
from veracity.server.proxy import limits, routes
from veracity.server.proxy.access import Access, Tls
from veracity.server.proxy.limits import Limits
from veracity.server.proxy.routes import TYPE, Route
from veracity.server.sockets import Sockets
from veracity_client._address import API_KEY_HEADER
from veracity_client._grpc import TRITON_KEY_PREFIX
from veracity_client.errors import AnalysisTimeout, BadOption, Overloaded, ServerUnavailable, VeracityError

Config = dict[str, Any]

NAMES = Path(__file__).with_name("names.lua")
KEYS, CERTIFICATE, CLIENT_CA = "keys", "certificate.json", "client-ca.json"  # files beside the configuration
GRPC_STATUS = {"TooLarge": "8", "BadOption": "3", "UnsupportedCodec": "12", "AnalysisTimeout": "4"}
STARTING = ServerUnavailable("the server is starting, or starts again; ask again in some seconds")
CROWDED = Overloaded("the server has as many requests as it takes; ask again later")
LATE = AnalysisTimeout("no answer in the time that this server allows")
SLOW = AnalysisTimeout("the request took too long to arrive")
UNREADABLE = BadOption("this is no request that the server can read")
HEADERS_TOO_LONG = BadOption("the headers of the request are too long")
AGAIN_SECONDS = "1"
AGAIN = f"""
function envoy_on_response(handle)
  if handle:headers():get(":status") == "503" then handle:headers():replace("retry-after", "{AGAIN_SECONDS}") end
end
"""
PATTERN_SIZE = 100_000  # of addresses, which are ours; as it comes Envoy starts with no more than a few open models
NO_ADDRESS = {"cidr_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 32}]}  # noqa: S104, of no caller


def bootstrap(address: str, ports: Ports, access: Access, limit: Limits, sockets: Sockets, directory: Path) -> Config:
    """Return the whole configuration. ``directory`` has the files that it names."""
    lists = {
        "http": routes.http(access, limit, sockets.secret),
        "grpc": routes.grpc(access, sockets.secret),
        "metrics": routes.metrics(access),
        "health": routes.health(access),
    }
    listeners = [
        _listener(name, address, port, access, _manager(name, lists[name], access, limit), directory)
        for name, port in ports._asdict().items()
    ]
    clusters = [
        _cluster("http", sockets.http),
        _cluster("metrics", sockets.metrics),
        _cluster("health", sockets.health),
        _cluster("grpc", sockets.grpc, http2=True),
        _cluster("streams", sockets.grpc, http2=True, requests=limits.OPEN_STREAMS),
        *([_cluster("keys", directory / KEYS)] if access.keys else []),
    ]
    node = {"id": "proxy", "cluster": "proxy"}  # Envoy wants names to read certificates from files that change
    runtime = {"layers": [{"name": "ours", "static_layer": {"re2.max_program_size.error_level": PATTERN_SIZE}}]}
    return {
        "node": node,
        "static_resources": {"listeners": listeners, "clusters": clusters},
        "layered_runtime": runtime,
    }


def _listener(name: str, address: str, port: int, access: Access, manager: Config, directory: Path) -> Config:
    chain: Config = {
        "filters": [
            _filter(
                "connections",
                "filters.network.connection_limit.v3.ConnectionLimit",
                {"stat_prefix": name, "max_connections": limits.CONNECTIONS},
            ),
            _filter(name, "filters.network.http_connection_manager.v3.HttpConnectionManager", manager),
        ],
        "transport_socket_connect_timeout": f"{limits.HEADERS_SECONDS}s",
    }
    if access.tls:
        protocols = ["h2"] if name == "grpc" else ["h2", "http/1.1"]
        chain["transport_socket"] = _tls(access.tls, protocols, directory, required=name != "health")
    return {
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "enable_reuse_port": False,  # else a second server could take the same port, and half of the callers
        "per_connection_buffer_limit_bytes": limits.BUFFER,
        "filter_chains": [chain],
    }


def _manager(name: str, addresses: list[Route], access: Access, limit: Limits) -> Config:
    is_grpc = name == "grpc"
    stamp = {"key": ARRIVED, "value": "%START_TIME(%s.%6f)%"}
    arrival = {"header": stamp, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    removed = [API_KEY_HEADER, "authorization", TRITON_KEY_PREFIX + API_KEY_HEADER]
    return {
        "stat_prefix": name,
        "codec_type": "HTTP2" if is_grpc else "AUTO",
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": True,
        "skip_xff_append": True,
        "internal_address_config": NO_ADDRESS,  # callers on this machine do not steer Envoy by headers either
        "generate_request_id": False,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "max_request_headers_kb": limits.HEADERS_KIB,
        "request_headers_timeout": f"{limits.HEADERS_SECONDS}s",
        "request_timeout": f"{limits.UPLOAD_SECONDS}s",
        "stream_idle_timeout": f"{limits.ANSWER_SECONDS}s",
        "common_http_protocol_options": {
            "idle_timeout": f"{limits.IDLE_SECONDS}s",
            **({"max_connection_duration": f"{limits.CONNECTION_SECONDS}s"} if is_grpc else {}),
            "max_headers_count": limits.HEADERS,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": limits.STREAMS,
            "initial_stream_window_size": limits.BUFFER,
            "initial_connection_window_size": 4 * limits.BUFFER,
        },
        "http_filters": [
            *([_keys()] if access.keys else []),
            *([_size(limit), _names(access)] if is_grpc else [_again()]),
            _filter("router", "filters.http.router.v3.Router", {"suppress_envoy_headers": True}),
        ],
        "local_reply_config": _replies(is_grpc, limit),
        "route_config": {
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": addresses}],
            "request_headers_to_remove": removed,
            "request_headers_to_add": [arrival],
        },
    }


def _keys() -> Config:
    wanted = {"patterns": [{"exact": API_KEY_HEADER, "ignore_case": True}]}
    service = {"server_uri": {"uri": "keys", "cluster": "keys", "timeout": "5s"}}
    options = {"transport_api_version": "V3", "http_service": service, "allowed_headers": wanted}
    return _filter("keys", "filters.http.ext_authz.v3.ExtAuthz", {**options, "status_on_error": {"code": 503}})


def _size(limit: Limits) -> Config:
    return _filter("size", "filters.http.body_size_limit.v3.BodySizeLimit", {"max_request_bytes": limit.body})


def _again() -> Config:
    """Return the filter that says when to ask again, where tritonserver's queues are full; it does not itself."""
    return _filter("again", "filters.http.lua.v3.Lua", {"default_source_code": {"inline_string": AGAIN}})


def _names(access: Access) -> Config:
    """Return the filter of names.lua, with its tables before it; names are quoted as JSON, which Lua reads as well."""
    models = "nil" if access.models is None else _table(dict.fromkeys(access.models, True))
    numbers = _table({"name": limits.NAMES_BYTES, "fields": limits.FIELDS})
    tables = f"OPEN, LIMITS, STATUS, TRACE = {models}, {numbers}, {_table(GRPC_STATUS)}, {json.dumps(CALLER_TRACE)}\n"
    code = {"inline_string": tables + NAMES.read_text(encoding="ascii")}
    return _filter("names", "filters.http.lua.v3.Lua", {"default_source_code": code})


def _table(values: dict[str, Any]) -> str:
    return "{" + ", ".join(f"[{json.dumps(key)}] = {json.dumps(value)}" for key, value in values.items()) + "}"


def _replies(is_grpc: bool, limit: Limits) -> Config:
    """Return how Envoy words what it says itself: as Triton does, with an error of ours."""
    body = "%LOCAL_REPLY_BODY%"
    text = {"text_format_source": {"inline_string": body}}
    return {
        "body_format": text if is_grpc else {"json_format": {"error": body}},
        "mappers": [
            _reply(_flags("UO"), CROWDED, 503),
            _reply(_flags("UT", "SI", "DT"), LATE, 504),
            _reply(_flags("UH", "UF", "UC", "UR", "LR"), STARTING, 503),
            _reply({"and_filter": {"filters": [_flags("UAEX"), _status(503)]}}, STARTING, 503),
            _reply(_status(400), UNREADABLE, 400),
            _reply(_status(408), SLOW, 408),
            _reply(_status(431), HEADERS_TOO_LONG, 431),
            *([_reply(_status(413), routes.too_large(limit), 413)] if is_grpc else []),
        ],
    }


def _reply(when: Config, error: VeracityError, status: int) -> Config:
    again = {"header": {"key": "retry-after", "value": AGAIN_SECONDS}}
    return {
        "filter": when,
        "status_code": status,
        "body": {"inline_string": error.to_wire()},
        "headers_to_add": [again] if status == 503 else [],
    }


def _flags(*flags: str) -> Config:
    return {"response_flag_filter": {"flags": list(flags)}}


def _status(code: int) -> Config:
    value = {"default_value": code, "runtime_key": f"none.{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _cluster(name: str, socket: Path, *, http2: bool = False, requests: int = limits.REQUESTS) -> Config:
    options = "extensions.upstreams.http.v3.HttpProtocolOptions"
    protocol: Config = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    most = dict.fromkeys(("max_connections", "max_requests", "max_pending_requests"), requests)
    return {
        "name": name,
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": limits.BUFFER,
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            f"envoy.{options}": {"@type": f"{TYPE}.{options}", "explicit_http_config": protocol}
        },
    }


def certificates(tls: Tls | None) -> dict[str, Config]:
    """Return, by the name of the file to be written beside the configuration, what Envoy reads of TLS.

    Envoy reads the certificates again when a file is moved into their directory.
    """
    if tls is None:
        return {}
    pair = {"certificate_chain": {"filename": str(tls.cert)}, "private_key": {"filename": str(tls.key)}}
    found = {CERTIFICATE: {"tls_certificate": {**pair, "watched_directory": {"path": str(tls.cert.parent)}}}}
    if tls.client_ca:
        ca = {"trusted_ca": {"filename": str(tls.client_ca)}, "watched_directory": {"path": str(tls.client_ca.parent)}}
        found[CLIENT_CA] = {"validation_context": ca}
    kind = f"{TYPE}.extensions.transport_sockets.tls.v3.Secret"
    return {name: {"resources": [{"@type": kind, "name": name, **secret}]} for name, secret in found.items()}


def _tls(tls: Tls, protocols: list[str], directory: Path, *, required: bool) -> Config:
    """Return the way to TLS. Where a caller's certificate is not ``required``, each route may want one."""

    def read(name: str) -> Config:
        source = {"path_config_source": {"path": str(directory / name)}, "resource_api_version": "V3"}
        return {"name": name, "sds_config": source}

    context: Config = {
        "alpn_protocols": protocols,
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificate_sds_secret_configs": [read(CERTIFICATE)],
    }
    if tls.client_ca:
        context["validation_context_sds_secret_config"] = read(CLIENT_CA)
    kind = "transport_sockets.tls.v3.DownstreamTlsContext"
    return _filter(
        "tls", kind, {"common_tls_context": context, "require_client_certificate": required and bool(tls.client_ca)}
    )


def _filter(name: str, kind: str, options: Config) -> Config:
    return {"name": name, "typed_config": {"@type": f"{TYPE}.extensions.{kind}", **options}}
