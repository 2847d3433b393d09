"""The rules for Prometheus stand on what is exposed, and each alert has its page and its story.

Whether they are valid, and fire when they should, is asked of promtool: `make integrations`.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from jaild.metrics.counts import PRESET
from tests.unit.metrics.test_exposition import GOLDEN

ROOT = Path(__file__).parents[3]
RULES = ROOT / "templates/monitoring/prometheus/jaild.rules.yml"
_SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def test_every_alert_is_of_series_that_there_are_and_has_a_page_and_a_story() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    exposed = set(re.findall(r"(?m)^# TYPE (\w+)", GOLDEN.read_text()))
    for rule in group["rules"]:
        named = set(re.findall(r"\bjaild_\w+", rule["expr"]))
        assert {name for name in named if not {name, _SUFFIXES.sub("", name)} & exposed} == set(), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
    alerts = [rule["alert"] for rule in group["rules"]]
    page = (ROOT / "docs/monitoring.md").read_text()
    assert re.findall(r"(?m)^### (Jaild\w+)$", page) == alerts
    stories = yaml.safe_load((ROOT / "tests/integrations/stories.yml").read_text())["tests"]
    assert [story["name"].partition(":")[0] for story in stories] == alerts


def test_what_an_alert_counts_the_first_of_begins_at_zero() -> None:
    """Prometheus sees no increase in a series that begins with 1."""
    text = RULES.read_text()
    events = set(re.findall(r'jaild_events_total\{kind="([\w.-]+)"', text))
    kinds = {
        kind for each in re.findall(r'jaild_operations_total\{kind=~"([\w|-]+)"', text) for kind in each.split("|")
    }
    assert events
    assert kinds
    assert events | kinds <= set(PRESET.events) | set(PRESET.kinds)
