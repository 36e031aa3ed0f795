"""``python -m veracity_gateway.provenance FILE`` prints what a file says of its origin, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from veracity_gateway.provenance.reader import read


def main() -> int:
    """Print it. The exit status is 1 where the file could not be read."""
    parser = argparse.ArgumentParser(prog="python -m veracity_gateway.provenance", description=__doc__)
    parser.add_argument("file", type=Path, help="a picture, a film or a sound")
    parser.add_argument("--seconds", type=float, default=20, help="how long reading it may take (default: 20)")
    given = parser.parse_args()
    try:
        found = read(given.file, seconds=given.seconds)
    except OSError as error:
        parser.error(f"{given.file}: {error.strerror}")
    sys.stdout.write(json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return 1 if found.state == "unreadable" else 0


if __name__ == "__main__":
    sys.exit(main())
