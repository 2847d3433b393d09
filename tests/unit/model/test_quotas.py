"""What a spec's quota means on the pool: what the jail was promised, and what the host bears of it."""

from __future__ import annotations

import pytest

from jaild.jails.datasets import KEPT_SAFETY_SNAPSHOTS
from jaild.model.jails import quotas
from jaild.model.jails.quotas import TIMES, Space
from jaild.model.jails.spec import JailSpec, Volume
from jaild.model.problems import Severity
from jaild.model.replication import policy

_MIB = 1 << 20


def test_snapshots_do_not_count_to_what_was_promised() -> None:
    assert quotas.bounds_of("30M") == (30 * _MIB, TIMES * 30 * _MIB)
    assert quotas.bounds_of(None).properties == {"refquota": "none", "quota": "none"}


def test_all_snapshots_that_jaild_keeps_fit_whatever_changed_between_them() -> None:
    taken, sent, of_a_silent_host = 1, 1, 1
    assert 1 + KEPT_SAFETY_SNAPSHOTS + taken + policy.KEPT + sent + of_a_silent_host <= TIMES


def test_what_zfs_would_refuse_is_never_set() -> None:
    now = Space(referenced=31 * _MIB, used=900 * _MIB)
    assert quotas.bounds_of("30M", now) == (31 * _MIB, 900 * _MIB)
    assert quotas.bounds_of("4E").quota < 1 << 63


def _spec(quota: str | None = None, store: str | None = None) -> JailSpec:
    return JailSpec(base="b", quota=quota, volumes={"store": Volume(path="/srv", quota=store)})


@pytest.mark.parametrize(
    ("wanted", "there", "subjects"),
    [
        (_spec("10M"), {"data": Space(referenced=11 * _MIB, used=11 * _MIB)}, ["$.quota"]),
        (_spec("10M"), {"data": Space(referenced=10 * _MIB, used=99 * _MIB)}, []),
        (_spec("10M"), {"data": Space(referenced=1 * _MIB, used=101 * _MIB)}, ["$.quota"]),
        (_spec("10M"), {}, []),  # it is not there yet
        (_spec("20M"), {"data": Space(referenced=21 * _MIB, used=21 * _MIB)}, []),  # as it was: nothing is asked of ZFS
        (_spec(), {"data": Space(referenced=21 * _MIB, used=21 * _MIB)}, []),
        (_spec("20M", "1M"), {"store": Space(referenced=2 * _MIB, used=2 * _MIB)}, ["$.volumes.store.quota"]),
    ],
)
def test_a_quota_that_becomes_smaller_than_what_is_used_is_an_error(
    wanted: JailSpec, there: dict[str, Space], subjects: list[str]
) -> None:
    found = quotas.below_used(wanted, _spec("20M", "9M"), there)
    assert [(problem.code, problem.subject) for problem in found] == [("QUOTA_BELOW_USED", each) for each in subjects]


def test_nobody_is_kept_from_going_back_to_an_older_spec() -> None:
    there = {"data": Space(referenced=11 * _MIB, used=11 * _MIB)}
    (found,) = quotas.below_used(_spec("10M"), _spec("20M"), there, going_back=True)
    assert (found.code, found.severity) == ("QUOTA_BELOW_USED", Severity.WARNING)
