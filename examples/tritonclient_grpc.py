"""NVIDIA's tritonclient over gRPC, without our client: pip install 'tritonclient[grpc]'.

python examples/tritonclient_grpc.py clip.mp4 [localhost:8001]
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton


def tensor(name: str, content: bytes) -> triton.InferInput:
    """One BYTES element of shape [1, 1]: a batch of one video."""
    found = triton.InferInput(name, [1, 1], "BYTES")
    found.set_data_from_numpy(np.array([[content]], dtype=object))
    return found


def main(clip: str, url: str = "localhost:8001") -> None:
    """Print the verdict."""
    options = json.dumps({"policy": "exhaustive"}).encode()
    with triton.InferenceServerClient(url) as client:
        result = client.infer(
            "deepfake_detector",
            [tensor("VIDEO", Path(clip).read_bytes()), tensor("OPTIONS", options)],
            client_timeout=300,
        )
    verdict = json.loads(result.as_numpy("VERDICT").item())
    print(f"{verdict['label']}  P(fake) {verdict['fake_probability']}")
    print(verdict["reasoning"])


if __name__ == "__main__":
    main(*sys.argv[1:])
