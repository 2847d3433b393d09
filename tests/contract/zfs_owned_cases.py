"""Cases of the ZFS contract: what jaild's own snapshots, and those of others, stand on."""

from __future__ import annotations

from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model.errors import FailedPreconditionError
from tests.contract.zfs_host import ZfsHost, pieces, refused


class OwnedCases:
    """The use of the port by `OwnedSnapshots`."""

    async def test_where_others_have_a_name_own_snapshots_get_another_on_all_datasets(self, host: ZfsHost) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.snapshot(f"{host.top}/a/b", "before-2")
        owned = OwnedSnapshots(host.zfs, f"{host.top}/a")
        taken = await owned.take("before-2", "safety")
        assert [each.name for each in taken] == [f"{host.top}/a@before-2.2", f"{host.top}/a/b@before-2.2"]
        assert await owned.foreign() == [f"{host.top}/a/b@before-2"]
        assert await owned.drop(taken) == []
        assert [s.tag for s in await host.zfs.snapshots(f"{host.top}/a", recursive=True)] == ["before-2"]

    async def test_what_is_called_the_same_everywhere_goes_at_once_and_what_others_have_of_that_name_stays(
        self, host: ZfsHost
    ) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        owned = OwnedSnapshots(host.zfs, f"{host.top}/a")
        first, second = await owned.take("one", "safety"), await owned.take("two", "safety")
        await host.zfs.create(f"{host.top}/a/c")
        await host.zfs.snapshot(f"{host.top}/a/c", "two")
        for taken in (first, second):
            there = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
            assert await owned.drop(taken, among=there) == []
        left = await host.zfs.snapshots(f"{host.top}/a", recursive=True)
        assert [snapshot.name for snapshot in left] == [f"{host.top}/a/c@two"]

    async def test_own_snapshots_that_others_keep_stay_until_they_let_go(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        owned = OwnedSnapshots(host.zfs, name)
        [held] = await owned.take("held", "migration/1")
        [cloned] = await owned.take("cloned", "standby")
        [free] = await owned.take("free", "standby")
        await owned.hold([held, cloned, free])
        assert await owned.claims() == []
        await host.zfs.hold("jaild:one", held.name)
        await host.zfs.clone(cloned.name, f"{host.top}/theirs")
        claims = await owned.claims()
        assert [(claim.snapshot, claim.clones) for claim in claims] == [
            (held.name, ()),
            (cloned.name, (f"{host.top}/theirs",)),
        ]
        assert (claims[0].holds, claims[0].untold) in {(("jaild:one",), 0), ((), 1)}
        assert await owned.drop([held, cloned, free]) == [held.name, cloned.name]
        await host.zfs.release("jaild:one", held.name)
        await host.zfs.destroy(f"{host.top}/theirs")
        assert await owned.drop([held, cloned]) == []

    async def test_what_a_stream_brought_is_marked_and_held_by_its_guid(self, host: ZfsHost) -> None:
        await host.zfs.create(source := f"{host.top}/src")
        [sent] = await OwnedSnapshots(host.zfs, source).take("s", "standby")
        await host.zfs.receive(target := f"{host.top}/dst", pieces(await host.stream(sent.name)))
        await host.zfs.snapshot(target, "theirs")
        owned = OwnedSnapshots(host.zfs, target)
        assert await owned.of("standby") == []
        for _ in range(2):
            [kept] = await owned.keep("standby", [sent.guid])
            assert (kept.name, kept.purpose) == (f"{target}@s", "standby")
        [came] = await owned.of("standby")
        assert (came.tag, came.guid, came.holds) == ("s", sent.guid, 1)
        await owned.release_all(await host.zfs.snapshots(target))
        assert {snapshot.holds for snapshot in await host.zfs.snapshots(target)} == {0}

    async def test_a_dataset_goes_back_only_behind_snapshots_that_nobody_keeps(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        owned = OwnedSnapshots(host.zfs, name)
        await host.write(name, "f", b"old")
        [old] = await owned.take("old", "migration/1")
        await host.write(name, "f", b"new")
        for tag in ("theirs", "held"):
            await host.zfs.snapshot(name, tag)
        await host.zfs.hold("jaild:one", f"{name}@held")
        newer = (await host.zfs.snapshots(name))[1:]
        await refused(owned.return_to(old, newer), FailedPreconditionError, "SNAPSHOTS_IN_USE")
        assert len(await host.zfs.snapshots(name)) == 3
        await host.zfs.release("jaild:one", f"{name}@held")
        await owned.return_to(old, (await host.zfs.snapshots(name))[1:])
        assert [each.tag for each in await host.zfs.snapshots(name)] == ["old"]
        assert await host.read(name, "f") == b"old"
