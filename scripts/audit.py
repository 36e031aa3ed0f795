"""Holds the locked packages against the advisories of osv.dev, by pip-audit; a part of ``make check``.

    python scripts/audit.py [LOCK...]

Exits with 1 for a known vulnerability that requirements/audit-ignore.toml does not name. Where osv.dev cannot be
reached it says that nothing was checked, and exits with 0: a machine without that network can still check everything
else. Packages whose marker excludes this Python are left out.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
from pathlib import Path

import httpx

from veracity.settings import CHECKOUT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REQUIREMENTS = CHECKOUT / "requirements"
LOCKS = [
    REQUIREMENTS / f"{name}.lock" for name in ("runtime", "image", "export", "dev", "build")
]  # they share versions
IGNORED = REQUIREMENTS / "audit-ignore.toml"
OSV = "https://api.osv.dev/v1/query"
PROBE_SECONDS, QUERY_SECONDS, ALL_SECONDS = 5, 15, 600


def main() -> int:
    """Audit; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("locks", nargs="*", type=Path, metavar="LOCK", default=LOCKS, help="instead of our own")
    parser.add_argument("--url", default=OSV, help="the source of advisories (default: %(default)s)")
    parser.add_argument("--ignored", type=Path, default=IGNORED, help="(default: requirements/audit-ignore.toml)")
    args = parser.parse_args()
    ignored = read_ignored(args.ignored)
    if why := unreachable(args.url):
        sys.stderr.write(f"audit: NOT CHECKED for known vulnerabilities: {args.url} cannot be reached ({why})\n")
        return 0
    return audit(args.locks, args.url, ignored)


def read_ignored(file: Path) -> list[str]:
    """Return the ids of the ignore list; exits with a line where an entry has not all of id, reason and date."""
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("ignore", [])
    for entry in entries:
        has = {name: type(value) for name, value in entry.items() if value}
        if has != {"id": str, "reason": str, "date": datetime.date}:
            sys.exit(f"audit: {file.name}: each entry has an id, a reason and a date, not {entry}")
    return [entry["id"] for entry in entries]


def unreachable(url: str) -> str:
    """Return why nothing answers at ``url``; empty where its answer is an advisory source's."""
    query = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "0"}
    try:
        httpx.post(url, json=query, timeout=PROBE_SECONDS).raise_for_status().json()
    except httpx.HTTPStatusError as error:
        return f"it answers {error.response.status_code}"
    except (httpx.HTTPError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def audit(locks: list[Path], url: str, ignored: list[str]) -> int:
    """Run pip-audit, which says what it finds, and refuses a lock without hashes."""
    options = ["--vulnerability-service", "osv", "--osv-url", url, "--timeout", str(QUERY_SECONDS)]
    options += ["--disable-pip", "--progress-spinner", "off", "--desc", "off"]
    options += [word for lock in locks for word in ("--requirement", str(lock))]
    options += [word for name in ignored for word in ("--ignore-vuln", name)]
    command = [sys.executable, "-W", "ignore", "-m", "pip_audit", *options]
    return subprocess.run(command, check=False, timeout=ALL_SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main())
