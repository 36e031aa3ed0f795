"""The embedded Triton: find it, start it, load and test its models, keep it alive, stop it.

From the command line down to the processes:

    commands      veracity analyze, serve and ready: arguments and exit codes
    foreground    serve(): a server in the foreground, until SIGINT or SIGTERM (signals)
    server        Server: the public class; start, stop, and the order of both
    supervisor    the thread that keeps tritonserver and its models alive, and drains them (drain)
    live          ends a tritonserver that hangs
    models        check and heal each model; its state and health (health), its old processes (orphans)
    lazy          the same for models that come when they are needed: who is in memory (residency), who holds whom
                  (lease_server); memory has the budget and the sizes
    loading       load and test a model, replace single processes of it (instances)
    smoke_test    whether a loaded model answers right; readiness does that to a server elsewhere
    control       gRPC to tritonserver: load, unload, statistics, probes

    process       one tritonserver: start, stop, why it did not start; its log (tritonlog)
    launch        its command line and environment; where it listens (sockets)
    proxy/         the proxy that has the ports (ports) at an address (address), and lets callers in
    reaper        the process between us and tritonserver, which leaves none behind when either dies
    rundir        the private directory of a run, and what crashed runs left
    binaries      where tritonserver comes from: pip's wheel or NVIDIA's image; backends/ is our part of it
    accelerators  whether it can serve TensorRT configurations
    repository    which models of the repository can be served

The names below are imported at their first use: the command line reads this package for every command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veracity.server.foreground import serve
    from veracity.server.health import ModelState
    from veracity.server.server import Server

__all__ = ["ModelState", "Server", "serve"]
HOMES = {"ModelState": "health", "Server": "server", "serve": "foreground"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
