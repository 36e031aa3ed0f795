"""Ray Serve: a replica of each network, which makes batches of the requests; sizes and waits are our Triton's."""

from __future__ import annotations

import signal

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peers.arrays import Arrays, items, joined, packed, unpacked
from benchmarks.peers.networks import THREADS, load
from benchmarks.peers.service import BINARY, FIELD, LONGEST, arguments
from veracity.catalog import MODELS
from veracity.settings import Settings


class Replica:
    """One network."""

    def __init__(self, model: str) -> None:
        self.net = load(model, Settings.from_env())
        self.run.set_max_batch_size(MODELS[model].max_batch)
        self.run.set_batch_wait_timeout_s(MODELS[model].batching.delay_us / 1e6)

    async def __call__(self, request: Request) -> Response:
        """Answer a form with one item."""
        item = (await request.form())[FIELD]
        if isinstance(item, str):
            return Response(f"{FIELD} is text and no file", 400)
        return Response(packed(await self.run(unpacked(await item.read()))), media_type=BINARY)

    @serve.batch
    async def run(self, requests: list[Arrays]) -> list[Arrays]:
        """Run a batch of those that came meanwhile."""
        return items(self.net(joined(requests)))


ONGOING = 128  # requests at once of a replica: Ray's own limit is 5, which no batch of ours would fit in
# Others' turns, in which all of its processes sleep, are no reason to replace a replica; nor is a full machine.
PATIENT = {"health_check_period_s": LONGEST, "health_check_timeout_s": LONGEST}
PATIENT_NODE = {"health_check_failure_threshold": 1000, "memory_monitor_refresh_ms": 0}


def deploy(models: list[str], port: int) -> None:
    """Serve the models, each at ``/MODEL``."""
    ray.init(num_cpus=THREADS, include_dashboard=False, log_to_driver=False, _system_config=PATIENT_NODE)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run_many([_target(model) for model in models])


def _target(model: str) -> serve.RunTarget:
    """A replica reserves no core, so that all have room; each uses all cores, as everybody's networks do here."""
    options = {"ray_actor_options": {"num_cpus": 0}, "max_ongoing_requests": ONGOING, **PATIENT}
    return serve.RunTarget(serve.deployment(**options)(Replica).bind(model), name=model, route_prefix=f"/{model}")


if __name__ == "__main__":
    args = arguments(__doc__)
    deploy(args.models, args.port)
    try:
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()
