"""Two real daemons tell one story: every line of a migration is found by its ids, and its spans are one trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.v1 import migrations_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import metadata, until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL, Pair, paired, reaches

pytestmark = pytest.mark.real(*LINUX_HOST)
REQUEST = "from a script; 100 %"


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        for node in (made.alpha, made.beta):
            node.config["tracing"] = {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "100"}
            node.terminate()
            node.start()
        furnish(made.alpha.api, workshop)
        yield made


def lines(node: Node) -> list[dict[str, Any]]:
    """The lines of its log that are the daemon's own."""
    return [json.loads(line) for line in node.log().splitlines() if line.startswith('{"')]


def spans(node: Node) -> list[dict[str, Any]]:
    """What OpenTelemetry's own exporter printed."""
    return [json.loads(each) for each in re.findall(r"(?ms)^\{\n.*?^\}$", node.log())]


def test_a_migrations_lines_have_the_same_ids_on_both_hosts_and_its_spans_one_trace(pair: Pair) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.api.create("edge-1", trees.spec("tiny-1", "web/1", network=f"{{mode: vnet, addresses: [{JAIL}]}}"))
    until(lambda: reaches(alpha, "edge-1", beta))
    request = migrations_pb2.MigrateJailRequest(name="jails/edge-1", target="beta", request_id=REQUEST)
    request.max_downtime.FromSeconds(30)
    done = alpha.api.done(alpha.api.migrations.MigrateJail(request))
    assert metadata(done).request_id == REQUEST
    operation = done.name.removeprefix("operations/")
    ids = {"operation": operation, "request": REQUEST, "actor": "local", "jail": "edge-1"}

    there = [line for line in lines(beta) if line.items() >= ids.items()]
    (migration,) = {line["migration"] for line in there}
    here = [line for line in lines(alpha) if line.items() >= ids.items()]
    assert {line.get("migration", migration) for line in here} == {migration}

    def told(found: list[dict[str, Any]], of: str) -> list[str]:
        return [line["event"] for line in found if line.get("of") == of]

    assert told(here, "migration")[-1] == "committed -> activated"
    assert told(there, "migration") == ["absent -> receiving", "receiving -> prepared", "prepared -> activated"]
    assert told(there, "jail")[0] == "absent -> incoming"
    assert told(there, "jail")[-1].endswith("-> running")
    assert told(here, "jail")[-1] == "frozen -> moved"
    assert told(here, "operation")[0].startswith("queued -> ")
    assert told(here, "operation")[-1].endswith("-> done")
    assert {line["peer"] for line in there} == {"alpha"}

    def traced() -> set[str]:
        return {span["context"]["trace_id"] for span in spans(alpha) if span["name"] == "operation migrate"}

    until(lambda: bool(traced()))
    (trace,) = traced()
    until(lambda: any(span["name"].endswith("/Activate") for span in spans(beta)))
    came = [span for span in spans(beta) if span["context"]["trace_id"] == trace]
    assert {"Begin", "Receive", "Prepare", "Activate"} <= {span["name"].rpartition("/")[2] for span in came}
    assert any(span["name"] == "run zfs" for span in came)
    sent = {span["context"]["span_id"] for span in spans(alpha)}
    calls = [span for span in came if span["kind"] == "SpanKind.SERVER" and not span["name"].endswith("/Resolve")]
    assert {span["parent_id"] for span in calls} <= sent
    assert {span["resource"]["attributes"]["host.name"] for span in came} == {"beta"}

    beta.api.delete("edge-1")
    until(lambda: any(line.get("of") == "jail" and line["new"] == "absent" for line in lines(beta)))
    gone = [line for line in lines(beta) if line.get("of") == "jail" and line["new"] == "absent"]
    assert all(line["operation"] != operation for line in gone)
