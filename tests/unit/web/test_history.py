"""What jails used, kept in a bounded space."""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import pytest

from jaild.v1 import stats_pb2
from jaild.web.history import HOST, History, Usage, measured


def stats(name: str = "jails/web", at: float = 1.0, **fields: Any) -> stats_pb2.JailStats:
    made = stats_pb2.JailStats(name=name, running=True, memory_bytes=1024, **fields)
    made.sample_time.FromNanoseconds(int(at * 1e9))
    return made


@pytest.mark.parametrize(
    ("before", "now", "cores"),
    [
        (None, stats(at=10.0, cpu_seconds=3.0), nan),
        (stats(at=10.0, cpu_seconds=3.0), stats(at=20.0, cpu_seconds=8.0), 0.5),
        (stats(at=10.0, cpu_seconds=3.0), stats(at=20.0, cpu_seconds=1.0), 0.0),
        (stats(at=10.0, cpu_seconds=3.0), stats(at=10.0, cpu_seconds=3.0), nan),
        (None, stats(at=10.0, cpu_seconds=3.0, cpu_cores=1.5), 1.5),
    ],
)
def test_the_load_is_what_the_system_says_or_what_two_measurements_say(
    before: stats_pb2.JailStats | None, now: stats_pb2.JailStats, cores: float
) -> None:
    used = measured({before.name: before} if before else {}, [now])
    assert used["jails/web"].cores == pytest.approx(cores, nan_ok=True)
    assert used["jails/web"].memory == 1024
    assert used[HOST].cores == pytest.approx(cores, nan_ok=True)


def test_a_jail_that_was_started_again_begins_anew() -> None:
    before, now = stats(at=10.0, cpu_seconds=9.0), stats(at=20.0, cpu_seconds=10.0)
    now.start_time.FromSeconds(15)
    assert isnan(measured({before.name: before}, [now])["jails/web"].cores)


def test_a_host_is_its_jails_together_and_what_does_not_run_is_not_told() -> None:
    jails = [stats("jails/a", cpu_cores=1.0), stats("jails/b", cpu_cores=0.5), stats_pb2.JailStats(name="jails/c")]
    used = measured({}, jails)
    assert used.keys() == {"jails/a", "jails/b", HOST}
    assert used[HOST] == Usage(1.5, 2048)
    assert measured({}, []) == {HOST: Usage(0.0, 0)}


def test_two_points_become_one_when_it_is_full_so_that_the_whole_time_stays() -> None:
    history = History(most=4, widest=100.0)
    for second in range(5):
        history.add(second * 10.0, {HOST: Usage(float(second), 10.0 * second)})
    assert list(history.times) == [10.0, 30.0, 40.0]
    assert history.cores() == [0.5, 2.5, 4.0]
    assert history.memory() == [5.0, 25.0, 40.0]


def test_the_oldest_goes_when_points_are_wide_enough() -> None:
    history = History(most=4, widest=15.0)
    for second in range(6):
        history.add(second * 10.0, {HOST: Usage(float(second), 0.0)})
    assert list(history.times) == [20.0, 30.0, 40.0, 50.0]
    assert history.cores() == [2.0, 3.0, 4.0, 5.0]


def test_a_jail_that_comes_later_and_one_that_goes_have_gaps_and_one_that_is_long_gone_has_nothing() -> None:
    history = History(most=4, widest=15.0)
    history.add(0.0, {"a": Usage(1.0, 1.0)})
    history.add(10.0, {"a": Usage(nan, 1.0), "b": Usage(2.0, 2.0)})
    assert history.cores("a") == pytest.approx([1.0, nan], nan_ok=True)
    assert history.cores("b") == pytest.approx([nan, 2.0], nan_ok=True)
    for second in range(2, 8):
        history.add(second * 10.0, {"b": Usage(2.0, 2.0)})
    assert history.cores("a") == []
    assert len(history.cores("b")) == len(history.times) == 4


def test_two_points_of_which_one_is_not_known_are_the_one_that_is() -> None:
    history = History(most=2, widest=100.0)
    history.add(0.0, {"a": Usage(nan, 1.0)})
    history.add(1.0, {"a": Usage(3.0, 1.0)})
    history.add(2.0, {"a": Usage(5.0, 1.0)})
    assert history.cores("a") == [3.0, 5.0]
