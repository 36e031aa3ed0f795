"""LitServe: a worker for each network, which makes batches of the requests; limits and waits are our Triton's."""

from __future__ import annotations

from collections.abc import Sequence

import litserve
from starlette.responses import Response

from benchmarks.peers.arrays import Arrays, items, joined, packed, unpacked
from benchmarks.peers.networks import load
from benchmarks.peers.service import BINARY, FIELD, arguments
from veracity.catalog import MODELS
from veracity.settings import Settings


class Api(litserve.LitAPI):
    """One network, at ``/MODEL``."""

    def __init__(self, model: str) -> None:
        batching = MODELS[model].batching
        super().__init__(max_batch_size=batching.max_batch, batch_timeout=batching.delay_us / 1e6, api_path=f"/{model}")
        self.model = model

    def setup(self, device: str) -> None:  # noqa: ARG002, D102  LitServe's
        self.net = load(self.model, Settings.from_env())

    def decode_request(self, request) -> Arrays:  # type: ignore[no-untyped-def]  # noqa: ANN001, D102
        return unpacked(request[FIELD].file.read())

    def batch(self, inputs: Sequence[Arrays]) -> Arrays:  # noqa: D102
        return joined(inputs)

    def predict(self, x: Arrays) -> Arrays:  # noqa: D102
        return self.net(x)

    def unbatch(self, output: Arrays) -> list[Arrays]:  # noqa: D102
        return items(output)

    def encode_response(self, output: Arrays):  # type: ignore[no-untyped-def]  # noqa: ANN201, D102
        return Response(packed(output), media_type=BINARY)


if __name__ == "__main__":
    args = arguments(__doc__)
    server = litserve.LitServer([Api(model) for model in args.models], accelerator="cpu", timeout=False)
    server.run(host="127.0.0.1", port=args.port, num_api_servers=1, log_level="warning", generate_client_file=False)
