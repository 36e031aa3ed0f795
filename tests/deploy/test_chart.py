"""deploy/helm/veracity: it makes what kustomize makes, and refuses values that it does not have."""

import json
import runpy
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import node_packages
import pytest
import yaml
from rendered import CHART, CHOICES, NAMESPACE, Object, kustomized, normal

from veracity import __version__
from veracity.settings import CHECKOUT, Settings, key
from veracity_gateway.settings import Settings as GatewaySettings

Helm = Callable[..., "subprocess.CompletedProcess[str]"]
VALUES = runpy.run_path(str(CHECKOUT / "scripts" / "chart_values.py"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
FREE = {"podAnnotations", "nodeSelector", "requests", "limits"}  # names are the caller's there
WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "a value that does not exist": ({"replicaCount": 3}, "replicaCount"),
    "one of a part": ({"gateway": {"enable": True}}, "enable"),
    "a setting that does not exist": ({"settings": {"max_byte": 1}}, "max_byte"),
    "a setting of another kind": ({"settings": {"max_bytes": "many"}}, "max_bytes"),
    "another word": ({"accelerator": {"kind": "tpu"}}, "kind"),
    "no replica": ({"replicas": 0}, "replicas"),
    "a mirror without its address": ({"models": {"from": "mirror"}}, "mirror"),
    "a mirror with a password": ({"models": {"mirror": "https://me:secret@bucket"}}, "mirror"),
    "keys in plain sight": ({"settings": {"api_keys": "me:0123456789abcdef"}}, "api_keys"),
}


def objects_of(schema: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every schema of an object, with the name of the value."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield name, schema
        for found, part in schema.items():
            yield from objects_of(part, found)


def test_the_chart_is_of_our_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_schema_and_readme_are_up_to_date() -> None:
    for path, text in VALUES["made"]().items():
        assert path.read_text() == text, "make schema"


def test_no_object_takes_other_names() -> None:
    for name, schema in objects_of(SCHEMA):
        if name in FREE:
            assert schema["additionalProperties"]["type"] in ("string", ["string", "integer"])
        else:
            assert schema["additionalProperties"] is False, name


def test_every_setting_is_a_value_or_left_out_for_a_reason() -> None:
    parts = SCHEMA["properties"]
    assert set(parts["settings"]["properties"]) == {
        key(name) for name in set(Settings.model_fields) - VALUES["NOT_SERVER"]
    }
    gateways = set(GatewaySettings.model_fields) - VALUES["NOT_GATEWAY"]
    assert set(parts["gateway"]["properties"]["settings"]["properties"]) == gateways


def test_the_defaults_are_valid_and_whole() -> None:
    jsonschema.validate(DEFAULTS, SCHEMA)

    def names(schema: Mapping[str, Any], values: Mapping[str, Any], path: str = "") -> Iterator[str]:
        for name, part in schema["properties"].items():
            if name not in values:
                yield f"{path}{name}"
            elif "properties" in part and name != "settings":
                yield from names(part, values[name], f"{path}{name}.")

    assert list(names(SCHEMA, DEFAULTS)) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_the_schema_refuses(wrong: str) -> None:
    values, named = WRONG[wrong]
    with pytest.raises(jsonschema.ValidationError, match=named):
        jsonschema.validate(merged(DEFAULTS, values), SCHEMA)


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm lays values over the defaults."""
    both = {name: merged(values[name], more[name]) for name in values.keys() & more if isinstance(more[name], dict)}
    return {**values, **more, **both}


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    program = node_packages.helm(tmp_path_factory.mktemp("helm"))
    folder = tmp_path_factory.mktemp("values")

    def run(command: str, values: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
        (folder / "values.yaml").write_text(yaml.safe_dump(dict(values)))
        release = ["veracity"] if command == "template" else []
        arguments = [command, *release, CHART, "--namespace", NAMESPACE, "--values", folder / "values.yaml"]
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)

    return run


def template(helm: Helm, values: Mapping[str, Any]) -> list[Object]:
    ended = helm("template", values)
    assert ended.returncode == 0, ended.stderr
    return [found for found in yaml.safe_load_all(ended.stdout) if found]


@pytest.mark.wheel
@pytest.mark.parametrize("choice", CHOICES)
def test_it_makes_what_kustomize_makes(helm: Helm, choice: str) -> None:
    of_chart = {(o["kind"], o["metadata"]["name"]): normal(o) for o in template(helm, CHOICES[choice].values)}
    of_kustomize = {(o["kind"], o["metadata"]["name"]): normal(o) for o in kustomized(choice)}
    assert set(of_chart) == set(of_kustomize)
    for name, found in of_chart.items():
        assert without_labels(found) == without_labels(of_kustomize[name]), name


def without_labels(found: Object) -> Object:
    return {**found, "metadata": {name: value for name, value in found["metadata"].items() if name != "labels"}}


@pytest.mark.wheel
@pytest.mark.parametrize("choice", CHOICES)
def test_it_is_valid(helm: Helm, choice: str) -> None:
    ended = helm("lint", CHOICES[choice].values)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "[WARNING]" not in ended.stdout
    for found in template(helm, CHOICES[choice].values):
        if found["kind"] not in ("ScaledObject", "PodMonitor"):
            kubernetes_validate.validate(found, "1.34", strict=True)


@pytest.mark.wheel
@pytest.mark.parametrize("command", ["template", "lint"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, wrong: str, command: str) -> None:
    values, named = WRONG[wrong]
    ended = helm(command, values)
    assert ended.returncode != 0
    assert named in ended.stdout + ended.stderr


@pytest.mark.wheel
def test_what_excludes_each_other_is_said(helm: Helm) -> None:
    ended = helm("template", {"tls": {"secret": "s", "clientCa": True}, "gateway": {"enabled": True}})
    assert "tls.clientCa and gateway.enabled exclude each other" in ended.stderr


@pytest.mark.wheel
def test_who_signed_the_models_is_mounted_and_named(helm: Helm) -> None:
    values = {"signer": {"configMap": "veracity-signer"}}
    (deployment,) = [o for o in template(helm, values) if o["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "signer"]
    (named,) = [one["value"] for one in container["env"] if one["name"] == "VERACITY_MODEL_SIGNER"]
    assert named == f"{mount['mountPath']}/signer.pem"
    assert {"name": "signer", "configMap": {"name": "veracity-signer"}} in spec["volumes"]


@pytest.mark.wheel
def test_settings_become_variables(helm: Helm) -> None:
    given = {"max_bytes": 400 << 20, "hosts": "veracity", "drain_seconds": 12.5}
    (deployment,) = [o for o in template(helm, {"settings": given}) if o["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    variables = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
    settings = Settings.from_env({name: value for name, value in variables.items() if value is not None})
    assert (settings.max_bytes, settings.hosts, settings.drain_seconds) == (400 << 20, "veracity", 12.5)
    assert spec["terminationGracePeriodSeconds"] == 10 + 13 + 40


@pytest.mark.wheel
@pytest.mark.parametrize(
    ("package", "kind", "choice"),
    [
        ("@kubernetes-models/keda@0.4.2", "ScaledObject", "all, KEDA, TLS"),
        ("@kubernetes-models/prometheus-operator@4.4.2", "PodMonitor", "all, KEDA, TLS"),
    ],
)
def test_objects_of_operators_are_valid(helm: Helm, tmp_path: Path, package: str, kind: str, choice: str) -> None:
    folder = node_packages.fetch(package, tmp_path)
    found = [o for o in template(helm, CHOICES[choice].values) + kustomized(choice) if o["kind"] == kind]
    assert found
    for one in found:
        assert node_packages.faults(folder, without_behavior(one)) == []
    one = without_behavior(one)
    wrong = {**one, "spec": {**one["spec"], "triggerz": []}}
    assert node_packages.faults(folder, wrong) == ["/spec/triggerz is not known"]
    assert node_packages.faults(folder, {**one, "spec": "all"})


def without_behavior(found: Object) -> Object:
    """KEDA has it since 2.17, after the last package that is made of schemas alone."""
    spec = dict(found["spec"])
    if "fallback" in spec:
        assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"
        spec["fallback"] = {name: value for name, value in spec["fallback"].items() if name != "behavior"}
    return {**found, "spec": spec}
