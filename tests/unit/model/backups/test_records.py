"""Which lineage a backup goes on, which go, and which one is meant."""

from __future__ import annotations

import pytest

from jaild.model.backups.records import Backup, BackupPart, Lineage, backup_of, continued, doomed, is_of, lineage_name
from jaild.model.errors import NotFoundError
from jaild.model.jails.spec import Keep
from jaild.model.layers.records import JailRecord, Ownership

RECORD = JailRecord(uid="u", owner="h", epoch=1, state=Ownership.ACTIVE, generation=1)


def backup(number: int, uid: str = "u", **parts: int) -> Backup:
    there = tuple(
        BackupPart(path=path.removeprefix("top"), guid=guid) for path, guid in ({"top": number} | parts).items()
    )
    return Backup(
        id=f"b{number}", jail="web", uid=uid, host="a", taken=float(number), record=RECORD, base="x", parts=there
    )


def lineage(name: str, *backups: Backup) -> Lineage:
    return Lineage(name=name, backups=backups)


@pytest.mark.parametrize(
    ("there", "longest", "name"),
    [
        ({"": {2}, "data": {20}}, None, "one"),
        ({"": {2}, "data": {20}, "new": set()}, None, "one"),  # a volume that was not there
        ({"": {2}, "data": {21}}, None, ""),  # the base of its data is gone
        ({"": {9}, "data": {20}}, None, ""),
        ({"": {2}, "data": {20}}, 2, "one"),
        ({"": {2}, "data": {20}}, 1, ""),  # it has as many increments as it may
        ({"": {2}, "data": {20}}, 0, ""),
    ],
)
def test_a_lineage_goes_on_while_every_part_has_its_base_here(
    there: dict[str, set[int]], longest: int | None, name: str
) -> None:
    known = [
        lineage("one", backup(1, data=10), backup(2, data=20)),
        lineage("others", backup(3, "other")),
        lineage("no"),
    ]
    found = continued(known, "u", there, longest)
    assert (found.name if found is not None else "") == name


def test_what_a_later_one_needs_stays_in_a_folder_and_not_on_a_pool() -> None:
    old, new = lineage("old", backup(1), backup(2)), lineage("new", backup(3), backup(4), backup(5))
    other = lineage("other", backup(6, "other"))
    known = [old, new, other, lineage("none")]
    assert doomed(known, "u", Keep(last=1), chained=False) == {"old": ("b1", "b2"), "new": ("b3", "b4")}
    assert doomed(known, "u", Keep(last=1), chained=True) == {"old": ("b1", "b2")}
    assert doomed(known, "u", Keep(last=4), chained=True) == {}
    assert doomed([], "u", Keep(), chained=True) == {}


def test_a_backup_is_found_by_its_id_or_a_time_in_all_lineages() -> None:
    known = [lineage("old", backup(1), backup(3)), lineage("new", backup(2))]
    assert [backup_of(known, "web", wanted)[1].id for wanted in ("b1", 2.5, 1e9)] == ["b1", "b2", "b3"]
    for wanted in ("b9", 0.5):
        with pytest.raises(NotFoundError, match="BACKUP_NOT_FOUND") as caught:
            backup_of(known, "web", wanted)
        assert caught.value.hint.startswith("there are: b3 (1970-01-01 00:00:03 UTC), b2")
    with pytest.raises(NotFoundError):
        backup_of(known, "other", 5.0)


def test_a_lineage_says_of_which_jail_it_is() -> None:
    name = lineage_name("web", "0123456789abcdef", "backup-1")
    assert name == "web.01234567.backup-1"
    assert [is_of(name, jail) for jail in ("web", "", "we")] == [True, True, False]
