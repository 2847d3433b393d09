"""What every `Zfs` does, as cases. An adapter's test module subclasses `ZfsContract` and says what `host` is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaild.domain.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    ResourceExhaustedError,
)
from jaild.ports.zfs import Dataset, Zfs

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ZfsHost:
    """`top` is an empty mounted dataset for one test; `seen` tells where the test sees a path of the ZFS."""

    zfs: Zfs
    top: str
    seen: Callable[[Path], Path]
    limit: Callable[[str, int], object]  # let (dataset below top, bytes) more be received

    async def file(self, dataset: str, name: str) -> Path:
        point = (await self.zfs.dataset(dataset)).mountpoint
        assert point is not None
        return self.seen(point) / name

    async def write(self, dataset: str, name: str, data: bytes) -> None:
        (await self.file(dataset, name)).write_bytes(data)

    async def read(self, dataset: str, name: str) -> bytes:
        await self.zfs.mount(dataset)
        return (await self.file(dataset, name)).read_bytes()

    async def stream(self, snapshot: str, base: str | None = None) -> bytes:
        async with self.zfs.send(snapshot, base=base) as stream:
            return b"".join([piece async for piece in stream])

    async def guid(self, snapshot: str) -> int:
        found = await self.zfs.snapshots(snapshot.partition("@")[0])
        return next(each.guid for each in found if each.name == snapshot)


async def pieces(data: bytes, size: int = MIB) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def endless(front: bytes) -> AsyncIterator[bytes]:
    yield front
    while True:
        await asyncio.sleep(0)
        yield bytes(MIB)


async def refused(call: object, kind: type[JaildError], reason: str) -> JaildError:
    with pytest.raises(kind) as caught:
        await call  # type: ignore[misc]
    assert caught.value.reason == reason
    assert caught.value.remedy
    return caught.value


class ZfsContract:
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
        await host.zfs.create(f"{host.top}/a", {"jaild:one": value})
        await host.zfs.create(f"{host.top}/a/b")
        await host.zfs.set(f"{host.top}/a/b", {"jaild:two": "2", "jaild:three": "3"})
        await host.zfs.snapshot(f"{host.top}/a", "s", recursive=True)
        found = {each.name: dict(each.properties) for each in await host.zfs.datasets(f"{host.top}/a")}
        assert found == {
            f"{host.top}/a": {"jaild:one": value},
            f"{host.top}/a/b": {"jaild:two": "2", "jaild:three": "3"},
        }

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

    # -- streams

    async def _sent(self, host: ZfsHost) -> tuple[str, bytes, bytes]:
        """Make a dataset with two snapshots; return its name, a full stream and an increment."""
        await host.zfs.create(name := f"{host.top}/src")
        await host.write(name, "big", bytes(range(256)) * (3 * MIB // 256))
        await host.write(name, "gone", b"x")
        await host.zfs.snapshot(name, "s1")
        (await host.file(name, "gone")).unlink()
        await host.write(name, "new", b"new")
        await host.zfs.snapshot(name, "s2")
        return name, await host.stream(f"{name}@s1"), await host.stream(f"{name}@s2", f"{name}@s1")

    async def test_what_is_received_is_unmounted_and_has_the_senders_guids_and_files(self, host: ZfsHost) -> None:
        name, full, increment = await self._sent(host)
        target = f"{host.top}/dst"
        wanted = {"canmount": "noauto", "jaild:one": '{"a": 1}'}
        await host.zfs.receive(target, pieces(full, 1000), properties=wanted)
        found = await host.zfs.dataset(target)
        assert (found.mounted, found.properties["jaild:one"]) == (False, '{"a": 1}')
        await host.zfs.receive(target, pieces(increment))
        assert [each.guid for each in await host.zfs.snapshots(target)] == [
            each.guid for each in await host.zfs.snapshots(name)
        ]
        assert not (await host.zfs.dataset(target)).mounted
        assert (await host.read(target, "new"), await host.read(target, "big")) == (
            b"new",
            await host.read(name, "big"),
        )
        assert not (await host.file(target, "gone")).exists()

    async def test_an_increment_is_estimated_smaller_than_the_whole(self, host: ZfsHost) -> None:
        name, full, increment = await self._sent(host)
        whole, part = await host.zfs.estimate(f"{name}@s2"), await host.zfs.estimate(f"{name}@s2", f"{name}@s1")
        assert len(full) * 0.8 < whole < len(full) * 2
        assert 0 < part < whole / 2
        assert part < len(increment) * 4

    async def test_a_clone_travels_as_an_increment_over_its_origin(self, host: ZfsHost) -> None:
        name, full, _ = await self._sent(host)
        await host.zfs.clone(f"{name}@s2", clone := f"{host.top}/clone")
        await host.write(clone, "own", b"own")
        await host.zfs.snapshot(clone, "c")
        stream = await host.stream(f"{clone}@c", f"{name}@s2")
        await host.zfs.receive(target := f"{host.top}/dst", pieces(stream), origin=f"{name}@s2")
        assert (await host.zfs.dataset(target)).origin == f"{name}@s2"
        assert len(stream) < len(full) / 2
        assert (await host.read(target, "own"), await host.read(target, "new")) == (b"own", b"new")

    async def test_an_increment_goes_only_where_its_base_is(self, host: ZfsHost) -> None:
        name, full, increment = await self._sent(host)
        await host.zfs.receive(f"{host.top}/has-base", pieces(full))
        await host.zfs.create(f"{host.top}/other")
        await host.zfs.snapshot(f"{host.top}/other", "s1")
        for target, origin in (
            (f"{host.top}/none", None),
            (f"{host.top}/other", None),
            (f"{host.top}/c", f"{name}@s2"),
        ):
            await refused(
                host.zfs.receive(target, pieces(increment), origin=origin),
                FailedPreconditionError,
                "STREAM_BASE_MISSING",
            )
        assert {each.name.rpartition("/")[2] for each in await host.zfs.datasets(host.top)} >= {"has-base", "other"}
        assert [each.tag for each in await host.zfs.snapshots(f"{host.top}/has-base")] == ["s1"]
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(f"{host.top}/none")

    async def test_a_full_stream_over_something_is_refused_and_leaves_it(self, host: ZfsHost) -> None:
        name, full, _ = await self._sent(host)
        await refused(host.zfs.receive(name, pieces(full)), AlreadyExistsError, "DATASET_EXISTS")
        assert await host.read(name, "new") == b"new"

    async def test_a_target_with_writes_of_its_own_is_refused_and_keeps_them(self, host: ZfsHost) -> None:
        _, full, increment = await self._sent(host)
        await host.zfs.receive(target := f"{host.top}/dst", pieces(full))
        await host.zfs.mount(target)
        await host.write(target, "own", b"own")
        await refused(host.zfs.receive(target, pieces(increment)), FailedPreconditionError, "DATASET_MODIFIED")
        assert await host.read(target, "own") == b"own"
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1"]

    async def test_an_increment_that_is_no_later_than_its_base_cannot_be_sent(self, host: ZfsHost) -> None:
        name, _, _ = await self._sent(host)
        await refused(host.stream(f"{name}@s1", f"{name}@s2"), FailedPreconditionError, "STREAM_BASE_MISSING")

    @pytest.mark.parametrize("kept", [0, 10, 400, 2 * MIB])
    async def test_a_truncated_stream_leaves_nothing(self, host: ZfsHost, kept: int) -> None:
        _, full, increment = await self._sent(host)
        target = f"{host.top}/dst"
        await refused(host.zfs.receive(target, pieces(full[:kept])), DataLossError, "STREAM_INVALID")
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(target)
        await host.zfs.receive(target, pieces(full))
        await refused(host.zfs.receive(target, pieces(increment[:kept][:-1])), DataLossError, "STREAM_INVALID")
        await host.zfs.receive(target, pieces(increment))
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1", "s2"]

    async def test_a_damaged_stream_leaves_nothing(self, host: ZfsHost) -> None:
        _, full, _ = await self._sent(host)
        damaged = bytearray(full)
        damaged[2 * MIB : 2 * MIB + 64] = b"damage! " * 8
        await refused(host.zfs.receive(f"{host.top}/dst", pieces(bytes(damaged))), DataLossError, "STREAM_INVALID")
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(f"{host.top}/dst")

    async def test_what_the_sender_raises_comes_out_of_receive_and_nothing_is_left(self, host: ZfsHost) -> None:
        _, full, _ = await self._sent(host)

        async def breaks() -> AsyncIterator[bytes]:
            yield full[: 2 * MIB]
            raise ConnectionResetError("the peer is gone")

        with pytest.raises(ConnectionResetError, match="the peer is gone"):
            await host.zfs.receive(f"{host.top}/dst", breaks())
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(f"{host.top}/dst")

    async def test_a_broken_pipe_of_the_sender_is_not_taken_for_the_receivers(self, host: ZfsHost) -> None:
        _, full, _ = await self._sent(host)

        async def breaks() -> AsyncIterator[bytes]:
            yield full[: 2 * MIB]
            raise BrokenPipeError("the sender's")

        with pytest.raises(BrokenPipeError, match="the sender's"):
            await host.zfs.receive(f"{host.top}/dst", breaks())

    async def test_a_cancelled_receive_leaves_nothing(self, host: ZfsHost) -> None:
        _, full, _ = await self._sent(host)
        reached = asyncio.Event()

        async def stalls() -> AsyncIterator[bytes]:
            yield full[: 2 * MIB]
            reached.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(host.zfs.receive(f"{host.top}/dst", stalls()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(f"{host.top}/dst")

    async def test_a_receiver_out_of_space_says_so_under_an_endless_sender_and_leaves_nothing(
        self, host: ZfsHost
    ) -> None:
        _, full, _ = await self._sent(host)
        await host.zfs.create(f"{host.top}/small")
        if asyncio.iscoroutine(limited := host.limit(f"{host.top}/small", MIB)):
            await limited
        target = f"{host.top}/small/dst"
        async with asyncio.timeout(30):
            await refused(host.zfs.receive(target, endless(full[:-500])), ResourceExhaustedError, "NO_SPACE")
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(target)

    async def test_a_sender_that_is_left_early_is_ended(self, host: ZfsHost) -> None:
        name, full, _ = await self._sent(host)
        async with host.zfs.send(f"{name}@s1") as stream:
            first = await anext(stream)
        assert full.startswith(first)
        await host.zfs.destroy(f"{name}@s2")
        await host.zfs.destroy(f"{name}@s1")

    async def test_a_receive_is_resumed_where_it_broke_off_where_this_zfs_can(self, host: ZfsHost) -> None:
        name, full, _ = await self._sent(host)
        target = f"{host.top}/dst"
        with pytest.raises(DataLossError):
            await host.zfs.receive(target, pieces(full[: 2 * MIB]), resumable=True)
        token = await host.zfs.resume_token(target)
        if not (await host.zfs.capabilities()).resumable_receive:
            assert token is None
            await host.zfs.receive(target, pieces(full))
            return
        await refused(
            host.zfs.receive(target, pieces(full), resumable=True), FailedPreconditionError, "RECEIVE_INTERRUPTED"
        )
        async with host.zfs.send(f"{name}@s1", token=token) as rest:
            await host.zfs.receive(target, rest, resumable=True)
        assert await host.zfs.resume_token(target) is None
        assert await host.guid(f"{target}@s1") == await host.guid(f"{name}@s1")
        assert await host.read(target, "big") == await host.read(name, "big")

    async def test_an_aborted_receive_leaves_nothing_and_aborting_again_is_no_error(self, host: ZfsHost) -> None:
        _, full, _ = await self._sent(host)
        target = f"{host.top}/dst"
        with pytest.raises(DataLossError):
            await host.zfs.receive(target, pieces(full[: 2 * MIB]), resumable=True)
        await host.zfs.abort_receive(target)
        await host.zfs.abort_receive(target)
        with pytest.raises(NotFoundError):
            await host.zfs.dataset(target)

    async def test_a_bookmark_stands_for_its_snapshot_as_a_base_where_this_zfs_can(self, host: ZfsHost) -> None:
        name, full, _ = await self._sent(host)
        if not (await host.zfs.capabilities()).bookmarks:
            await refused(host.zfs.bookmark(f"{name}@s1", "b"), FailedPreconditionError, "ZFS_CANNOT")
            return
        await host.zfs.bookmark(f"{name}@s1", "b")
        await host.zfs.bookmark(f"{name}@s1", "b")
        await refused(host.zfs.bookmark(f"{name}@s2", "b"), AlreadyExistsError, "DATASET_EXISTS")
        await host.zfs.destroy(f"{name}@s1")
        await host.zfs.receive(target := f"{host.top}/dst", pieces(full))
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s2", f"{name}#b")))
        assert await host.read(target, "new") == b"new"

    async def test_the_pools_features_are_told(self, host: ZfsHost) -> None:
        assert await host.zfs.pool_features(host.top.partition("/")[0])

    async def test_datasets_are_told_in_order_of_their_names_without_snapshots(self, host: ZfsHost) -> None:
        for name in ("b", "a", "a/x", "a-b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.snapshot(host.top, "s", recursive=True)
        found: list[Dataset] = await host.zfs.datasets(host.top)
        assert [each.name for each in found] == sorted(each.name for each in found)
        assert len(found) == 5
