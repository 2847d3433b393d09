"""The ZFS contract: sending and receiving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from jaild.model.errors import (
    AbortedError,
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
)
from tests.contract.zfs_host import MIB, RECORDSIZE, ZfsHost, noise, pieces, refused, unending


class StreamCases:
    async def _sent(self, host: ZfsHost) -> tuple[str, bytes, bytes]:
        """Make a dataset with two snapshots; return its name, a full stream and an increment."""
        await host.zfs.create(name := f"{host.top}/src")
        await host.write(name, "big", noise(3 * MIB))
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

    async def test_an_increment_in_which_nothing_is_has_no_bytes_for_who_asks_only_for_changes(
        self, host: ZfsHost
    ) -> None:
        name, _, increment = await self._sent(host)
        await host.zfs.snapshot(name, "s3")
        for tag, base, wanted in (("s2", "s1", increment), ("s3", "s2", b"")):
            async with host.zfs.send(f"{name}@{tag}", base=f"{name}@{base}", if_changed=True) as got:
                assert b"".join([piece async for piece in got]) == wanted

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

    async def test_an_increment_steps_over_later_snapshots_with_nothing_written_since_and_leaves_them(
        self, host: ZfsHost
    ) -> None:
        _, full, increment = await self._sent(host)
        await host.zfs.receive(target := f"{host.top}/dst", pieces(full))
        for tag in ("own", "held"):
            await host.zfs.snapshot(target, tag)
        await host.zfs.clone(f"{target}@own", f"{host.top}/clone")
        await host.zfs.hold("jaild:one", f"{target}@held")
        assert await host.zfs.is_unchanged(f"{target}@s1")
        await host.zfs.receive(target, pieces(increment))
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1", "own", "held", "s2"]
        assert await host.read(target, "new") == b"new"
        assert not await host.zfs.is_unchanged(f"{target}@s1")
        await host.zfs.release("jaild:one", f"{target}@held")

    async def test_a_snapshot_made_while_an_increment_comes_ends_the_receive_and_the_next_one_goes_in(
        self, host: ZfsHost
    ) -> None:
        await host.zfs.create(name := f"{host.top}/src")
        await host.zfs.snapshot(name, "s1")
        await host.write(name, "big", noise(8 * MIB))
        await host.zfs.snapshot(name, "s2")
        await host.zfs.receive(target := f"{host.top}/dst", pieces(await host.stream(f"{name}@s1")))
        increment = await host.stream(f"{name}@s2", f"{name}@s1")

        async def meanwhile() -> AsyncIterator[bytes]:
            async for piece in pieces(increment[: 6 * MIB], 64 << 10):  # more than all on the way keep: it has begun
                yield piece
            await host.zfs.snapshot(target, "theirs")
            yield increment[6 * MIB :]

        with pytest.raises(AbortedError, match="theirs") as caught:
            await host.zfs.receive(target, meanwhile())
        assert caught.value.reason == "RECEIVE_OVERTAKEN"
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1", "theirs"]
        await host.zfs.receive(target, pieces(increment))
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1", "theirs", "s2"]
        assert await host.read(target, "big") == await host.read(name, "big")

    async def test_an_increment_does_not_go_onto_what_was_written_before_a_later_snapshot(self, host: ZfsHost) -> None:
        _, full, increment = await self._sent(host)
        await host.zfs.receive(target := f"{host.top}/dst", pieces(full))
        await host.zfs.mount(target)
        await host.write(target, "own", b"own")
        await host.zfs.snapshot(target, "later")
        assert not await host.zfs.is_unchanged(f"{target}@s1")
        await refused(host.zfs.receive(target, pieces(increment)), FailedPreconditionError, "DATASET_MODIFIED")
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1", "later"]

    async def test_an_increment_goes_onto_the_snapshot_that_its_caller_has_seen(self, host: ZfsHost) -> None:
        _, full, increment = await self._sent(host)
        await host.zfs.receive(target := f"{host.top}/dst", pieces(full))
        [seen] = await host.zfs.snapshots(target)
        await host.zfs.receive(target, pieces(increment), newest=seen.guid)
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1", "s2"]

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
        # OpenZFS reads far ahead of what it writes, and learns of a quota with the next transaction groups: 1 to 13 s.
        await host.zfs.create(name := f"{host.top}/src")
        await host.write(name, "big", data := noise(4 * MIB))
        await host.zfs.snapshot(name, "s1")
        full = await host.stream(f"{name}@s1")
        await host.zfs.create(f"{host.top}/small")
        if asyncio.iscoroutine(limited := host.limit(f"{host.top}/small", MIB)):
            await limited
        target = f"{host.top}/small/dst"
        sender = unending(full, data[-RECORDSIZE:])
        async with asyncio.timeout(90):
            await refused(host.zfs.receive(target, sender), ResourceExhaustedError, "NO_SPACE")
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
        guid = await host.guid(f"{name}@s1")
        await host.zfs.destroy(f"{name}@s1")
        await host.zfs.receive(target := f"{host.top}/dst", pieces(full))
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s2", f"{name}#b")))
        assert await host.read(target, "new") == b"new"
        for recursive in (False, True):
            [mark] = await host.zfs.bookmarks(name, recursive=recursive)
            assert (mark.name, mark.dataset, mark.tag, mark.guid) == (f"{name}#b", name, "b", guid)
        await host.zfs.destroy(f"{name}#b")
        assert await host.zfs.bookmarks(name) == []

    async def test_what_has_no_bookmarks_lists_none(self, host: ZfsHost) -> None:
        name, _, _ = await self._sent(host)
        assert await host.zfs.bookmarks(name, recursive=True) == []

    async def test_what_was_written_since_a_snapshot_is_told_where_this_zfs_can(self, host: ZfsHost) -> None:
        await host.zfs.create(top := f"{host.top}/top")
        await host.zfs.create(f"{top}/child")
        await host.zfs.snapshot(top, "s", recursive=True)
        if not (await host.zfs.capabilities()).written:
            return
        before = sum((await host.zfs.written(top, "s")).values())
        await host.write(f"{top}/child", "big", noise(3 * MIB))
        await host.zfs.snapshot(f"{top}/child", "synced")  # what is not on disk is not counted
        assert before < MIB < 3 * MIB <= (await host.zfs.written(top, "s"))[f"{top}/child"]
        assert (await host.zfs.written(top))[f"{top}/child"] < MIB

    async def test_what_is_taken_away_counts_as_written_and_nothing_is_written_by_nobody(self, host: ZfsHost) -> None:
        await host.zfs.create(top := f"{host.top}/top")
        for name in ("idle", "changed"):
            await host.zfs.create(f"{top}/{name}")
            await host.write(f"{top}/{name}", "small", b"x")
        await host.zfs.snapshot(top, "s", recursive=True)
        if not (await host.zfs.capabilities()).written:
            return
        (await host.file(f"{top}/changed", "small")).unlink()
        await host.zfs.snapshot(top, "synced", recursive=True)
        written = await host.zfs.written(top, "s")
        assert written[f"{top}/changed"] > 0
        assert written[f"{top}/idle"] == 0

    async def test_the_pools_features_are_told(self, host: ZfsHost) -> None:
        assert await host.zfs.pool_features(host.top.partition("/")[0])
