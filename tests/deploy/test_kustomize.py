"""deploy/kustomize: what it makes is valid, and holds what our server and its settings want."""

import re

import dockerfiles
import kubernetes_validate
import pytest
import yaml
from rendered import CHOICES, DEPLOY, KUSTOMIZE, Object, container, kustomized, of_kind, pods

from veracity import __version__, cli
from veracity.settings import CHECKOUT, PREFIX, Settings
from veracity_client.errors import BadOption
from veracity_gateway.command import settings_from_env
from veracity_gateway.settings import PREFIX as GATEWAY_PREFIX
from veracity_gateway.settings import Settings as GatewaySettings

KUBERNETES = "1.34"
OTHERS = {"PodMonitor", "ScaledObject"}  # of operators: test_chart.py asks their own schemas
SECRET = "KEY:0123456789abcdef0123456789abcdef"  # in place of what Kubernetes reads of a Secret
TRITON_SECONDS = 30  # that a tritonserver may take to end


@pytest.fixture(params=CHOICES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return kustomized(request.param)


def test_it_is_valid(objects: list[Object]) -> None:
    for found in objects:
        if found["kind"] not in OTHERS:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


def test_what_is_not_valid_is_found() -> None:
    found = kustomized("cpu")[0]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**found, "replica": 2}, KUBERNETES, strict=True)


