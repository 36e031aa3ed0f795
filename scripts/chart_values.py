"""Brings our settings into the chart's values.schema.json, and its values into its README.

python scripts/chart_values.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic_settings import BaseSettings

from veracity.settings import CHECKOUT, Settings, key
from veracity_gateway.settings import Settings as GatewaySettings

CHART = CHECKOUT / "deploy" / "helm" / "veracity"
SCHEMA, README, VALUES = CHART / "values.schema.json", CHART / "README.md", CHART / "values.yaml"
# What the chart sets by other values, what would be a secret in plain sight, and what an image decides.
NOT_SERVER = {
    "model_repository", "weights", "mirror", "triton", "ffmpeg", "api_keys", "api_keys_file", "insecure", "tls_cert",
    "tls_key", "tls_client_ca", "model_signer",
}  # fmt: skip
NOT_GATEWAY = {"host", "port", "urls", "server_api_key", "data", "database", "jobs_at_once", "signing_key"}
KEPT = ("type", "enum", "minimum", "exclusiveMinimum")
TABLE = re.compile(r"(?<=\| value \| default \| what it is \|\n\|---\|---\|---\|\n).*?(?=\n\n)", re.S)


def main() -> int:
    """Write both files; with ``--check`` return 1 where one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    args = parser.parse_args()
    found = made()
    stale = [path for path, text in found.items() if path.read_text("utf-8") != text]
    if args.check:
        sys.stderr.write("".join(f"{path.name} is out of date: make schema\n" for path in stale))
        return int(bool(stale))
    for path in stale:
        path.write_text(found[path], "utf-8")
    return 0


def made() -> dict[Path, str]:
    """Return what the files should hold."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    parts = schema["properties"]
    parts["settings"]["properties"] = settings(Settings, NOT_SERVER, key)
    parts["gateway"]["properties"]["settings"]["properties"] = settings(GatewaySettings, NOT_GATEWAY, str)
    rows = "\n".join(table(schema, yaml.safe_load(VALUES.read_text("utf-8"))))
    return {
        SCHEMA: json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        README: TABLE.sub(lambda _: rows, README.read_text("utf-8")),
    }


def settings(of: type[BaseSettings], left_out: set[str], named: Callable[[str], str]) -> dict[str, Any]:
    """Return a JSON schema of each setting."""
    schemas = of.model_json_schema(by_alias=False)["properties"]
    return {
        named(name): {**_one(schemas[name]), "description": field.description}
        for name, field in of.model_fields.items()
        if name not in left_out
    }


def _one(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kind of a setting; where it may be absent as well, that is by leaving it out."""
    first = schema.get("anyOf", [schema])[0]
    return {"type": "string", **{name: first[name] for name in KEPT if name in first}}


def table(schema: Mapping[str, Any], values: Mapping[str, Any], path: str = "") -> list[str]:
    """Return the rows of the README: of each value its name, its default and what it is."""
    rows = []
    for name, part in schema["properties"].items():
        if "properties" in part and name != "settings":
            rows += table(part, values[name], f"{path}{name}.")
        else:
            rows.append(f"| `{path}{name}` | {_shown(values[name])} | {part['description']} |")
    return rows


def _shown(value: Any) -> str:
    if value in ("", {}, []):
        return "–"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    sys.exit(main())
