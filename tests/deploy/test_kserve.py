"""deploy/kserve: its pods are those of the base, at KServe's ports and with its models."""

from typing import Any

import kubernetes_validate
import yaml
from rendered import DEPLOY, container, kustomized, of_kind

from veracity import __version__, cli
from veracity.settings import Settings

KSERVE = DEPLOY / "kserve"
RUNTIME: dict[str, Any] = yaml.safe_load((KSERVE / "runtime.yaml").read_text())
SERVICE: dict[str, Any] = yaml.safe_load((KSERVE / "service.yaml").read_text())
KSERVES = ("model", "minReplicas", "maxReplicas", "autoScaling")  # in a predictor, beside the pod's specification


def test_together_they_are_a_valid_pod() -> None:
    pod = {name: value for name, value in SERVICE["spec"]["predictor"].items() if name not in KSERVES}
    spec = {**pod, "containers": RUNTIME["spec"]["containers"], "volumes": RUNTIME["spec"]["volumes"]}
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "veracity"}, "spec": spec}
    kubernetes_validate.validate(found, "1.34", strict=True)


def test_it_is_the_pod_of_the_base_but_for_ports_and_models() -> None:
    base, (own,) = container(kustomized("cpu")), RUNTIME["spec"]["containers"]
    for name in ("lifecycle", "securityContext", "volumeMounts"):
        assert own[name] == base[name]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert own[name]["httpGet"]["path"] == base[name]["httpGet"]["path"]
        assert {**own[name], "httpGet": 0} == {**base[name], "httpGet": 0}
    template = of_kind(kustomized("cpu"), "Deployment")["veracity"]["spec"]["template"]["spec"]
    predictor = SERVICE["spec"]["predictor"]
    for name in ("terminationGracePeriodSeconds", "enableServiceLinks", "automountServiceAccountToken"):
        assert predictor[name] == template[name]
    assert predictor["securityContext"].items() <= template["securityContext"].items()
    assert own["image"] == f"veracity:{__version__}"


def test_ports_and_settings_are_ours() -> None:
    (own,) = RUNTIME["spec"]["containers"]
    parsed = cli.parser().parse_args(["serve", *own["args"]])
    ports = {port["name"]: port["containerPort"] for port in own["ports"]}
    expected = {"http1": parsed.http_port, "h2c": parsed.grpc_port, "metrics": parsed.metrics_port}
    assert ports == {**expected, "health": parsed.health_port}
    variables = {one["name"]: one["value"] for one in own["env"] if "value" in one}
    settings = Settings.from_env(variables)
    assert str(settings.model_repository).startswith("/mnt/models/")
    assert str(settings.weights).startswith("/mnt/models/")


def test_the_service_asks_for_the_runtime() -> None:
    model = SERVICE["spec"]["predictor"]["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["modelFormat"]["name"] in [one["name"] for one in RUNTIME["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]


def test_the_cache_holds_what_the_service_asks_for() -> None:
    group, cache = yaml.safe_load_all((KSERVE / "cache.yaml").read_text())
    assert cache["spec"]["sourceModelUri"] == SERVICE["spec"]["predictor"]["model"]["storageUri"]
    assert cache["spec"]["nodeGroups"] == [group["metadata"]["name"]]
