"""The ZFS contract: datasets, properties, names, refusals, snapshots."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.layout import BASE_PROPERTY, JAIL_PROPERTY, RELEASE_PROPERTY
from jaild.ports.zfs import Dataset
from tests.contract.zfs_host import MIB, ZfsHost, noise, refused


class DatasetCases:
    # -- datasets and properties

    async def test_a_created_dataset_is_mounted_below_its_parent(self, host: ZfsHost) -> None:
        await host.zfs.create(f"{host.top}/a")
        parent, made = await host.zfs.datasets(host.top)
        assert made.name == f"{host.top}/a"
        assert parent.mountpoint is not None
        assert made.mountpoint == parent.mountpoint / "a"
        assert (made.mounted, made.readonly, made.origin, made.quota) == (True, False, "", 0)
        assert made.guid
        assert made.created > 1_600_000_000

    async def test_canmount_noauto_leaves_a_new_dataset_unmounted(self, host: ZfsHost) -> None:
        await host.zfs.create(f"{host.top}/a", {"canmount": "noauto", "readonly": "on"})
        made = await host.zfs.dataset(f"{host.top}/a")
        assert (made.mounted, made.readonly) == (False, True)

    async def test_mounting_and_unmounting_twice_is_no_error(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.mount(name)
        await host.zfs.unmount(name)
        await host.zfs.unmount(name)
        assert not (await host.zfs.dataset(name)).mounted
        await host.zfs.mount(name)
        assert (await host.zfs.dataset(name)).mounted

    async def test_data_written_before_an_unmount_is_there_after_a_mount(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.write(name, "f", b"kept")
        await host.zfs.unmount(name)
        assert not (await host.file(name, "f")).exists()
        assert await host.read(name, "f") == b"kept"

    async def test_a_dataset_without_a_mountpoint_says_none_and_cannot_be_mounted(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a", {"mountpoint": "none"})
        assert (await host.zfs.dataset(name)).mountpoint is None
        await refused(host.zfs.mount(name), InvalidArgumentError, "INVALID_PROPERTY")

    async def test_user_properties_count_only_where_they_were_set(self, host: ZfsHost) -> None:
        value = '{"owner": "a", "text": "x=y ü"}'
        await host.zfs.create(f"{host.top}/a", {JAIL_PROPERTY: value})
        await host.zfs.create(f"{host.top}/a/b")
        await host.zfs.set(f"{host.top}/a/b", {BASE_PROPERTY: "2", RELEASE_PROPERTY: "3"})
        await host.zfs.snapshot(f"{host.top}/a", "s", recursive=True)
        found = {each.name: dict(each.properties) for each in await host.zfs.datasets(f"{host.top}/a")}
        assert found == {
            f"{host.top}/a": {JAIL_PROPERTY: value},
            f"{host.top}/a/b": {BASE_PROPERTY: "2", RELEASE_PROPERTY: "3"},
        }

    async def test_several_datasets_get_the_same_properties(self, host: ZfsHost) -> None:
        names = [f"{host.top}/a", f"{host.top}/a/b", f"{host.top}/c"]
        for name in names:
            await host.zfs.create(name)
        await host.zfs.set(names[2], {"jaild:one": "1", "quota": str(20 * MIB)}, *names[:2])
        found = [await host.zfs.dataset(name) for name in names]
        assert [(dict(each.properties), each.quota) for each in found] == [({"jaild:one": "1"}, 20 * MIB)] * 3
        none = f"{host.top}/none"
        await refused(host.zfs.set(names[0], {"jaild:one": "2"}, none), NotFoundError, "DATASET_NOT_FOUND")
        await refused(host.zfs.set(none, {"jaild:one": "2"}, names[0]), NotFoundError, "DATASET_NOT_FOUND")

    async def test_an_inherited_property_is_gone_and_inheriting_it_again_is_no_error(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a", {"jaild:one": "1", "readonly": "on"})
        for prop in ("jaild:one", "jaild:one", "readonly"):
            await host.zfs.inherit(name, prop)
        found = await host.zfs.dataset(name)
        assert (dict(found.properties), found.readonly) == ({}, False)

    async def test_a_quota_is_told_in_bytes(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a", {"quota": str(20 * MIB)})
        found = await host.zfs.dataset(name)
        assert found.quota == 20 * MIB
        assert 0 < found.available <= 20 * MIB

    async def test_settings_are_told_as_they_are_in_effect(self, host: ZfsHost) -> None:
        await host.zfs.create(f"{host.top}/a", {"atime": "on", "xattr": "off"})
        await host.zfs.create(name := f"{host.top}/a/b", {"sharenfs": "off", "jaild:one": "1"})
        found = await host.zfs.settings(name)
        told = {prop: found[prop] for prop in ("readonly", "atime", "xattr", "sharenfs", "casesensitivity")}
        expected = {"readonly": "off", "atime": "on", "xattr": "off", "sharenfs": "off"}
        assert told == {**expected, "casesensitivity": "sensitive"}
        assert not [prop for prop in found if ":" in prop]

    async def test_a_refquota_is_told_in_bytes_and_cannot_be_less_than_the_data(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a", {"refquota": str(20 * MIB), "quota": str(200 * MIB)})
        await host.write(name, "file", noise(4 * MIB))
        await host.zfs.snapshot(name, "one")  # which also writes to disk what is not there yet
        found = await host.zfs.dataset(name)
        assert (found.refquota, found.quota) == (20 * MIB, 200 * MIB)
        assert 4 * MIB <= found.referenced < 20 * MIB
        assert found.available <= 16 * MIB
        for prop in ("refquota", "quota"):
            await refused(host.zfs.set(name, {prop: str(MIB)}), InvalidArgumentError, "INVALID_PROPERTY")
        await host.zfs.set(name, {"refquota": "none", "quota": "none"})
        found = await host.zfs.dataset(name)
        assert (found.refquota, found.quota) == (0, 0)

    async def test_a_value_of_4096_bytes_is_kept_and_a_longer_one_refused_before_zfs_sees_it(
        self, host: ZfsHost
    ) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.set(name, {"jaild:one": "x" * 4096})
        await refused(host.zfs.set(name, {"jaild:one": "ü" * 2049}), InvalidArgumentError, "INVALID_PROPERTY")
        assert (await host.zfs.dataset(name)).properties["jaild:one"] == "x" * 4096

    @pytest.mark.parametrize("prop", ["nonsense", "Bad:Name", "jaild:a=b"])
    async def test_a_property_that_does_not_exist_is_refused(self, host: ZfsHost, prop: str) -> None:
        await refused(host.zfs.set(host.top, {prop: "1"}), InvalidArgumentError, "INVALID_PROPERTY")

    async def test_control_characters_in_a_value_are_refused(self, host: ZfsHost) -> None:
        await refused(host.zfs.set(host.top, {"jaild:one": "a\nb\tc"}), InvalidArgumentError, "INVALID_PROPERTY")

    async def test_a_new_mountpoint_moves_the_mount(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.write(name, "f", b"x")
        top = (await host.zfs.dataset(host.top)).mountpoint
        assert top is not None
        await host.zfs.set(name, {"mountpoint": str(top / "elsewhere")})
        assert (host.seen(top) / "elsewhere/f").read_bytes() == b"x"

    # -- names

    @pytest.mark.parametrize("last", ["a.b", "a_b", "a-b", "a:b", "1.0", "x" * 40])
    async def test_odd_names_work_for_datasets_snapshots_and_holds(self, host: ZfsHost, last: str) -> None:
        await host.zfs.create(name := f"{host.top}/{last}")
        await host.zfs.snapshot(name, last)
        await host.zfs.hold(f"jaild:{last}", f"{name}@{last}")
        assert [each.tag for each in await host.zfs.snapshots(name)] == [last]
        await host.zfs.release(f"jaild:{last}", f"{name}@{last}")
        await host.zfs.destroy(name, recursive=True)

    @pytest.mark.parametrize("last", ["", "a b", "a@b", "a#b", "-f", "a/", "ä", "a%b", "a,b", "a+b", "..", "x" * 300])
    async def test_names_that_some_zfs_or_a_mount_table_would_misread_are_refused(
        self, host: ZfsHost, last: str
    ) -> None:
        await refused(host.zfs.create(f"{host.top}/{last}"), InvalidArgumentError, "INVALID_DATASET_NAME")
        await refused(host.zfs.snapshot(host.top, last), InvalidArgumentError, "INVALID_DATASET_NAME")

    # -- refusals

    async def test_what_is_missing_is_not_found_by_every_operation(self, host: ZfsHost) -> None:
        zfs, none = host.zfs, f"{host.top}/none"
        for call in (
            zfs.dataset(none),
            zfs.datasets(none),
            zfs.snapshots(none),
            zfs.create(f"{none}/child"),
            zfs.clone(f"{none}@s", f"{host.top}/clone"),
            zfs.set(none, {"jaild:one": "1"}),
            zfs.inherit(none, "jaild:one"),
            zfs.snapshot(none, "s"),
            zfs.destroy(none),
            zfs.destroy(f"{host.top}@none"),
            zfs.rename(none, f"{host.top}/other"),
            zfs.rollback(f"{host.top}@none"),
            zfs.hold("jaild:t", f"{host.top}@none"),
            zfs.mount(none),
            zfs.unmount(none),
            zfs.estimate(f"{host.top}@none"),
            host.stream(f"{host.top}@none"),
        ):
            await refused(call, NotFoundError, "DATASET_NOT_FOUND")

    async def test_names_that_are_taken_are_refused(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.create(f"{host.top}/b")
        await host.zfs.snapshot(name, "s")
        for call in (
            host.zfs.create(name),
            host.zfs.snapshot(name, "s"),
            host.zfs.clone(f"{name}@s", f"{host.top}/b"),
            host.zfs.rename(name, f"{host.top}/b"),
        ):
            await refused(call, AlreadyExistsError, "DATASET_EXISTS")

    async def test_a_dataset_with_something_below_goes_only_recursively(self, host: ZfsHost) -> None:
        await host.zfs.create(f"{host.top}/a")
        await host.zfs.create(f"{host.top}/a/b")
        await host.zfs.snapshot(f"{host.top}/a/b", "s")
        await refused(host.zfs.destroy(f"{host.top}/a"), FailedPreconditionError, "DATASET_HAS_CHILDREN")
        await host.zfs.destroy(f"{host.top}/a", recursive=True)
        assert [each.name for each in await host.zfs.datasets(host.top)] == [host.top]

    async def test_a_cancelled_snapshot_is_there_or_never_comes(self, host: ZfsHost) -> None:
        seen = []
        for number in range(20):
            task = asyncio.create_task(host.zfs.snapshot(host.top, f"s{number}", recursive=True))
            await asyncio.sleep(0.0005 * number)  # somewhere in it
            task.cancel()
            await asyncio.wait({task})
            seen.append(f"s{number}" in {each.tag for each in await host.zfs.snapshots(host.top)})
        there = {each.tag for each in await host.zfs.snapshots(host.top)}
        assert [f"s{number}" in there for number in range(20)] == seen

    async def test_a_snapshot_with_a_clone_stays(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.snapshot(name, "s")
        await host.zfs.clone(f"{name}@s", f"{host.top}/clone")
        await refused(host.zfs.destroy(f"{name}@s"), FailedPreconditionError, "DATASET_HAS_CLONES")
        await refused(host.zfs.destroy(name, recursive=True), FailedPreconditionError, "DATASET_HAS_CLONES")

    async def test_a_held_snapshot_survives_until_its_last_hold_is_released(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.snapshot(name, "s")
        for tag in ("jaild:one", "jaild:two", "jaild:two"):
            await host.zfs.hold(tag, f"{name}@s")
        await refused(host.zfs.destroy(f"{name}@s"), FailedPreconditionError, "SNAPSHOT_HELD")
        await host.zfs.release("jaild:one", f"{name}@s", f"{name}@none")
        await refused(host.zfs.destroy(f"{name}@s"), FailedPreconditionError, "SNAPSHOT_HELD")
        await host.zfs.release("jaild:two", f"{name}@s")
        await host.zfs.release("jaild:two", f"{name}@s")
        await host.zfs.destroy(f"{name}@s")

    async def test_holds_are_listed_where_this_zfs_can_and_refused_by_name_where_not(self, host: ZfsHost) -> None:
        await host.zfs.snapshot(host.top, "s")
        await host.zfs.hold("jaild:one", f"{host.top}@s")
        try:
            if (await host.zfs.capabilities()).lists_holds:
                assert await host.zfs.holds(f"{host.top}@s") == {"jaild:one"}
            else:
                await refused(host.zfs.holds(f"{host.top}@s"), FailedPreconditionError, "ZFS_CANNOT")
        finally:
            await host.zfs.release("jaild:one", f"{host.top}@s")

    # -- snapshots, clones, rollback

    async def test_a_recursive_snapshot_is_made_of_all_or_of_none(self, host: ZfsHost) -> None:
        for name in ("a", "a/b", "a/b/c"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.snapshot(f"{host.top}/a/b/c", "s")
        await refused(host.zfs.snapshot(f"{host.top}/a", "s", recursive=True), AlreadyExistsError, "DATASET_EXISTS")
        found = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
        assert [each.name for each in found] == [f"{host.top}/a/b/c@s"]

    async def test_snapshots_come_oldest_first_and_only_the_datasets_own(self, host: ZfsHost) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        for tag in ("z", "m", "a"):
            await host.zfs.snapshot(f"{host.top}/a", tag, recursive=True)
        assert [each.tag for each in await host.zfs.snapshots(f"{host.top}/a")] == ["z", "m", "a"]
        found = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
        assert [each.tag for each in found if each.dataset == f"{host.top}/a/b"] == ["z", "m", "a"]
        assert len(found) == len({each.guid for each in found}) == 6

    async def test_a_snapshot_says_what_it_is_for_and_inherits_nothing_of_it(self, host: ZfsHost) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.set(f"{host.top}/a", {"jaild:snapshot": "of-the-dataset"})
        await host.zfs.snapshot(f"{host.top}/a", "own", recursive=True, purpose="safety")
        await host.zfs.snapshot(f"{host.top}/a", "theirs", recursive=True)
        found = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
        assert [each.purpose for each in found] == ["safety", "", "safety", ""]
        await host.zfs.mark("migration/1", *(each.name for each in found[1:3]))
        await host.zfs.mark("migration/1")
        found = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
        assert [each.purpose for each in found] == ["safety", "migration/1", "migration/1", ""]

    async def test_what_keeps_a_snapshot_is_told_with_it(self, host: ZfsHost) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.snapshot(f"{host.top}/a", "s", recursive=True)
        assert dict(await host.zfs.clones(f"{host.top}/a")) == {}
        await host.zfs.hold("jaild:one", f"{host.top}/a@s")
        await host.zfs.hold("jaild:two", f"{host.top}/a@s")
        for clone in ("x", "y", "a/inside"):
            await host.zfs.clone(f"{host.top}/a/b@s", f"{host.top}/{clone}")
        found = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
        assert {each.name.removeprefix(host.top): each.holds for each in found} == {"/a@s": 2, "/a/b@s": 0}
        assert {name: sorted(clones) for name, clones in (await host.zfs.clones(f"{host.top}/a")).items()} == {
            f"{host.top}/a/b@s": [f"{host.top}/x", f"{host.top}/y"]
        }
        for tag in ("jaild:one", "jaild:two"):
            await host.zfs.release(tag, f"{host.top}/a@s")

    async def test_a_clone_has_its_origins_files_and_leaves_them_alone(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.write(name, "f", b"old")
        await host.zfs.snapshot(name, "s")
        await host.zfs.clone(f"{name}@s", clone := f"{host.top}/clone", {"jaild:one": "1"})
        await host.write(clone, "f", b"new")
        found = await host.zfs.dataset(clone)
        assert (found.origin, dict(found.properties)) == (f"{name}@s", {"jaild:one": "1"})
        assert (await host.read(name, "f"), await host.read(clone, "f")) == (b"old", b"new")

    async def test_a_rollback_returns_to_the_newest_snapshot_and_to_no_older_one(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.snapshot(name, "s1")
        await host.write(name, "f", b"old")
        await host.zfs.snapshot(name, "s2")
        await host.write(name, "f", b"new")
        await refused(host.zfs.rollback(f"{name}@s1"), FailedPreconditionError, "DATASET_BUSY")
        await host.zfs.rollback(f"{name}@s2")
        assert await host.read(name, "f") == b"old"

    async def test_a_rollback_goes_over_no_bookmark_that_is_newer(self, host: ZfsHost) -> None:
        can = await host.zfs.capabilities()
        if not can.bookmarks:
            assert can.implementation != "openzfs"
            pytest.skip("this ZFS has no bookmarks")
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.snapshot(name, "s1")
        await host.write(name, "f", b"new")
        await host.zfs.snapshot(name, "s2")
        await host.zfs.bookmark(f"{name}@s2", "mark")
        await host.zfs.destroy(f"{name}@s2")
        await refused(host.zfs.rollback(f"{name}@s1"), FailedPreconditionError, "DATASET_BUSY")
        await host.zfs.destroy(f"{name}#mark")
        await host.zfs.rollback(f"{name}@s1")

    async def test_a_rename_takes_children_snapshots_and_origins_along(self, host: ZfsHost) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.write(f"{host.top}/a/b", "f", b"x")
        await host.zfs.snapshot(f"{host.top}/a/b", "s")
        await host.zfs.clone(f"{host.top}/a/b@s", f"{host.top}/clone")
        await host.zfs.rename(f"{host.top}/a", f"{host.top}/z")
        assert await host.read(f"{host.top}/z/b", "f") == b"x"
        assert (await host.zfs.dataset(f"{host.top}/clone")).origin == f"{host.top}/z/b@s"
        assert [each.tag for each in await host.zfs.snapshots(f"{host.top}/z/b")] == ["s"]

    async def test_datasets_are_told_in_order_of_their_names_without_snapshots(self, host: ZfsHost) -> None:
        for name in ("b", "a", "a/x", "a-b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.snapshot(host.top, "s", recursive=True)
        found: list[Dataset] = await host.zfs.datasets(host.top)
        assert [each.name for each in found] == sorted(each.name for each in found)
        assert len(found) == 5


class MountedCases:
    """What a mounted file system is asked by a system call: for a `host` whose file systems are this machine's."""

    async def test_a_mounted_dataset_tells_its_space_without_zfs_and_one_that_is_not_nothing(
        self, host: ZfsHost
    ) -> None:
        await host.zfs.create(name := f"{host.top}/a", {"refquota": str(20 * MIB)})
        point = (await host.zfs.dataset(name)).mountpoint
        assert point is not None
        folder = host.seen(point)
        assert isinstance(folder, Path)
        told, asked = await host.zfs.mounted(folder), await host.zfs.dataset(name)
        assert told is not None
        assert abs(told.referenced - asked.referenced) < MIB
        assert abs(told.available - asked.available) < MIB
        assert told.available <= 20 * MIB
        await host.zfs.unmount(name)
        assert await host.zfs.mounted(folder) is None