def test_pods_have_no_rights(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        spec = pod["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for one in (*spec.get("initContainers", []), *spec["containers"]):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, one["name"]
            assert {"cpu", "memory"} <= set(one["resources"]["limits"])
            assert {"cpu", "memory"} <= set(one["resources"]["requests"])


def test_pods_are_asked_and_drained(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        for one in pod["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(one), name
            variables = {each["name"]: each.get("value") for each in one["env"]}
            drain = float(variables.get("VERACITY_DRAIN_SECONDS") or 0) and (
                float(variables["VERACITY_DRAIN_SECONDS"] or 0) + TRITON_SECONDS
            )
            stop = one.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            assert float(stop[1]) + drain < pod["spec"]["terminationGracePeriodSeconds"]
    assert container(objects)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "10"]


def test_probes_ask_our_health_port_long_enough(objects: list[Object]) -> None:
    server = container(objects)
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    parsed = vars(cli.parser().parse_args(["serve", *server["args"]]))
    assert ports == {name: parsed[f"{name}_port"] for name in ("http", "grpc", "metrics", "health")}
    start = server["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 600
    assert start["httpGet"]["path"] == server["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"]["port"] == "health"


def test_what_is_written_to_is_there(objects: list[Object]) -> None:
    """The image's one writable place, and enough shared memory; with MPS NVIDIA's plug-in mounts that."""
    for name, pod in pods(objects):
        assert any(
            mount["mountPath"] == "/tmp" for one in pod["spec"]["containers"] for mount in one["volumeMounts"]
        ), name
    mounts = {mount["mountPath"] for mount in container(objects)["volumeMounts"]}
    shared = "nvidia.com/gpu.shared" in container(objects)["resources"]["limits"]
    assert "/dev/shm" in mounts or shared


def test_services_disruption_budget_and_policies_select_the_pods(objects: list[Object]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    selectors = {name: found["spec"]["selector"] for name, found in of_kind(objects, "Service").items()}
    for kind, key in (
        ("NetworkPolicy", "podSelector"),
        ("PodDisruptionBudget", "selector"),
        ("PodMonitor", "selector"),
    ):
        for name, found in of_kind(objects, kind).items():
            selectors[f"{kind} {name}"] = found["spec"][key]["matchLabels"]
    for name, selector in selectors.items():
        workload = name.split()[-1]
        chosen = [pod for pod, has in labels.items() if selector.items() <= has.items()]
        assert chosen == [workload], name
    assert {"veracity", "PodDisruptionBudget veracity"} <= set(selectors)
    assert {f"NetworkPolicy {name}" for name in labels} <= set(selectors), "every pod has a policy"


def test_policies_let_in_at_our_ports_alone(objects: list[Object]) -> None:
    policy = of_kind(objects, "NetworkPolicy")["veracity"]["spec"]
    let_in = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert let_in == {port["containerPort"] for port in container(objects)["ports"]}
    has_init = "initContainers" in of_kind(objects, "Deployment")["veracity"]["spec"]["template"]["spec"]
    assert bool(policy["egress"]) == has_init, "decoders read hostile files: nothing goes out"
    assert of_kind(objects, "Service")["veracity"]["spec"]["clusterIP"] == "None"


def test_images_are_of_our_version(objects: list[Object]) -> None:
    images = {
        one["image"]
        for _, pod in pods(objects)
        for one in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])
    }
    assert {image for image in images if image.startswith("veracity")} == {
        image for image in images if image.endswith(f":{__version__}")
    }
    assert f"veracity:{__version__}" in images


def variables(objects: list[Object], deployment: str, prefix: str) -> dict[str, str]:
    found = container(objects, deployment)["env"]
    return {one["name"]: str(one.get("value", SECRET)) for one in found if one["name"].startswith(prefix)}


def test_variables_are_settings(objects: list[Object]) -> None:
    settings = Settings.from_env(variables(objects, "veracity", PREFIX))
    assert settings.env == "production"
    assert settings.api_keys.get_secret_value() == SECRET
    if "veracity-gateway" in of_kind(objects, "Deployment"):
        given = variables(objects, "veracity-gateway", GATEWAY_PREFIX)
        assert {name.removeprefix(GATEWAY_PREFIX).lower() for name in given} <= set(GatewaySettings.model_fields)
        args = container(objects, "veracity-gateway")["args"]
        assert cli.parser().parse_args(["gateway", *args]).url[0].endswith("veracity:8001")
        init = of_kind(objects, "Deployment")["veracity-gateway"]["spec"]["template"]["spec"]["initContainers"][0]
        assert cli.parser().parse_args(["gateway", *init["args"]]).key_file


def test_no_variable_of_a_service_is_taken_for_a_setting(
    objects: list[Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERACITY_GATEWAY_PORT", "tcp://10.0.0.1:8080")  # of the service veracity-gateway
    with pytest.raises(BadOption, match="VERACITY_GATEWAY_PORT"):
        settings_from_env()
    for name, pod in pods(objects):
        assert pod["spec"]["enableServiceLinks"] is False, name


def test_overlays_differ_in_what_they_must() -> None:
    base = container(kustomized("cpu"))
    for kind, resource in {
        "gpu": "nvidia.com/gpu",
        "mig": "nvidia.com/mig-1g.10gb",
        "mps": "nvidia.com/gpu.shared",
        "time-slicing": "nvidia.com/gpu.shared",
    }.items():
        found = container(kustomized(kind))
        limits = found["resources"]["limits"]
        assert {name: limits[name] for name in limits if name not in base["resources"]["limits"]} == {resource: "1"}
        changed = {name for name in base if base[name] != found[name]}
        assert changed == ({"resources", "volumeMounts"} if kind == "mps" else {"resources"})
        template = of_kind(kustomized(kind), "Deployment")["veracity"]["spec"]
        assert template["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("name", ["mps", "time-slicing"])
def test_a_shared_gpu_is_what_the_plug_in_is_told_to_offer(name: str) -> None:
    values = yaml.safe_load((DEPLOY / "gpu-operator" / f"{name}.yaml").read_text())
    plugin = yaml.safe_load(values["devicePlugin"]["config"]["data"]["any"])
    (sharing,) = plugin["sharing"].values()
    assert sharing["renameByDefault"] is True, "the resource is called nvidia.com/gpu.shared"


def test_autoscaling_takes_over_the_number_of_replicas() -> None:
    for choice in ("all, HPA", "all, KEDA, TLS"):
        assert "replicas" not in of_kind(kustomized(choice), "Deployment")["veracity"]["spec"]


def test_the_adapter_has_a_rule_for_each_metric_of_the_autoscaler() -> None:
    hpa = of_kind(kustomized("all, HPA"), "HorizontalPodAutoscaler")["veracity"]["spec"]
    wanted = {metric[metric["type"].lower()]["metric"]["name"] for metric in hpa["metrics"]}
    rules = yaml.safe_load((DEPLOY / "prometheus-adapter.yaml").read_text())["rules"]
    assert wanted == {rule["name"]["as"] for kind in ("custom", "external") for rule in rules[kind]}


def test_every_folder_is_tried() -> None:
    folders = {folder.name for part in ("overlays", "components") for folder in (KUSTOMIZE / part).iterdir()}
    tried = {name for choice in CHOICES.values() for name in (choice.overlay, *choice.components)}
    assert folders - tried == {"accelerated"}, "the overlays of GPUs have it"


def test_the_claim_is_filled_by_what_the_image_has() -> None:
    """The init container's program is that of the stage `models`."""
    stages = {stage.name: stage for stage in dockerfiles.read(CHECKOUT / "Dockerfile.triton")[1]}
    (init,) = of_kind(kustomized("models on a volume"), "Deployment")["veracity"]["spec"]["template"]["spec"][
        "initContainers"
    ]
    assert init["command"] == ["/opt/export/bin/veracity", "install"]
    assert any("/opt/export/bin/pip install" in step and "-e ." in step for _, step in stages["models"].steps)
    assert re.fullmatch(r"veracity-models:.*", init["image"])
