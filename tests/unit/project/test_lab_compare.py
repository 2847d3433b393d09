"""What the comparison makes of samples, without machines."""

from __future__ import annotations

import pytest

from tests.lab import compare
from tests.lab.compare import Migration
from tests.lab.incus import Move
from tests.lab.syncoid import Sent

MB = 1_000_000


def migration(*, rate: int, downtime: float) -> Migration:
    return Migration(bytes=10 * rate, seed=12.0, empty=2.0, whole=14.0, downtime=downtime, parts={"stop": 0.2})


def move(*, downtime: float) -> Move:
    third = downtime / 3
    return Move(copy=20.0, refresh=4.0, stop=third, last=third, start=third, command=0.5)


def found(*, ours: Migration, syncoid: Sent, incus: list[Move]) -> dict[str, object]:
    return compare.document(1 << 20, [ours], [syncoid], incus)


def test_the_stream_is_judged_beside_syncoids_without_what_it_takes_for_nothing() -> None:
    sent = Sent(bytes=100 * MB, seconds=14.0, empty=4.0)
    told = found(ours=migration(rate=16 * MB, downtime=1.0), syncoid=sent, incus=[])
    [stream] = compare.goals(told)
    assert stream.met
    assert stream.value == pytest.approx(1.6)
    assert stream.told == ">= 1.5"


def test_the_downtime_is_judged_beside_the_recipes_stop_refresh_and_start() -> None:
    sent = Sent(bytes=100 * MB, seconds=14.0, empty=4.0)
    told = found(ours=migration(rate=10 * MB, downtime=2.0), syncoid=sent, incus=[move(downtime=5.0)])
    stream, downtime = compare.goals(told)
    assert (stream.met, downtime.met) == (False, False)
    assert downtime.value == pytest.approx(0.4)
    assert downtime.told == "<= 0.3"


def test_every_goal_has_a_line_and_what_was_not_measured_has_none() -> None:
    sent = Sent(bytes=100 * MB, seconds=14.0, empty=4.0)
    ours = migration(rate=10 * MB, downtime=2.0)
    both = found(ours=ours, syncoid=sent, incus=[move(downtime=5.0)])
    assert [row.goal for row in compare.rows(both)] == compare.goals(both)
    alone = found(ours=ours, syncoid=sent, incus=[])
    assert [row.what for row in compare.rows(alone)] == ["stream of 1M"]
