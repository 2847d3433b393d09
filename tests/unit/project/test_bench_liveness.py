"""What the bench says of liveness checks."""

from __future__ import annotations

from typing import Any

from tests.bench import liveness, report


def measured(kind: str, cpu: float) -> dict[str, Any]:
    return {"kind": kind, "jails": 1000, "interval": 10.0, "cpu_per_second": cpu}


def test_each_kind_of_check_has_the_goal_and_stands_beside_a_daemon_without_checks() -> None:
    found = {kind: measured(kind, cpu) for kind, cpu in zip(liveness.KINDS, (0.001, 0.01, 0.09, 0.1), strict=True)}
    rows = liveness.rows(found)
    assert [row.measured for row in rows] == ["0.010 s", "0.090 s", "0.100 s"]
    assert {row.reference for row in rows} == {"0.001 s without checks"}
    assert [goal.met for goal in liveness.goals(found)] == [True, True, False]
    assert [goal.name for goal in report.goals({"liveness": found})] == [row.what for row in rows]
