"""What two hosts keep of a migration that is over, as the one that has the jail makes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from jaild.model.errors import InternalError, NotFoundError
from jaild.transfer.snapshots import MigrationSnapshots
from tests.fakes.zfs import FakeZfs

WEB = "tank/web"
MIGRATION = "f" * 32


@pytest.fixture
async def zfs(tmp_path: Path) -> FakeZfs:
    """A jail with two datasets, of which a migration has made two snapshots."""
    made = FakeZfs(tmp_path)
    for dataset in (WEB, f"{WEB}/data"):
        await made.create(dataset)
    for number in range(2):
        await MigrationSnapshots(made, WEB).take(MIGRATION, number)
    return made


async def kept(zfs: FakeZfs) -> tuple[list[str], list[str]]:
    """Return the names of the snapshots and of the bookmarks."""
    snapshots = [snapshot.name for snapshot in await zfs.snapshots(WEB, recursive=True)]
    return snapshots, [mark.name for mark in await zfs.bookmarks(WEB, recursive=True)]


async def test_what_is_kept_is_decided_from_one_look(zfs: FakeZfs) -> None:
    await MigrationSnapshots(zfs, WEB).supersede(MIGRATION, f"mig-{MIGRATION[:12]}-0")
    zfs.calls.clear()
    await MigrationSnapshots(zfs, WEB).settle()
    looks = Counter(operation for operation, _ in zfs.calls)
    assert (looks["snapshots"], looks["bookmarks"], looks["dataset"]) == (1, 1, 1)
    assert await kept(zfs) == ([], [f"{name}#mig-{MIGRATION[:12]}-0" for name in (WEB, f"{WEB}/data")])


async def test_a_bookmark_that_somebody_destroyed_meanwhile_keeps_no_other(zfs: FakeZfs) -> None:
    migrated = MigrationSnapshots(zfs, WEB)
    await migrated.supersede(MIGRATION, f"mig-{MIGRATION[:12]}-1")
    [mark, _] = await zfs.bookmarks(WEB, recursive=True)
    zfs.refuse[f"destroy {mark.name}"] = NotFoundError("DATASET_NOT_FOUND", f"{mark.name} is gone", hint="none")
    await migrated.thin()
    assert await kept(zfs) == ([f"{name}@mig-{MIGRATION[:12]}-1" for name in (WEB, f"{WEB}/data")], [mark.name])


async def test_what_is_kept_of_each_dataset_is_its_own_newest_also_after_a_crash(zfs: FakeZfs) -> None:
    first, last = (f"mig-{MIGRATION[:12]}-{number}" for number in range(2))
    await zfs.release("jaild-migration", f"{WEB}/data@{last}")
    await zfs.destroy(f"{WEB}/data@{last}")  # nothing of the last round came: nothing had been written
    zfs.refuse[f"destroy {WEB}/data@{first}"] = InternalError("COMMAND_FAILED", "killed")
    with pytest.raises(InternalError):
        await MigrationSnapshots(zfs, WEB).settle()
    zfs.refuse.clear()
    await MigrationSnapshots(zfs, WEB).settle()
    assert await kept(zfs) == ([], [f"{WEB}#{last}", f"{WEB}/data#{first}"])
