"""What the fault matrix makes of what it finds: which points there are, what counts as lost or left over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.faults import Effect
from tests.fakes.network import Fault
from tests.faults import ledger, leftovers, report
from tests.faults.points import Point, points_of, spread
from tests.faults.soak import Move, summary
from tests.faults.trial import Row
from tests.hosts.points import some

CALLS = {
    "link": ["source>target begin", "source>target receive data"],
    "source": [
        "store.put_journal sending",
        "zfs.set /jails/web jaild:jail",
        "zfs.snapshots /jails/web",
        "process runc",
    ],
    "target": ["zfs.hold x", "zfs.hold x", "runtime.exec web"],
}


def _faults(side: str, call: str, nth: int = 0) -> set[object]:
    found = points_of("first", CALLS)
    return {point.fault for point in found if (point.side, point.call, point.nth) == (side, call, nth)}


def test_every_journal_write_property_write_and_call_between_hosts_is_a_point() -> None:
    three = {Effect.ERROR, Effect.ERROR_AFTER, Effect.CRASH}
    assert _faults("source", "store.put_journal sending") == three
    assert _faults("source", "zfs.set /jails/web jaild:jail") == three
    assert _faults("source", "process runc") == {Effect.CRASH}
    assert {Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.TWICE, Fault.LATE} <= _faults("link", "source>target begin")


def test_what_only_looks_is_no_point() -> None:
    assert _faults("source", "zfs.snapshots /jails/web") == set()
    assert _faults("target", "runtime.exec web") == set()


def test_only_a_stream_breaks_in_its_middle_and_none_comes_late() -> None:
    assert Fault.CUT_WITHIN in _faults("link", "source>target receive data")
    assert Fault.LATE not in _faults("link", "source>target receive data")
    assert Fault.CUT_WITHIN not in _faults("link", "source>target begin")


def test_each_of_several_calls_of_one_name_is_a_point_of_its_own() -> None:
    assert _faults("target", "zfs.hold x", 0) == _faults("target", "zfs.hold x", 1) != set()
    assert _faults("target", "zfs.hold x", 2) == set()


def test_a_few_points_are_of_all_sides_and_faults_and_the_same_for_a_seed() -> None:
    points = points_of("first", CALLS) + points_of("again", CALLS)
    few = spread(points, 60, seed=7)
    assert few == spread(points, 60, seed=7)
    assert few != spread(points, 60, seed=8)
    assert len(set(few)) == len(few) == 60
    kinds = {(point.mode, point.side, point.fault) for point in points}
    assert len({(point.mode, point.side, point.fault) for point in few}) == min(60, len(kinds))
    assert spread(points, 0, seed=7) == points


def test_a_write_that_was_acknowledged_and_is_not_there_is_lost() -> None:
    assert ledger.problems([1, 2, 3], [1, 2, 3, 4]) == []
    assert ledger.problems([1, 2, 3], [1, 2])[0] == "lost: 1 acknowledged writes from 3 on"
    assert ledger.problems([1, 3], [1, 3]) == ["lost: what is written does not rise by one"]


def test_a_line_that_is_no_number_is_no_write(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    assert ledger.acknowledged(log) == []
    log.write_text("1\n2\n/bin/sh: can't create /var/load: I/O error\n3\n")
    assert ledger.acknowledged(log) == [1, 2, 3]


def test_a_write_that_was_acknowledged_twice_was_lost_between_or_made_by_two_jails() -> None:
    assert ledger.problems([1, 2, 2, 3], [1, 2, 3]) != []


def test_two_snapshots_where_one_should_be_are_a_leftover() -> None:
    one, two = Counter(["POOL/jails/web@mig-*"]), Counter(["POOL/jails/web@mig-*", "POOL/jails/web@mig-*"])
    assert leftovers.difference(two, one) == ["left: POOL/jails/web@mig-*"]
    assert leftovers.difference(one, two) == ["missing: POOL/jails/web@mig-*"]
    assert leftovers.difference(one, one) == []


def _row(**more: Any) -> dict[str, Any]:
    row = Row(Point("first", "link", "begin", 0, Fault.TWICE), outcome="moved", owners=["beta"], most_owners=1)
    for name, value in more.items():
        setattr(row, name, value)
    return report.document_of(row)


def test_what_is_lost_owned_twice_or_by_nobody_is_counted_and_is_not_clean() -> None:
    rows = [_row(), _row(problems=["lost: 1"]), _row(most_owners=2, problems=["two"]), _row(owners=[], problems=["-"])]
    found = report.summary(rows)
    assert (found["points"], found["survived"]) == (4, 1)
    assert (found["lost"], found["double_owners"], found["no_owner"]) == (1, 1, 1)
    assert report.clean(rows[:1])
    assert not any(report.clean([row]) for row in rows[1:])
    assert not report.clean([])


def test_a_point_that_was_not_reached_is_no_point_that_was_survived() -> None:
    found = report.summary([_row(), _row(reached=False)])
    assert (found["points"], found["survived"], found["not_reached"]) == (1, 1, 1)


def test_a_soak_counts_its_downtimes_where_the_jail_moved() -> None:
    moves = [
        Move("alpha", "beta", outcome="moved", downtime=0.5),
        Move("beta", "alpha", outcome="stayed", downtime=9.0, trouble="link cut"),
        Move("beta", "alpha", outcome="moved", downtime=1.5, problems=["lost: 1"]),
        Move("alpha", "beta", outcome="owners ['alpha', 'beta']", problems=["owned by two"]),
    ]
    found = summary(moves, ["owner: left: x"])
    assert (found["migrations"], found["moved"], found["stayed"]) == (4, 2, 1)
    assert (found["downtime_median"], found["downtime_max"]) == (1.0, 1.5)
    assert (found["lost_writes"], found["double_owners"], found["orphans"]) == (1, 1, 1)
    assert found["troubles"] == {"link cut": 1}


@pytest.mark.parametrize("count", [1, 2, 18])
def test_of_a_sample_every_case_is_taken_some_time_and_the_same_ones_in_each_process(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAILD_FAULT_EVERY", "4")
    cases = list(range(count))
    samples = [tuple(some(cases, f"{seed} test")) for seed in range(50)]
    assert samples == [tuple(some(cases, f"{seed} test")) for seed in range(50)]
    assert {case for sample in samples for case in sample} == {*cases}
    assert all(0 < len(sample) <= -(-count // min(4, count)) for sample in samples)
    monkeypatch.setenv("JAILD_FAULT_EVERY", "1")
    assert some(cases, "0 test") == cases
