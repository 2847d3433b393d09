"""In which order jails are stopped for a shutdown, and how long each order is waited for."""

from __future__ import annotations

import pytest

from jaild.host.autostart import share


@pytest.mark.parametrize(
    ("left", "timeouts", "expected"),
    [
        (60.0, [10.0, 10.0, 10.0], 20.0),  # enough for all: nobody gets less than its own
        (60.0, [10.0], 60.0),
        (15.0, [10.0, 10.0, 10.0], 5.0),  # not enough: each the same part
        (30.0, [50.0, 10.0], 25.0),
        (0.0, [10.0, 10.0], 0.0),
        (-3.0, [10.0], 0.0),  # late already: asked to stop, and not waited for
        (9.0, [0.0, 0.0, 0.0], 3.0),
    ],
)
def test_the_time_is_shared_by_what_the_jails_ask_for(left: float, timeouts: list[float], expected: float) -> None:
    assert share(left, timeouts) == pytest.approx(expected)


def test_the_shares_of_all_groups_together_are_the_time_there_is() -> None:
    left, timeouts = 17.0, [5.0, 40.0, 1.0]
    while timeouts:
        left -= share(left, timeouts)
        timeouts.pop(0)
    assert left == pytest.approx(0.0)
