"""The rows of the bench that tell how long a change takes."""

from __future__ import annotations

from typing import Any

from tests.bench import report
from tests.bench.figures import ratios, summary


def changes(jaild: float, bare: float, copies: float) -> dict[str, Any]:
    return {
        "jaild_seconds": summary([jaild]),
        "bare_seconds": summary([bare]),
        "copies_by_hand_seconds": summary([copies]),
        "ratio": ratios([jaild], [bare]),
        "ratio_with_copies": ratios([jaild], [bare + copies]),
    }


def test_each_change_has_a_goal_beside_the_bare_commands_with_the_copies() -> None:
    one = changes(1.4, 0.75, 0.25)
    dark = {f"ratio_to_{other}": ratios([1.0], [1.0]) for other in ("restart_by_jaild", "stop_and_start_by_hand")}
    dark |= {f"{what}_seconds": summary([1.0]) for what in ("deploy", "restart_by_jaild", "stop_and_start_by_hand")}
    dark |= {"cut_over_by_hand_seconds": summary([1.0]), "ratio_to_cut_over_by_hand": ratios([1.0], [1.0])}
    document = {"changes": {**dict.fromkeys(("create", "deploy", "upgrade", "restart"), one), "downtime": dark}}
    told = {goal.name: (goal.value, goal.told, goal.met) for goal in report.goals(document)}
    assert told["create of a jail to the bare commands with the copies"] == (1.4, "<= 1.3", False)
    assert told["deploy of a jail to the bare commands with the copies"] == (1.4, "<= 1.5", True)
    shown = [row.goal.told if row.goal else "" for row in report.rows(document)]
    assert shown[:6] == ["", "", "", "<= 1.3", "<= 1.5", "<= 1.5"]
