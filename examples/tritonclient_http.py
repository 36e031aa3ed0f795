"""NVIDIA's tritonclient over HTTP, without our client: pip install 'tritonclient[http]'.

python examples/tritonclient_http.py clip.mp4 [localhost:8000]
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton


def tensor(name: str, content: bytes) -> triton.InferInput:
    """One BYTES element of shape [1, 1], sent as binary after the JSON header."""
    found = triton.InferInput(name, [1, 1], "BYTES")
    found.set_data_from_numpy(np.array([[content]], dtype=object), binary_data=True)
    return found


def main(clip: str, url: str = "localhost:8000") -> None:
    """Print the verdict."""
    options = json.dumps({"policy": "exhaustive"}).encode()
    with triton.InferenceServerClient(url, network_timeout=300) as client:
        result = client.infer(
            "deepfake_detector", [tensor("VIDEO", Path(clip).read_bytes()), tensor("OPTIONS", options)]
        )
    verdict = json.loads(result.as_numpy("VERDICT").item())
    print(f"{verdict['label']}  P(fake) {verdict['fake_probability']}")
    print(verdict["reasoning"])


if __name__ == "__main__":
    main(*sys.argv[1:])
