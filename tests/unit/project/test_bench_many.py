"""What the bench says of many jails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench import many_report, thousand, together


def measured(count: int, pool: str, **changes: Any) -> dict[str, Any]:
    return {
        "jails": count,
        "pool": pool,
        "list_milliseconds": {"median": 8.0},
        "no_process_started": True,
        "longest_callback_milliseconds": 0,
        "resident_megabytes": 100.0,
        "ready_seconds": 2.0,
        "answers_after_seconds": 2.5,
        **changes,
    }


def test_each_number_of_jails_has_its_goals_and_a_fake_pools_own_time_is_none() -> None:
    document = {
        "fewer_on_the_real_pool": measured(900, "real", ready_seconds=6.0),
        "thousand": measured(1000, "fake", ready_seconds=60.0),
        "ten_thousand": measured(10_000, "fake", list_milliseconds={"median": 59.0}, resident_megabytes=251.0),
    }
    assert [(goal.name, goal.told) for goal in many_report.goals(document) if not goal.met] == [
        ("900 jails, real pool: ready after", "<= 5 s"),
        ("10000 jails, fake pool: memory", "<= 250 MB"),
    ]


def test_the_longest_callback_is_the_longest_that_was_noted(tmp_path: Path) -> None:
    noted = tmp_path / "slow.log"
    assert thousand.longest_callback(noted) == 0
    noted.write_text("51 <Task one>\n173 <Task two>\n60 <Task three>\n")
    assert thousand.longest_callback(noted) == 173
    document = {"thousand": measured(1000, "fake", longest_callback_milliseconds=173)}
    assert [goal.name for goal in many_report.goals(document) if not goal.met] == [
        "1000 jails, fake pool: longest callback"
    ]


def test_upgrades_at_once_are_judged_by_their_time_and_by_what_others_wait_meanwhile() -> None:
    found = {
        "count": 40,
        "seconds": 10.0,
        "alone_seconds": 1.0,
        "ratio": 0.25,
        "rollout_seconds": 12.0,
        "rollout_ratio": 0.4,
        "slowest_answer_milliseconds": 130.0,
        "longest_callback_milliseconds": 0,
    }
    assert [row.measured for row in together.rows(found)] == ["10.00 s", "12.00 s", "130 ms", "none over 50 ms"]
    assert [goal.met for goal in together.goals(found)] == [True, False, False, True]
