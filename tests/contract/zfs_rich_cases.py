"""The ZFS contract: what only a rich ZFS can do. Each case says what a poorer one does instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jaild.model.errors import (
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
)
from tests.contract.zfs_host import MIB, ZfsHost, noise, pieces, refused


async def cut_after(stream: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Yield the first `size` bytes, then lose the sender."""
    async for piece in stream:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            raise ConnectionResetError("cut")


class RichCases:
    async def _source(self, host: ZfsHost, size: int = 5 * MIB) -> str:
        """Make a dataset with a file of `size` bytes, and a snapshot @s1 of it."""
        await host.zfs.create(name := f"{host.top}/src")
        await host.write(name, "big", noise(size))
        await host.zfs.snapshot(name, "s1")
        return name

    async def _interrupted(self, host: ZfsHost, snapshot: str, target: str, base: str | None = None) -> str | None:
        """Receive the first 2 MiB of a stream, resumably; return the token."""
        with pytest.raises(ConnectionResetError):
            async with host.zfs.send(snapshot, base=base) as stream:
                await host.zfs.receive(target, cut_after(stream, 2 * MIB), resumable=True)
        return await host.zfs.resume_token(target)

    async def test_a_full_send_survives_repeated_cuts_while_newer_snapshots_appear_and_its_own_is_held(
        self, host: ZfsHost
    ) -> None:
        name, target = await self._source(host), f"{host.top}/dst"
        await host.zfs.hold("jaild:one", f"{name}@s1")
        token, cuts = await self._interrupted(host, f"{name}@s1", target), 1
        while token is not None and cuts < 20:
            await host.zfs.snapshot(name, f"newer-{cuts}")
            await refused(host.zfs.destroy(f"{name}@s1"), FailedPreconditionError, "SNAPSHOT_HELD")
            try:
                async with host.zfs.send(f"{name}@s1", token=token) as rest:
                    await host.zfs.receive(target, cut_after(rest, MIB), resumable=True)
            except ConnectionResetError:
                cuts += 1
            before, token = token, await host.zfs.resume_token(target)
            assert token != before
        if (await host.zfs.capabilities()).resumable_receive:
            assert 3 <= cuts < 20
        else:
            await host.zfs.receive(target, pieces(await host.stream(f"{name}@s1")))
        assert [each.guid for each in await host.zfs.snapshots(target)] == [await host.guid(f"{name}@s1")]
        assert await host.read(target, "big") == await host.read(name, "big")
        await host.zfs.release("jaild:one", f"{name}@s1")

    async def test_a_token_whose_snapshot_is_another_one_by_now_is_refused(self, host: ZfsHost) -> None:
        name = await self._source(host)
        token = await self._interrupted(host, f"{name}@s1", f"{host.top}/dst")
        if token is None:
            assert not (await host.zfs.capabilities()).resumable_receive
            return
        await host.zfs.destroy(f"{name}@s1")
        await host.zfs.snapshot(name, "s1")
        with pytest.raises(FailedPreconditionError) as caught:
            async with host.zfs.send(f"{name}@s1", token=token) as rest:
                [piece async for piece in rest]
        assert caught.value.reason == "TOKEN_STALE"

    async def test_aborting_an_interrupted_increment_leaves_what_was_there_before(self, host: ZfsHost) -> None:
        name, target = await self._source(host), f"{host.top}/dst"
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s1")))
        await host.write(name, "more", noise(4 * MIB, seed=2))
        await host.zfs.snapshot(name, "s2")
        await self._interrupted(host, f"{name}@s2", target, f"{name}@s1")
        assert [each.tag for each in await host.zfs.snapshots(target)] == ["s1"]
        await host.zfs.abort_receive(target)
        assert await host.zfs.resume_token(target) is None
        assert await host.read(target, "big") == await host.read(name, "big")
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s2", f"{name}@s1")))
        assert await host.read(target, "more") == await host.read(name, "more")

    async def test_a_receive_whose_completion_was_lost_is_seen_by_guid_and_not_done_again(self, host: ZfsHost) -> None:
        name, target = await self._source(host), f"{host.top}/dst"
        stream = await host.stream(f"{name}@s1")
        await host.zfs.receive(target, pieces(stream), resumable=True)
        assert await host.guid(f"{target}@s1") == await host.guid(f"{name}@s1")
        assert await host.zfs.resume_token(target) is None
        with pytest.raises(JaildError) as caught:
            await host.zfs.receive(target, pieces(stream), resumable=True)
        assert caught.value.reason == "DATASET_EXISTS"

    async def test_of_twins_with_one_guid_the_origin_that_was_named_is_taken_or_the_receive_refused(
        self, host: ZfsHost
    ) -> None:
        name, twin = await self._source(host, MIB), f"{host.top}/twin"
        await host.zfs.receive(twin, pieces(await host.stream(f"{name}@s1")))
        await host.zfs.clone(f"{name}@s1", clone := f"{host.top}/clone")
        await host.zfs.snapshot(clone, "c")
        stream = await host.stream(f"{clone}@c", f"{name}@s1")
        for number, origin in enumerate((f"{name}@s1", f"{twin}@s1")):
            target = f"{host.top}/dst{number}"
            refusals = []
            try:
                await host.zfs.receive(target, pieces(stream), origin=origin)
            except FailedPreconditionError as error:
                refusals.append(error.reason)
            if refusals:
                assert refusals == ["ORIGIN_AMBIGUOUS"]
                assert not (await host.zfs.capabilities()).receive_properties
                with pytest.raises(NotFoundError):
                    await host.zfs.dataset(target)
            else:
                assert (await host.zfs.dataset(target)).origin == origin

    async def test_of_several_properties_set_at_once_none_is_set_if_one_is_refused(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        wanted = {"jaild:one": "1", "jaild:two": "2", "nonsense": "1"}
        await refused(host.zfs.set(name, wanted), InvalidArgumentError, "INVALID_PROPERTY")
        kept = {} if (await host.zfs.capabilities()).set_many else {"jaild:one": "1", "jaild:two": "2"}
        assert dict((await host.zfs.dataset(name)).properties) == kept

    async def test_a_dataset_with_a_held_snapshot_is_not_destroyed_recursively(self, host: ZfsHost) -> None:
        await host.zfs.create(name := f"{host.top}/a")
        await host.zfs.snapshot(name, "s")
        await host.zfs.hold("jaild:one", f"{name}@s")
        await refused(host.zfs.destroy(name, recursive=True), FailedPreconditionError, "SNAPSHOT_HELD")
        await host.zfs.release("jaild:one", f"{name}@s")
        await host.zfs.destroy(name, recursive=True)

    async def test_properties_that_come_with_a_receive_are_there_when_it_is_done(self, host: ZfsHost) -> None:
        name, target = await self._source(host, MIB), f"{host.top}/dst"
        wanted = {"canmount": "noauto", "readonly": "on", "jaild:one": "1"}
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s1")), properties=wanted)
        found = await host.zfs.dataset(target)
        assert (found.mounted, found.readonly, dict(found.properties)) == (False, True, {"jaild:one": "1"})

    async def test_an_increment_reaches_a_readonly_target_that_is_mounted(self, host: ZfsHost) -> None:
        name, target = await self._source(host, MIB), f"{host.top}/dst"
        readonly = {"canmount": "noauto", "readonly": "on"}
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s1")), properties=readonly)
        assert await host.read(target, "big") == await host.read(name, "big")
        await host.write(name, "new", b"new")
        await host.zfs.snapshot(name, "s2")
        await host.zfs.receive(target, pieces(await host.stream(f"{name}@s2", f"{name}@s1")))
        assert await host.read(target, "new") == b"new"

    async def test_a_stream_cut_before_anything_arrived_leaves_nothing_to_resume(self, host: ZfsHost) -> None:
        name, target = await self._source(host, MIB), f"{host.top}/dst"
        full = await host.stream(f"{name}@s1")
        with pytest.raises(DataLossError):
            await host.zfs.receive(target, pieces(full[:10]), resumable=True)
        assert await host.zfs.resume_token(target) is None
        await host.zfs.receive(target, pieces(full), resumable=True)

    async def test_a_recursive_destroy_that_a_child_refuses_leaves_all_of_it(self, host: ZfsHost) -> None:
        for name in ("a", "a/b"):
            await host.zfs.create(f"{host.top}/{name}")
        await host.zfs.snapshot(top := f"{host.top}/a", "s", recursive=True)
        await host.zfs.hold("jaild:one", f"{top}/b@s")
        await refused(host.zfs.destroy(top, recursive=True), FailedPreconditionError, "SNAPSHOT_HELD")
        assert [each.mounted for each in await host.zfs.datasets(top)] == [True, True]
        assert len(await host.zfs.snapshots(top, recursive=True)) == 2
        await host.zfs.release("jaild:one", f"{top}/b@s")
