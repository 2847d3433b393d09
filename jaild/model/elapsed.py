"""How much time has passed, from one daemon to the next: told by the monotonic clock alone, which nobody can set."""

from __future__ import annotations


def passed(since: float, now: float) -> float:
    """Return the seconds from one reading of the host's monotonic clock to a later one; never more than have passed.

    That clock is the same for all daemons of a boot (CLOCK_MONOTONIC) and begins anew with the next: a reading that is
    before the earlier one is of a later boot, which has lasted for `now`. What the host was off for is not counted.
    """
    return now - since if now >= since else now
