"""What the bench says of many jails."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from jaild.model import layout
from jaild.model.layout import Layout
from tests.bench import many_report, thousand, together
from tests.fakes.zfs import FakeZfs


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
        "start_cpu_seconds": {"daemon": 1.5},
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


async def test_the_jails_that_are_made_are_closed_to_others_so_that_no_start_has_to_close_them(tmp_path: Path) -> None:
    zfs, where = FakeZfs(tmp_path, "tank"), Layout("tank/jaild")
    for dataset in (where.root, where.jails):
        await zfs.create(dataset)
    await thousand.populate(zfs, where, tmp_path / where.jails, "0" * 32, 1)
    folder = layout.generation_folder(tmp_path / where.jails / "edge-00000", 1)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / layout.GENERATION)] == [0o700, 0o600]


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
        "cpu_seconds": {"daemon": 9.0, "programs": 4.0, "zfs-fuse": 3.0},
        "cores": 2,
        "ratio": 0.25,
        "rollout_seconds": 12.0,
        "rollout_ratio": 0.4,
        "slowest_answer_milliseconds": 130.0,
        "longest_callback_milliseconds": 0,
    }
    rows = together.rows(found)
    assert [row.measured for row in rows] == ["10.00 s", "12.00 s", "16.00 s", "130 ms", "none over 50 ms"]
    assert rows[2].ratio == "0.20 at best, 2 cores"  # which is all that the cores can do, if they do nothing else
    assert [goal.met for goal in together.goals(found)] == [True, False, False, True]
