"""How a jail is after a row of rounds."""

from __future__ import annotations

import pytest

from jaild.model.bounds import HEALTH_OUTPUT
from jaild.model.jails.liveness import Health, HealthStatus, after_round

UNKNOWN, HEALTHY, UNHEALTHY = Health


def after(rounds: str, needed: int = 3) -> HealthStatus:
    """Return how it is after rounds at the times 1, 2, 3 ...: `+` passed, `-` failed."""
    status = HealthStatus(since=0.5)
    for time, how in enumerate(rounds, 1):
        status = after_round(status, "" if how == "+" else f"sick at {time}", float(time), needed)
    return status


@pytest.mark.parametrize(
    ("rounds", "state", "since", "failures", "flaps"),
    [
        ("", UNKNOWN, 0.5, 0, 0),
        ("--", UNKNOWN, 0.5, 2, 0),
        ("+", HEALTHY, 1, 0, 0),
        ("--+", HEALTHY, 3, 0, 0),
        ("+++", HEALTHY, 1, 0, 0),
        ("+--+--", HEALTHY, 1, 2, 0),
        ("---", UNHEALTHY, 3, 3, 1),
        ("+-----", UNHEALTHY, 4, 5, 1),
        ("+---+", HEALTHY, 5, 0, 1),
        ("+---+---", UNHEALTHY, 8, 3, 2),
    ],
)
def test_only_so_many_failures_in_a_row_make_a_jail_unhealthy_and_one_pass_makes_it_healthy(
    rounds: str, state: Health, since: float, failures: int, flaps: int
) -> None:
    found = after(rounds)
    assert (found.state, found.since, found.failures, found.flaps) == (state, since, failures, flaps)


def test_the_last_failure_is_kept_when_the_next_round_passes_and_no_more_of_it_than_fits() -> None:
    assert after("--+").output == "sick at 2"
    assert len(after_round(HealthStatus(), "x" * 10_000, 1.0, 3).output) == HEALTH_OUTPUT


def test_a_round_that_brings_nothing_new_leaves_the_same_object() -> None:
    status = after("+")
    assert after_round(status, "", 9.0, 3) is status
