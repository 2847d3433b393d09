"""The rows of the bench that tell how many programs a change starts."""

from __future__ import annotations

from tests.bench import programs, report

COUNTED = {
    "tiny": {"create": 5, "deploy": 5, "upgrade": 6, "rollback": 5, "restart": 3},
    "redis": {"create": 9, "deploy": 9, "upgrade": 9, "rollback": 5, "restart": 3},
}


def test_each_change_has_a_row_with_its_goal_met_or_not() -> None:
    rows = report.rows({"programs": COUNTED})
    assert [(row.measured, row.reference, row.goal and row.goal.told, row.goal and row.goal.met) for row in rows] == [
        ("5", "9 of Redis on Debian", "<= 5", True),
        ("6", "9 of Redis on Debian", "<= 5", False),
        ("5", "5 of Redis on Debian", "<= 5", True),
        ("3", "3 of Redis on Debian", "<= 3", True),
    ]
    assert [goal.name for goal in report.goals({"programs": COUNTED})] == [row.what for row in rows]


def test_what_was_measured_without_them_is_shown_without_them() -> None:
    assert report.rows({}) == []
    assert programs.goals(COUNTED)[0].name == "programs started by one create"
