"""Each query of the boards and alerts asks for what Farebox's processes export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import promql_parser
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import workers.metrics  # registers what workers and caretakers export
from gateway.api.routes import ROUTES
from gateway.archive.figures import ArchivistFigures
from gateway.cli import farebox
from gateway.clock import CLOCK
from gateway.ledger.audit import audit, remember
from gateway.process_metrics import together
from tests.api.visitor import SKETCH, Visitor
from tests.until import until
from workers.exporting.exporter import ExportFigures

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARDS = {path.name: json.loads(path.read_text()) for path in (DEPLOY / "grafana" / "boards").glob("*.json")}
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
PROMETHEUS_OWN = {"up"}
OF_SCRAPES = {"job", "instance", "component", "process", "le"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}


def queries() -> Iterator[tuple[str, str]]:
    """Where each is, and its text as Prometheus gets it from Grafana."""
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}", target["expr"].replace("$__rate_interval", "5m")
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def series(text: str) -> dict[str, set[str]]:
    """The series on a metrics page, by name, with the labels that its samples have."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for suffix in SUFFIXES.get(family.type, ("",)):
            found.setdefault(family.name + suffix, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def exported(gateway: Visitor) -> dict[str, set[str]]:
    """What a gateway, workers, caretakers and an archivist export, after a little work."""
    key = await gateway.account()
    await gateway.call("POST", "/v1/generations", key, SKETCH)
    await CLOCK.measure(gateway.ledger.time)
    await remember(gateway.ledger, await audit(gateway.ledger))
    pages: list[str] = []

    async def shows_the_audit() -> bool:
        pages[:] = [(await gateway.call("GET", "/metrics")).raw.decode()]
        return "farebox_audit_differences" in pages[0]

    await until(shows_the_audit)
    archivist = CollectorRegistry()
    ArchivistFigures(archivist)
    ExportFigures(archivist)
    assert workers.metrics.RESCUES is not None
    pages += [generate_latest().decode(), generate_latest(archivist).decode()]
    known: dict[str, set[str]] = {}
    for page in pages:
        for name, labels in series(page).items():
            known.setdefault(name, set()).update(labels)
    return known | {family.name: {"process"} for family in together([], {})}


async def test_every_query_is_promql_and_asks_for_a_metric_that_is_exported(gateway: Visitor) -> None:
    known = await exported(gateway)
    unknown, asked = [], set()
    for where, text in queries():
        promql_parser.parse(text)
        named = set(re.findall(r"(?<![\w\"])(?:farebox|process)_[a-z_]+|(?<![\w\"])up(?=\{)", text))
        assert named or "vector" in text, where
        asked |= named
        unknown += [f"{where}: {name}" for name in sorted(named - set(known) - PROMETHEUS_OWN)]
    assert unknown == []
    assert len(asked) > 30


async def test_every_label_that_is_selected_or_grouped_by_is_one_of_that_metric(gateway: Visitor) -> None:
    known = await exported(gateway)
    wrong = []
    for where, text in queries():
        for name, selected in re.findall(r"((?:farebox|process)_[a-z_]+)\{([^}]*)\}", text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected))
            if known[name]:
                wrong += [f"{where}: {name} has no {label}" for label in sorted(labels - known[name] - OF_SCRAPES)]
        metric = re.search(r"farebox_[a-z_]+", text)
        for group in re.findall(r"by \(([^)]*)\)", text):
            of = known[metric[0]] if metric else set()
            if of:
                labels = {label.strip() for label in group.split(",")}
                wrong += [f"{where}: {metric and metric[0]} has no {one}" for one in sorted(labels - of - OF_SCRAPES)]
    assert wrong == []


async def test_what_an_alert_says_to_run_or_to_read_is_there(gateway: Visitor) -> None:
    """`farebox ops list` was to show what fails, and lists what is open."""
    known = await exported(gateway)
    actions = " ".join(rule["annotations"]["action"] for group in ALERTS["groups"] for rule in group["rules"])
    asked = re.findall(r"`farebox ([^`]+)`", actions)
    assert "ops list --status failed" in asked
    for words in asked:
        resolve(words.split())
    assert set(re.findall(r"`GET ([^`]+)`", actions)) <= {route.path for route in ROUTES if route.method == "GET"}
    assert set(re.findall(r"farebox_[a-z_]+", actions)) <= set(known)


def resolve(words: list[str]) -> None:
    """Raises if there is no such command, or if it has no such option."""
    command: click.Command = farebox
    while isinstance(command, click.Group) and words:
        _, found, words = command.resolve_command(click.Context(command), words)
        assert found is not None
        command = found
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_panel_and_alert_is_described_and_each_id_is_there_once() -> None:
    for name, board in BOARDS.items():
        identifiers = [panel["id"] for panel in board["panels"]]
        assert len(identifiers) == len(set(identifiers)), name
        assert board["uid"].startswith("farebox-"), name
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert {"summary", "action"} == set(rule["annotations"]), rule["alert"]
            assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
