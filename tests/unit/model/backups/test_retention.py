"""Which snapshots are kept, and when the next is due: by tables, and by what is true of any times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model.backups.retention import Taken, expired, is_due, kept
from jaild.model.jails.spec import Keep

COUNTS = st.integers(0, 5)
KEEPS = st.builds(Keep, last=COUNTS, hourly=COUNTS, daily=COUNTS, weekly=COUNTS, monthly=COUNTS, yearly=COUNTS)
YEARS = 3 * 366 * 86_400
TIMES = st.lists(st.integers(1_700_000_000, 1_700_000_000 + YEARS), max_size=60)


def named(times: list[int]) -> list[Taken]:
    return [(f"s{number}", at) for number, at in enumerate(times)]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("keep", "stay"),
    [
        (Keep(last=2), ["2026-11-30T10:15", "2026-11-30T10:30"]),
        (Keep(hourly=2), ["2026-11-30T09:45", "2026-11-30T10:30"]),
        (Keep(daily=2), ["2026-11-29T23:59", "2026-11-30T10:30"]),
        (Keep(weekly=2), ["2026-11-29T23:59", "2026-11-30T10:30"]),  # a Sunday, and the Monday after it
        (Keep(monthly=2), ["2026-10-31T12:00", "2026-11-30T10:30"]),
        (Keep(yearly=2), ["2025-12-31T23:00", "2026-11-30T10:30"]),
        (Keep(last=1, daily=2, yearly=9), ["2025-12-31T23:00", "2026-11-29T23:59", "2026-11-30T10:30"]),
        (Keep(), []),
    ],
)
def test_of_each_of_the_last_periods_that_have_one_the_newest_is_kept(keep: Keep, stay: list[str]) -> None:
    taken = [
        *("2025-12-31T23:00", "2026-10-31T12:00", "2026-11-29T10:00", "2026-11-29T23:59"),
        *("2026-11-30T09:30", "2026-11-30T09:45", "2026-11-30T10:00", "2026-11-30T10:15", "2026-11-30T10:30"),
    ]
    assert sorted(kept([(text, at(text)) for text in taken], keep)) == stay


@pytest.mark.parametrize(
    ("now", "newest", "due"),
    [
        (at("2026-11-30T10:15"), None, True),
        (at("2026-11-30T10:15"), at("2026-11-30T10:14:59"), True),
        (at("2026-11-30T10:29:59"), at("2026-11-30T10:15"), False),
        (at("2026-12-30T00:00"), at("2026-11-30T10:15"), True),  # the host was down
        (at("2026-11-30T09:00"), at("2026-11-30T10:15"), True),  # the clock was put back
    ],
)
def test_one_is_due_in_each_interval_that_has_none(now: float, newest: float | None, *, due: bool) -> None:
    assert is_due(now, 900, newest) is due


@given(TIMES, KEEPS)
def test_no_more_stay_than_were_asked_for_and_pruning_twice_takes_nothing_more(times: list[int], keep: Keep) -> None:
    taken = named(times)
    gone = set(expired(taken, keep))
    left = [each for each in taken if each[0] not in gone]
    most = keep.last + keep.hourly + keep.daily + keep.weekly + keep.monthly + keep.yearly
    assert len(left) <= max(most, 1)
    assert len(left) >= min(len(taken), keep.last)
    assert expired(left, keep) == ()


@given(TIMES, KEEPS)
def test_the_newest_stays_whatever_the_clock_said_and_all_do_that_a_rule_names(times: list[int], keep: Keep) -> None:
    taken = named(times)  # in any order: a clock that jumps
    gone = set(expired(taken, keep))
    assert not gone & kept(taken, keep)
    assert not taken or taken[-1][0] not in gone


@given(TIMES, KEEPS)
def test_pruning_after_each_one_leaves_what_pruning_at_the_end_would(times: list[int], keep: Keep) -> None:
    left: list[Taken] = []
    for each in named(sorted(times)):
        left.append(each)
        gone = expired(left, keep)
        left = [one for one in left if one[0] not in gone]
    assert {name for name, _ in left} >= kept(named(sorted(times)), keep)
