"""Grafana's dashboard is whole, and asks for series that there are; what they have is asked by `make integrations`."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.unit.metrics.test_exposition import GOLDEN

ROOT = Path(__file__).parents[3]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "templates/monitoring/grafana/jaild.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
_COLUMNS = 24  # of Grafana's grid
_PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def test_every_panel_has_its_own_id_and_place() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= _COLUMNS, place
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)


def test_there_is_a_row_for_each_thing_and_a_query_in_each_panel() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    things = ["Hosts", "Jails", "Operations and downtime", "Replicas", "Snapshots and backups"]
    assert rows == [*things, "Rollouts", "Pool", "Daemon"]
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"stat", "table", "timeseries"}
        assert panel["datasource"] == _PROMETHEUS
        assert [target["refId"] for target in panel["targets"]] == ["A", "B", "C"][: len(panel["targets"])]
        assert all(target["expr"] and target["datasource"] == _PROMETHEUS for target in panel["targets"])


def test_every_query_is_of_series_that_there_are_and_of_variables_that_there_are() -> None:
    text = GOLDEN.read_text()
    exposed = set(re.findall(r"(?m)^# TYPE (\w+)", text))
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    asked = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    asked += [each["expr"] for each in DASHBOARD["annotations"]["list"]]
    asked += [each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each]
    for expression in asked:
        named = set(re.findall(r"\bjaild_\w+", expression))
        assert {name for name in named if not {name, re.sub(r"_(bucket|sum|count)$", "", name)} & exposed} == set()
        assert set(re.findall(r"\$(\w+)", expression)) <= variables, expression
