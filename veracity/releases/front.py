"""The proxy before the servers of several releases: who gets which share of the requests, changed while it runs.

It is the proxy of one server, with the same keys and limits, but that its addresses lead to other proxies' ports. Envoy
reads routes and clusters from files and reads them again when they are replaced; requests under way are not touched.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veracity.releases.store import State, write
from veracity.server.heals import Heals
from veracity.server.ports import Ports
from veracity.server.proxy.access import Access
from veracity.server.proxy.envoy import Config
from veracity.server.proxy.limits import Limits
from veracity.server.proxy.process import Proxy
from veracity.server.proxy.routes import TYPE
from veracity.server.sockets import Sockets

CLUSTERS = "clusters.json"  # a file beside the configuration; a port's routes are in one of its own
HEADER = "x-veracity-release"  # of each answer: who gave it
PARTS = 10_000  # a share is so many of them
TRIED = ("infer", "ModelInfer")  # of an address: others always lead to the current release
PORT_OF = {"http": "http", "grpc": "grpc", "streams": "grpc", "metrics": "metrics", "health": "health"}

Addresses = Mapping[str, Mapping[str, tuple[str, int]]]
"""Release → endpoint → host and port."""


class Front(Proxy):
    """An Envoy in front of servers; :meth:`route` says where requests go."""

    def __init__(self, host: str, ports: Ports, access: Access, body: int, directory: Path, heals: Heals) -> None:
        sockets = Sockets(directory, "")
        super().__init__(host, ports, access, Limits(body), sockets, directory / "envoy.log", heals)
        self._tables: dict[str, Config] = {}

    def route(self, state: State, addresses: Addresses) -> None:
        """Send new requests where the state says; all its releases have ``addresses``. Raises OSError."""
        clusters = [
            _cluster(self._clusters[endpoint], f"{endpoint}@{release}", of[PORT_OF[endpoint]])
            for release, of in addresses.items()
            for endpoint in PORT_OF
        ]
        _put(self._directory / CLUSTERS, [{"@type": f"{TYPE}.config.cluster.v3.Cluster", **one} for one in clusters])
        for name, table in self._tables.items():
            routes = {"@type": f"{TYPE}.config.route.v3.RouteConfiguration", "name": name, **_routed(table, state)}
            _put(self._routes(name), [routes])

    def _routes(self, name: str) -> Path:
        return self._directory / f"routes-{name}.json"

    def _config(self, ports: Ports) -> Config:
        config = super()._config(ports)
        static = config["static_resources"]
        for listener in static["listeners"]:
            manager = listener["filter_chains"][0]["filters"][-1]["typed_config"]
            name = listener["name"]
            self._tables[name] = manager.pop("route_config")
            manager["rds"] = {"route_config_name": name, "config_source": _read(self._routes(name))}
        self._clusters = {one["name"]: one for one in static["clusters"]}
        static["clusters"] = [one for one in static["clusters"] if one["name"] not in PORT_OF]
        clusters = self._directory / CLUSTERS
        for file in (clusters, *map(self._routes, self._tables)):
            if not file.exists():  # an Envoy that died is started again with what was routed
                _put(file, [])
        return config | {"dynamic_resources": {"cds_config": _read(clusters)}}


def _put(path: Path, resources: list[Config]) -> None:
    write(path, json.dumps({"resources": resources}).encode())


def _read(path: Path) -> Config:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _cluster(own: Config, name: str, address: tuple[str, int]) -> Config:
    """Return a cluster as the proxy has it of its own sockets, with another endpoint."""
    host, port = address
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    assigned = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {**own, "name": name, "load_assignment": assigned}


def _routed(table: Config, state: State) -> Config:
    found = copy.deepcopy(table)
    for host in found["virtual_hosts"]:
        for route in host["routes"]:
            if "route" in route:
                _lead(route, state)
    return found


def _lead(route: Config, state: State) -> None:
    """Lead one address to the current release, and of analyses a share to the candidate, or a copy of each."""
    to: dict[str, Any] = route["route"]
    endpoint = to.pop("cluster")
    to["host_rewrite_literal"] = "localhost"  # the proxies behind are asked by this machine, whatever name callers use
    analyses = any(word in route["match"]["safe_regex"]["regex"] for word in TRIED)
    candidate = state.trying if analyses else None
    weights = {str(state.current): PARTS}
    if candidate and state.mode == "canary":
        weights = {str(state.current): PARTS - round(state.share * PARTS), candidate: round(state.share * PARTS)}
    to["weighted_clusters"] = {
        "clusters": [_weighted(endpoint, release, weight) for release, weight in weights.items()],
    }
    if candidate and state.mode == "shadow":
        part = {"default_value": {"numerator": round(state.share * PARTS), "denominator": "TEN_THOUSAND"}}
        mirror = {
            "cluster": f"{endpoint}@{candidate}",
            "runtime_fraction": part,
            "disable_shadow_host_suffix_append": True,
        }
        to["request_mirror_policies"] = [mirror]


def _weighted(endpoint: str, release: str, weight: int) -> Config:
    said = {"header": {"key": HEADER, "value": release}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {"name": f"{endpoint}@{release}", "weight": weight, "response_headers_to_add": [said]}
