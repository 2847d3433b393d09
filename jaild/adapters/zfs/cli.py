"""The ZFS port on the `zfs` and `zpool` commands: zfs-fuse 0.7 and OpenZFS 2.x, on FreeBSD and Linux."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from jaild.adapters.files.errors import explained
from jaild.adapters.system.own_thread import in_own_thread
from jaild.adapters.zfs import parse, streaming
from jaild.adapters.zfs.encryption import EncryptionCommands
from jaild.adapters.zfs.errors import failure, refusal
from jaild.adapters.zfs.names import checked_dataset, checked_either, checked_properties, checked_snapshot
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.layout import RECORDS, SNAPSHOT_PROPERTY
from jaild.model.snapshots import Bookmark, Snapshot
from jaild.ports.process import Completed
from jaild.ports.zfs import Capabilities, Dataset, Mounted

_DATASET_COLUMNS = ",".join(("type", *parse.NATIVE, *RECORDS))
_AT_ONCE = 16  # commands for one call: a jail and its volumes share a transaction group
_SNAPSHOT_COLUMNS = f"type,guid,creation,used,referenced,userrefs,{SNAPSHOT_PROPERTY}"


class CliZfs(EncryptionCommands):
    """Implements `jaild.ports.zfs.Zfs`; `zfs` and `zpool` are the programs, `environment` is added to theirs."""

    # -- reading

    async def capabilities(self) -> Capabilities:
        """Return what this ZFS can do; detected at the first call."""
        return (await self._detect()).capabilities

    async def pool_features(self, pool: str) -> frozenset[str]:
        """Return the names of the pool's enabled features, or its version."""
        argv = [self._zpool, "get", "all", checked_dataset(pool)]
        completed = await self._processes.run(argv, env=self._environment, check=False)
        if completed.status != 0:
            raise failure(completed, pool)
        return parse.features(completed.text)

    async def datasets(self, root: str) -> list[Dataset]:
        """Return `root` and every filesystem below it, by name, from one process.

        Asked for by name: all that ZFS knows of thousands of datasets takes it several times as long, and is megabytes.
        """
        only = ["-t", "filesystem"] if (await self._detect()).get_types else []
        told = await self._told(root, _DATASET_COLUMNS, "-r", *only)
        return await asyncio.to_thread(parse.filesystems, told)

    async def dataset(self, name: str) -> Dataset:
        """Return one filesystem."""
        return parse.dataset(name, (await self._get_all(checked_dataset(name)))[name])

    async def mounted(self, folder: Path) -> Mounted | None:
        """Return what a mounted filesystem says of itself: statvfs(3) has ZFS's own numbers of the dataset."""
        return await in_own_thread(partial(_mounted, folder), f"statvfs {folder}")

    async def settings(self, name: str) -> Mapping[str, str]:
        """Return a filesystem's native properties as they are in effect."""
        found = (await self._get(checked_dataset(name), "all"))[name]
        return {prop: value for prop, (value, _) in found.items() if ":" not in prop}

    async def snapshots(self, dataset: str, *, recursive: bool = False) -> list[Snapshot]:
        """Return the snapshots of a dataset, oldest first (the order of `zfs get`: by transaction group)."""
        only = ["-t", "snapshot"] if (await self._detect()).get_types else []
        depth = ["-r"] if recursive else ["-d", "1"]
        found = await self._get(checked_dataset(dataset), _SNAPSHOT_COLUMNS, *depth, *only)
        return [
            parse.snapshot(name, values)
            for name, values in found.items()
            if values["type"][0] == "snapshot" and (recursive or name.startswith(dataset + "@"))
        ]

    async def bookmarks(self, dataset: str, *, recursive: bool = False) -> list[Bookmark]:
        """Return the bookmarks of a dataset, oldest first."""
        if not (await self.capabilities()).bookmarks:
            return []
        depth = ["-r"] if recursive else ["-d", "1"]
        found = await self._get(checked_dataset(dataset), "guid,creation,createtxg", *depth, "-t", "bookmark")
        by_age = sorted(found.items(), key=lambda item: parse.number(item[1], "createtxg"))
        marks = [parse.bookmark(name, values) for name, values in by_age]
        return sorted(marks, key=lambda mark: mark.dataset)

    async def written(self, root: str, tag: str = "") -> Mapping[str, int]:
        """Return the bytes written since snapshots @tag, or the newest ones."""
        prop = f"written@{tag}" if tag else "written"
        found = await self._get(checked_dataset(root), prop, "-r", "-t", "filesystem")
        told = {name: values[prop][0] for name, values in found.items()}
        return {name: int(value) for name, value in told.items() if value.isdigit()}

    async def clones(self, root: str) -> Mapping[str, tuple[str, ...]]:
        """Return which snapshots have clones, from the origins of all that is in the pool."""
        only = ["-t", "filesystem,volume"] if (await self._detect()).get_types else []
        found = await self._get(checked_dataset(root).partition("/")[0], "origin", "-r", *only)
        clones: dict[str, tuple[str, ...]] = {}
        for name, values in found.items():
            origin = values["origin"][0]
            if _is_in(root, origin.partition("@")[0]) and not _is_in(root, name):
                clones[origin] = (*clones.get(origin, ()), name)
        return clones

    async def is_unchanged(self, snapshot: str) -> bool:
        """Ask for `written@snap`; where there is none, or it may be wrong, see whether an increment has anything in it.

        The intent log counts as written, and an import after a crash puts it in order (zil_claim): then `written@snap`
        is not 0 for ever, although a receive does not mind (dsl_dataset_modified_since_snap). Of what is mounted there
        is no increment: it counts as changed.
        """
        dataset, _, tag = checked_snapshot(snapshot).partition("@")
        if (await self.capabilities()).written:
            if await self._value(f"written@{tag}", dataset) == "0":
                return True
            return not (await self.dataset(dataset)).mounted and await self._is_same(dataset, snapshot)
        newest = (await self.snapshots(dataset))[-1]
        return newest.name == snapshot or await self._is_same(newest.name, snapshot)

    async def _is_same(self, source: str, base: str) -> bool:
        """Tell whether a snapshot, or a dataset that is not mounted, has nothing that an older snapshot has not."""
        async with self._sending(await self._send_options(source, base, None), source) as stream:
            return await streaming.is_empty(stream)

    async def holds(self, snapshot: str) -> frozenset[str]:
        """Return the tags that hold a snapshot; `FailedPreconditionError` (ZFS_CANNOT) where this ZFS cannot tell."""
        if not (await self.capabilities()).lists_holds:
            raise _cannot("list holds")
        text = (await self.run("holds", "-H", subject=checked_snapshot(snapshot))).text
        return frozenset(line.split("\t")[1] for line in text.splitlines())

    async def resume_token(self, name: str) -> str | None:
        """Return the token of an interrupted resumable receive, if there is one."""
        if not (await self.capabilities()).resumable_receive:
            return None
        try:
            value = await self._value("receive_resume_token", checked_dataset(name))
        except NotFoundError:
            return None
        return None if value == "-" else value

    async def estimate(self, snapshot: str, base: str | None = None) -> int:
        """Return about how many bytes a send would have.

        Where there is no `send -n`: what an increment really has (it is made and counted, nothing is kept of it), and
        for a full stream what the snapshot refers to and a tenth.
        """
        if (await self.capabilities()).estimates:
            options = await self._send_options(checked_snapshot(snapshot), base, None)
            completed = await self.run("send", "-nP", *options[:-1], subject=snapshot)
            size = parse.estimate(completed.text + completed.error_text)
            if size is None:
                raise failure(completed, snapshot)
            return size
        if base is None:
            return int(await self._value("referenced", checked_snapshot(snapshot))) * 11 // 10
        async with self.send(snapshot, base=base) as stream:
            return sum([len(piece) async for piece in stream])

    # -- changing

    async def create(self, name: str, properties: Mapping[str, str] | None = None) -> None:
        """Create a filesystem whose parent exists."""
        await self._make("create", _options(checked_properties(name, properties)), checked_dataset(name))

    async def clone(self, snapshot: str, name: str, properties: Mapping[str, str] | None = None) -> None:
        """Create `name` as a clone of `snapshot`."""
        options = [*_options(checked_properties(name, properties)), checked_snapshot(snapshot)]
        await self._make("clone", options, checked_dataset(name))

    async def set(self, name: str, properties: Mapping[str, str], *others: str) -> None:
        """Set properties: in one transaction for each dataset where this ZFS can, else one by one.

        OpenZFS waits for a transaction group for each dataset that a command names (zfs_for_each of zfs_main.c, one
        ioctl after the other). Commands side by side share the groups.
        """
        pairs = [f"{prop}={value}" for prop, value in checked_properties(name, properties).items()]
        can = await self.capabilities()
        rest = [checked_dataset(each) for each in (name, *others)]
        for group in [pairs] if can.set_many and pairs else [[pair] for pair in pairs]:
            if can.implementation == "openzfs":
                await self._side_by_side([partial(self.run, "set", *group, subject=each) for each in rest])
            else:
                await self.run("set", *group, *rest[:-1], subject=rest[-1])

    async def inherit(self, name: str, prop: str) -> None:
        """Remove a local property."""
        checked_properties(name, {prop: ""})
        await self.run("inherit", prop, subject=checked_dataset(name))

    async def snapshot(self, dataset: str, tag: str, *others: str, recursive: bool = False, purpose: str = "") -> None:
        """Make snapshots, with `recursive` of every child too: zfs(8) takes all that it is told in one transaction."""
        names = [checked_snapshot(f"{each}@{tag}") for each in (dataset, *others)]
        options = _options(checked_properties(names[0], {SNAPSHOT_PROPERTY: purpose} if purpose else {}))
        together = (await self._detect()).snapshots_together
        for group in [names] if together else [[name] for name in names]:
            await self.run("snapshot", *["-r"] * recursive, *options, *group[:-1], subject=group[-1])

    async def mark(self, purpose: str, *snapshots: str) -> None:
        """Say on snapshots what jaild has them for."""
        if names := [checked_snapshot(each) for each in snapshots]:
            [(prop, value)] = checked_properties(names[0], {SNAPSHOT_PROPERTY: purpose}).items()
            await self.run("set", f"{prop}={value}", *names[:-1], subject=names[-1])

    async def destroy(self, name: str, *, recursive: bool = False) -> None:
        """Destroy a dataset or snapshot. Never forced."""
        if not recursive or "@" in name or "#" in name:
            await self.run("destroy", *["-r"] * recursive, subject=checked_either(name))
            return
        # OpenZFS destroys snapshots before it finds that it cannot unmount a busy filesystem, or that the snapshot of a
        # child is held (seen: 2.1.11, 2.3.9): what would be refused is found before anything is lost.
        there = await self._get(checked_dataset(name), "mounted,userrefs", "-r")
        for each, found in there.items():
            if "@" in each and found.get("userrefs", ("-", ""))[0] not in {"0", "-"}:
                raise refusal("SNAPSHOT_HELD", each, f"cannot destroy {name}: {each} is held")
        await self._unmounted(there, partial(self.run, "destroy", "-r", subject=name))

    async def _unmounted(self, there: Mapping[str, parse.Values], act: Callable[[], Awaitable[object]]) -> list[str]:
        """Act while nothing of what is there is mounted, and mount it again if that fails; return what was mounted."""
        mounted = sorted(each for each, found in there.items() if found.get("mounted", ("-", ""))[0] == "yes")
        try:
            for each in reversed(mounted):
                await self.unmount(each)
            await act()
        except BaseException:
            for each in mounted:
                with contextlib.suppress(NotFoundError):
                    await self.mount(each)
            raise
        return mounted

    async def rename(self, name: str, new_name: str) -> None:
        """Rename a dataset within its pool.

        zfs-fuse lets go of a dataset some time after its unmount. Its own `zfs rename` does not wait: busy, it mounts
        all again, and so does each further try (seen: 57 and 101 s for a jail). So all is unmounted before.
        """
        act = partial(self.run, "rename", checked_dataset(name), subject=checked_dataset(new_name))
        if (await self.capabilities()).implementation != "zfs-fuse":
            await act()
            return
        for each in await self._unmounted(await self._get(name, "mounted", "-r"), act):
            await self.mount(new_name + each.removeprefix(name))

    async def rollback(self, snapshot: str) -> None:
        """Return a dataset to its newest snapshot."""
        await self.run("rollback", subject=checked_snapshot(snapshot))

    async def hold(self, tag: str, *snapshots: str) -> None:
        """Keep snapshots from being destroyed."""
        await self._each("hold", tag, snapshots, unless="tag already exists")

    async def release(self, tag: str, *snapshots: str) -> None:
        """Drop holds."""
        await self._each("release", tag, snapshots, unless="no such tag|does not exist")

    async def mount(self, name: str) -> None:
        """Mount where its mountpoint property says."""
        await self.run("mount", subject=checked_dataset(name), unless="already mounted")

    async def unmount(self, name: str) -> None:
        """Unmount."""
        await self.run("unmount", subject=checked_dataset(name), unless="not currently mounted")

    async def abort_receive(self, name: str) -> None:
        """Throw away what an interrupted resumable receive left."""
        if await self.resume_token(name) is not None:
            await self.run("receive", "-A", subject=name)

    async def bookmark(self, snapshot: str, tag: str) -> None:
        """Make `dataset#tag` of a snapshot; `FailedPreconditionError` (ZFS_CANNOT) where there are no bookmarks."""
        if not (await self.capabilities()).bookmarks:
            raise _cannot("bookmark snapshots")
        mark = f"{checked_snapshot(snapshot).partition('@')[0]}#{tag}"
        completed = await self.run("bookmark", snapshot, subject=mark, unless="exists")
        if completed.status != 0 and await self._value("guid", mark) != await self._value("guid", snapshot):
            raise failure(completed, mark)

    # -- streams

    @contextlib.asynccontextmanager
    async def send(
        self, snapshot: str, *, base: str | None = None, token: str | None = None, if_changed: bool = False
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream; its iterator raises when the sender ends badly, so nobody takes half a stream for a whole."""
        options = await self._send_options(checked_snapshot(snapshot), base, token)
        async with self._sending(options, snapshot) as stream:
            yield streaming.unless_empty(stream) if if_changed else stream

    @contextlib.asynccontextmanager
    async def _sending(self, options: Sequence[str], subject: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._processes.start([self._zfs, "send", *options], env=self._environment) as child:
            await child.close_stdin()
            yield streaming.sent(child, subject)

    async def receive(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        *,
        origin: str | None = None,
        resumable: bool = False,
        properties: Mapping[str, str] | None = None,
        newest: int = 0,
    ) -> None:
        """Receive a stream, unmounted, never forced; see the port for what is raised and what is left."""
        wanted = checked_properties(checked_dataset(name), properties)
        can = await self.capabilities()
        begin, stream = await streaming.opened(chunks, name)
        continued = begin.resuming or (begin.base_guid == newest != 0 and can.implementation == "openzfs")
        there = [newest or begin.base_guid] if continued else await self._fits(name, begin, origin)
        creating = there is None
        options = ["-s"] * (resumable and can.resumable_receive)
        if can.receive_properties:
            options += _options(({"origin": origin} if origin and creating else {}) | wanted)
        try:
            argv = [self._zfs, "receive", "-u", *options, name]
            async with self._processes.start(argv, env=self._environment) as child:
                completed = await streaming.feed(child, stream)
            if completed.status != 0:
                # What is half-received goes below, for this too.
                raise await self._receive_failure(completed, name, begin, there or [])  # noqa: TRY301
            if not can.receive_properties:
                await self._finish(name, wanted, origin if creating else None)
        except BaseException:
            if creating and "-s" not in options:
                await self._remove_half_received(name)
            raise

    async def _fits(self, name: str, begin: streaming.Begin, origin: str | None) -> list[int] | None:
        """Return the guids that are there, None if the stream makes a new dataset; refuse one whose base is not there.

        ZFS checks too, but zfs-fuse receives an increment whose target is missing into *another* dataset that has the
        base, found by guid (seen: 0.7.0). Later snapshots than the base are no obstacle to any of them while nothing
        was written since (seen: zfs-fuse 0.7.0, OpenZFS 2.1.11, 2.3.9), and stay.
        """
        try:
            there = await self.snapshots(name)
        except NotFoundError:
            if begin.base_guid and (origin is None or await self._guid(origin) != begin.base_guid):
                raise refusal("STREAM_BASE_MISSING", name, f"{name}: the stream's base is not here") from None
            return None
        guids = [each.guid for each in there]
        if begin.base_guid and guids and begin.base_guid not in guids:
            raise refusal("STREAM_BASE_MISSING", name, f"{name}: none of its snapshots is the stream's base")
        return guids

    async def _receive_failure(
        self, completed: Completed, name: str, begin: streaming.Begin, there: Sequence[int]
    ) -> JaildError:
        """Return why it failed; `there`: the guids that were there before it.

        OpenZFS says of an interrupted first receive only that the dataset exists. zfs-fuse says that the newest
        snapshot is not the base, if there were writes between the base and that. It calls a stream invalid, too, during
        which the dataset got a snapshot (seen: 0.7.0): what comes is kept aside until its end, and replaces only what
        it was begun on (dsl_dataset_clone_swap_check, in OpenZFS as well).
        """
        error = failure(completed, name)
        if there and begin.raw is not bool((await self.keys(name)).get(name)):
            # OpenZFS has a sentence for one of the two ways, and an odd error for the other (seen: 2.1.11, 2.3.9).
            return refusal("ENCRYPTION_DIFFERS", name, f"{name}: {error.message}")
        if error.reason == "STREAM_INVALID" and begin.base_guid and there:
            newest = (await self.snapshots(name))[-1:]
            if newest and newest[0].guid != there[-1]:
                return refusal("RECEIVE_OVERTAKEN", name, f"{newest[0].name} was made while an increment came")
        if error.reason == "STREAM_BASE_MISSING" and begin.base_guid in {s.guid for s in await self.snapshots(name)}:
            return refusal("DATASET_MODIFIED", name, f"{name} has been modified since the stream's base")
        if error.reason == "DATASET_EXISTS" and await self.resume_token(name) is not None:
            return refusal("RECEIVE_INTERRUPTED", name, f"{name}: an interrupted receive is there already")
        return error

    async def _finish(self, name: str, wanted: dict[str, str], origin: str | None) -> None:
        """Do what `receive -o` would have done. canmount first: a new mountpoint must not mount it."""
        if origin is not None and await self._value("origin", name) != origin:
            raise refusal("ORIGIN_AMBIGUOUS", name, f"{name}: this ZFS chose another origin with the guid of {origin}")
        await self.set(name, dict(sorted(wanted.items(), key=lambda item: item[0] != "canmount")))

    async def _remove_half_received(self, name: str) -> None:
        with contextlib.suppress(NotFoundError):  # ZFS has removed it by itself
            await self.destroy(name, recursive=True)

    async def _send_options(self, snapshot: str, base: str | None, token: str | None) -> list[str]:
        if token is not None:
            told = await self.run("send", "-nv", "-t", subject=token)
            if parse.token_guid(told.text + told.error_text) != await self._guid(snapshot):
                raise refusal("TOKEN_STALE", snapshot, f"cannot resume send: the token is not of {snapshot}")
            return ["-t", token]
        rich = ["-L", "-e", "-c"] * (await self.capabilities()).rich_send
        raw = ["-w"] * await self._is_sent_raw(snapshot, base)
        return [*rich, *raw, *(["-i", base] if base else []), snapshot]

    @staticmethod
    async def _side_by_side(works: Sequence[Callable[[], Awaitable[object]]]) -> None:
        """Do all, some at once; what failed first is raised when all have ended."""
        some = asyncio.Semaphore(_AT_ONCE)

        async def done(work: Callable[[], Awaitable[object]]) -> None:
            async with some:
                await work()

        for outcome in await asyncio.gather(*map(done, works), return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def _make(self, command: str, options: Sequence[str], name: str) -> None:
        try:
            await self.run(command, *options, subject=name)
        except JaildError as error:
            if "but not mounted" in error.message:  # created all the same: a failed call must leave nothing
                await self.destroy(name)
            raise


def _mounted(folder: Path) -> Mounted | None:
    with explained(folder):
        if not folder.is_mount():
            return None
        told = os.statvfs(folder)
    referenced, available = (told.f_blocks - told.f_bfree) * told.f_frsize, told.f_bavail * told.f_frsize
    return Mounted(referenced=referenced, available=available)


def _is_in(root: str, name: str) -> bool:
    return name == root or name.startswith(f"{root}/")


def _options(properties: Mapping[str, str]) -> list[str]:
    return [word for prop, value in properties.items() for word in ("-o", f"{prop}={value}")]


def _cannot(what: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "ZFS_CANNOT", f"this ZFS cannot {what}", hint="ask `capabilities` first, or use OpenZFS 2.x"
    )
