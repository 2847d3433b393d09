"""Grafana's dashboard, without Grafana: every query is asked of a real Prometheus that scrapes a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import JAIL, Watched
from tests.integrations.prometheus_server import PrometheusServer, prometheus
from tests.integrations.servers import eventually

pytestmark = pytest.mark.real("prometheus", "promtool")
DASHBOARD = Path(__file__).parents[2] / "templates/monitoring/grafana/jaild.json"
# What has nothing to show on one host without peers on which all is well, and why.
NOTHING = {
    "Alerts": "none is on",
    "Memory, of what it may have": "the jail has no limit",
    "Data, of its quota": "the jail has no quota",
    "Health": "the jail has no liveness checks",
    "Under way": "nothing is",
    "Downtime of a migration, and as predicted": "no jail was moved",
    "Age": "the jail has no standby",
    "Age, of its interval": "the jail has no standby",
    "Newest snapshot, age": "the jail's spec asks for none",
    "Newest backup, age of its interval": "the jail's spec asks for none",
    "Reads and writes": "Linux does not count them",
    "Event sinks, waiting for": "the host has none",
    "Last scrub": "the pool was never scrubbed",
}


@pytest.fixture(scope="module")
def server(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """One that has seen the jail change twice: what was counted once has not been seen to grow."""
    with prometheus(tmp_path_factory.mktemp("prometheus"), watched.address, watched.tls) as made:
        for number, release in enumerate(("web/2", "web/1", "web/2", "web/1"), start=1):
            watched.node.api.deploy(JAIL, release)
            counted = f'jaild_operations_total{{kind="deploy",outcome="done"}} >= {number}'
            eventually(partial(made.query, counted), "it is counted")
        eventually(lambda: made.query("rate(jaild_event_loop_lag_seconds_count[1m])"), "a rate is known")
        yield made


def filled_in(expression: str, watched: Watched) -> str:
    """An expression as Grafana sends it, of a dashboard that shows one host and all of its jails."""
    told = {"$instance": watched.address, "$jail": ".*", "$__rate_interval": "1m"}
    for name, value in told.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def queries() -> Iterator[tuple[str, str]]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))


def test_every_panel_shows_something_or_it_is_known_why_not(watched: Watched, server: PrometheusServer) -> None:
    asked = [(title, filled_in(expression, watched)) for title, expression in queries()]
    found = {expression: server.query(expression) for _, expression in asked}
    assert {title for title, expression in asked if not found[expression]} == NOTHING.keys()
    assert len(asked) > 40


def test_every_variable_offers_what_there_is(watched: Watched, server: PrometheusServer) -> None:
    told = json.loads(DASHBOARD.read_text())["templating"]["list"]
    offered = {each["name"]: each["query"]["query"] for each in told if each["type"] == "query"}
    for name, values in (("instance", {watched.address}), ("jail", {JAIL})):
        series, _, label = offered[name].removeprefix("label_values(").removesuffix(")").rpartition(", ")
        assert {row["metric"][label] for row in server.query(filled_in(series, watched))} == values
