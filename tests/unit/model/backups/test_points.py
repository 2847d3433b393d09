"""A time or a name leads to one moment of a jail, or to an error that says what there is."""

from __future__ import annotations

import pytest

from jaild.model.backups.points import Point, point_of, points
from jaild.model.errors import NotFoundError
from jaild.model.snapshots import Snapshot

ROOT = "tank/jaild/jails/web"


def snapshot(tag: str, created: int, path: str = "data", purpose: str = "") -> Snapshot:
    dataset = f"{ROOT}/{path}" if path else ROOT
    return Snapshot(
        dataset=dataset, tag=tag, guid=hash((tag, path)), created=created, used=1, referenced=10, purpose=purpose
    )


def moments() -> tuple[Point, ...]:
    own = [snapshot("auto-1", 100, path, "schedule") for path in ("", "data", "db")]
    sanoid = [snapshot("autosnap_1", 150), snapshot("autosnap_1", 151, "db"), snapshot("db-only", 160, "db")]
    return points(ROOT, [snapshot("auto-2", 200), *sanoid, *own])


def test_snapshots_of_one_name_are_one_moment_whoever_took_them() -> None:
    first, second, third = moments()
    assert [point.tag for point in (first, second, third)] == ["auto-1", "autosnap_1", "auto-2"]
    assert (sorted(first.parts), first.purpose, first.used, first.referenced) == (["", "data", "db"], "schedule", 3, 30)
    assert [point.is_atomic for point in (first, second, third)] == [True, False, True]
    assert (second.created, second.purpose) == (151, "")


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        ("auto-1", "auto-1"),
        (100, "auto-1"),
        (150.9, "auto-1"),
        (151, "autosnap_1"),
        (1e12, "auto-2"),
        ("auto-2", "auto-2"),
    ],
)
def test_a_time_leads_to_the_last_one_before_it_and_a_name_to_its_own(wanted: str | float, tag: str) -> None:
    assert point_of(moments(), wanted).tag == tag


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("db-only", "there are: auto-2, autosnap_1, auto-1"),
        (99.9, "the oldest of 3 snapshots is auto-1, 1970-01-01 00:01:40 UTC"),
        (float("nan"), "the oldest of 3 snapshots"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(wanted: str | float, hint: str) -> None:
    with pytest.raises(NotFoundError, match="SNAPSHOT_NOT_FOUND") as caught:
        point_of(moments(), wanted)
    assert hint in caught.value.hint


def test_many_names_are_told_by_the_newest() -> None:
    many = points(ROOT, [snapshot(f"s{number}", number) for number in range(8)])
    with pytest.raises(NotFoundError) as caught:
        point_of(many, "none")
    assert caught.value.hint == "there are: s7, s6, s5, s4, s3 and 3 older"
    with pytest.raises(NotFoundError, match="no snapshot"):
        point_of((), 5.0)
