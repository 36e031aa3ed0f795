"""The rules and the dashboard: they parse, fire when they should, name metrics that exist, and have a runbook each."""

import json
import re
import subprocess
from typing import Any

import promql_parser
import pytest
from prometheus import FOLDER, RULES, program, rules

from veracity.catalog import LAYERS
from veracity.settings import CHECKOUT
from veracity_client import errors, metrics
from veracity_client.errors import AnalysisTimeout, VeracityError
from veracity_gateway import errors as gateway_errors
from veracity_gateway.errors import UrlTimeout, UrlUnavailable

DASHBOARD = json.loads((CHECKOUT / "deploy/grafana/veracity.json").read_text())
RUNBOOK = (CHECKOUT / "docs/observe.md").read_text()
INTERVAL = "$__rate_interval"
OTHERS = {"up"}
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
NOT_OURS = (AnalysisTimeout, UrlTimeout, UrlUnavailable)  # late, and the fault of who was named by the caller

ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Name and expression of each rule and of each query of a panel."""
    of_rules = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]
    of_panels = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
    return [*of_rules, *((title, expr.replace(INTERVAL, "1m")) for title, expr in of_panels)]


def exported() -> set[str]:
    families = {family for place in metrics.PLACES.values() for family in place}
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.kind]}


@pytest.mark.parametrize("command", [("check", "rules", RULES), ("test", "rules", FOLDER / "veracity.test.yml")])
def test_promtool_finds_no_fault(command: tuple[Any, ...]) -> None:
    done = subprocess.run([program("promtool"), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_reads_the_configuration() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "config", FOLDER / "prometheus.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "expression"), expressions())
def test_an_expression_parses_and_names_what_is_exported(name: str, expression: str) -> None:
    promql_parser.parse(expression)
    named = set(re.findall(r"\b(?:veracity_\w+|veracity:[\w:]+)", expression))
    triton = set(re.findall(r"\bnv_\w+", expression))
    assert named | triton | (OTHERS & set(expression.split("{"))), f"{name} asks for nothing"
    assert named <= exported() | RECORDED, f"{name} names a metric that does not exist"


def test_every_alert_has_a_test() -> None:
    tests = (FOLDER / "veracity.test.yml").read_text()
    assert [alert["alert"] for alert in ALERTS if alert["alert"] not in tests] == []


def test_every_alert_has_its_runbook_and_points_to_it() -> None:
    headings = re.findall(r"^### (Veracity\w+)$", RUNBOOK, re.M)
    assert headings == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        name = alert["alert"]
        url = alert["annotations"]["runbook_url"]
        assert url == f"{{{{ $externalLabels.veracity_docs }}}}/observe/#{name.lower()}"
        entry = RUNBOOK.split(f"### {name}\n")[1].split("\n#")[0]
        assert [word for word in ("Means:", "Look at:", "Do:") if f"**{word}**" not in entry] == [], name
        assert alert["labels"]["severity"] in ("page", "ticket")


def test_the_error_budget_counts_the_errors_that_are_our_fault() -> None:
    kinds = {kind for module in (errors, gateway_errors) for kind in vars(module).values() if isinstance(kind, type)}
    found_out = {kind for kind in kinds if issubclass(kind, VeracityError) and kind not in NOT_OURS}
    ours = {kind.__name__ for kind in found_out if kind.http >= 500}
    (rule,) = (rule for rule in rules() if rule.get("record") == "veracity:failures")
    found = re.search(r'error=~"([\w|]+)"', rule["expr"])
    assert found
    assert set(found[1].split("|")) == ours


def test_labels_have_the_words_of_the_catalog() -> None:
    assert tuple(layer.key for layer in LAYERS) == metrics.LAYERS
    words = {word for place in metrics.PLACES.values() for family in place for word in family.labels}
    assert words == {"component", "label", "error", "code", "policy", "layer", "status", "kind", "stage", "version",
                     "model", "sha256", "part", "method", "route", "state"}  # fmt: skip


def test_a_panel_that_may_be_empty_says_why() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)
