"""Videos per second at rising concurrency, by NVIDIA's perf_analyzer.

python examples/perf_analyzer.py clip.mp4 [localhost:8001] [--concurrency 1:4] [--requests 24]

pip install 'perf-analyzer>=2' wants glibc 2.38 or newer (Ubuntu 24.04); elsewhere name the program in PERF_ANALYZER.
"""

import argparse
import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path


def element(content: bytes) -> dict[str, object]:
    """One BYTES element as perf_analyzer reads it: length and content, base64."""
    return {"content": {"b64": base64.b64encode(struct.pack("<I", len(content)) + content).decode()}, "shape": [1]}


def main(clip: Path, url: str, concurrency: str, requests: int) -> int:
    """Run perf_analyzer on one clip; its table goes to standard output."""
    options = json.dumps({"policy": "exhaustive"}).encode()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "input.json"
        data.write_text(json.dumps({"data": [{"VIDEO": element(clip.read_bytes()), "OPTIONS": element(options)}]}))
        command = [
            os.environ.get("PERF_ANALYZER", "perf_analyzer"), "-m", "deepfake_detector", "-i", "grpc", "-u", url,
            "--input-data", str(data), "--concurrency-range", concurrency, "--measurement-mode", "count_windows",
            "--measurement-request-count", str(requests), "--max-trials", "3", "--stability-percentage", "50",
        ]  # fmt: skip
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("url", nargs="?", default="localhost:8001")
    parser.add_argument("--concurrency", default="1:4", help="start:end of videos under way at one time")
    parser.add_argument("--requests", type=int, default=24, help="videos per measurement")
    args = parser.parse_args()
    sys.exit(main(args.clip, args.url, args.concurrency, args.requests))
