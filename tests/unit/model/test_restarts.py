"""What becomes of a jail that ended."""

from __future__ import annotations

from typing import Literal

import pytest

from jaild.model.jails.restarts import RestartRecord, Verdict, after_end, told_end
from jaild.model.jails.spec import Backoff, Restart

AGAIN, OVER, CRASH_LOOP = Verdict
NEW = RestartRecord(uid="u", boot="b", generation=1, ends=(), verdict=AGAIN)
Policy = Literal["always", "on-failure", "never"]


@pytest.mark.parametrize(
    ("policy", "status", "verdict"),
    [
        ("always", 0, AGAIN),
        ("always", 1, AGAIN),
        ("always", None, AGAIN),
        ("on-failure", 0, OVER),
        ("on-failure", 1, AGAIN),
        ("on-failure", -9, AGAIN),
        ("on-failure", None, AGAIN),
        ("never", 0, OVER),
        ("never", -11, OVER),
        ("never", None, OVER),
    ],
)
def test_the_policy_says_which_ends_lead_to_a_restart(policy: Policy, status: int | None, verdict: Verdict) -> None:
    assert after_end(NEW, Restart(policy=policy), now=10.0, status=status).verdict is verdict


def test_what_is_unhealthy_or_does_not_start_has_failed_whatever_its_status() -> None:
    assert after_end(NEW, Restart(), now=10.0, status=0, failed=True).verdict is AGAIN


def after(*ends: float, policy: Restart) -> RestartRecord:
    record = NEW
    for end in ends:
        record = after_end(record, policy, now=end, status=1)
    return record


def test_one_end_more_than_restarts_are_allowed_within_the_time_is_a_crash_loop() -> None:
    policy = Restart(max=3, within=100)
    assert after(1, 2, 3, policy=policy).verdict is AGAIN
    assert after(1, 2, 3, 100, policy=policy).verdict is CRASH_LOOP
    assert after(1, 2, 3, 101, policy=policy).verdict is AGAIN  # the first is too long ago


def test_pauses_double_up_to_the_longest_and_begin_anew_with_the_count() -> None:
    policy = Restart(max=10, within=100, backoff=Backoff(first=2, longest=9))
    assert [after(*range(1, n + 1), policy=policy).due - n for n in range(1, 6)] == [2, 4, 8, 9, 9]
    assert after(1, 2, 3, 500, policy=policy).due == 502
    assert after(1, policy=Restart(backoff=Backoff(first=50, longest=1))).due == 51


def test_a_record_holds_no_more_ends_than_count_and_none_of_the_future() -> None:
    assert len(after(*range(1, 500), policy=Restart(max=4)).ends) == 5
    assert after(1000, 5, policy=Restart()).ends == (5,)  # somebody put the clock back


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "status 0"), (3, "status 3"), (-9, "signal 9 (SIGKILL)"), (-99, "signal 99"), (None, "unknown status")],
)
def test_an_end_is_told_with_its_status_or_signal(status: int | None, text: str) -> None:
    assert told_end(status) == text
    assert "lack of memory" in told_end(status, out_of_memory=True)
