"""A ZFS on plain directories: the port's semantics (guids, holds, origins, increments, refusals) without a pool."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from pathlib import Path

from jaild.adapters.zfs.errors import refusal
from jaild.adapters.zfs.names import checked_dataset, checked_either, checked_properties, checked_snapshot
from jaild.model.snapshots import Bookmark, Snapshot
from jaild.ports.zfs import Capabilities, Dataset, Key, Mounted
from tests.fakes import zfs_keys as keyring
from tests.fakes import zfs_stream as streams
from tests.fakes import zfs_trees as trees
from tests.fakes.zfs_pool import SETTINGS, Pool, gone, new_guid


class FakeZfs:
    """Implements `jaild.ports.zfs.Zfs` below `root`, with one pool mounted at `root/POOL`.

    `refuse` maps an operation ("snapshot"), or one of a thing ("send tank/a@b") or of a dataset and its snapshots
    ("send tank/a"), to what it raises.
    `space` is how many bytes may still be received (None: no limit). `calls` is what was asked, in order.
    `can` is what `capabilities` returns. `pool` is what there is, to be looked at without asking. A "mounted" dataset's
    contents are moved to its mount point.
    """

    def __init__(self, root: Path, pool: str = "tank", *, now: Callable[[], float] = time.time) -> None:
        self.refuse: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.can = Capabilities(
            implementation="fake",
            version="1",
            resumable_receive=True,
            bookmarks=True,
            written=True,
            set_many=True,
            receive_properties=True,
            rich_send=True,
            estimates=True,
            lists_holds=True,
            encryption=True,
        )
        self._now = now
        self.pool = Pool(root / ".fake-zfs", pool, root / pool)

    @property
    def space(self) -> int | None:
        return self.pool.space

    @space.setter
    def space(self, free: int | None) -> None:
        self.pool.space = free

    # -- reading

    async def capabilities(self) -> Capabilities:
        return self.can

    async def pool_features(self, pool: str) -> frozenset[str]:
        await self._begin("pool_features", pool)
        self.pool.fs(pool)
        return frozenset({"fake", "encryption"})

    async def datasets(self, root: str) -> list[Dataset]:
        await self._begin("datasets", root)
        self.pool.fs(root)
        return [self.pool.describe(filesystem) for filesystem in self.pool.tree(root)]

    async def dataset(self, name: str) -> Dataset:
        await self._begin("dataset", checked_dataset(name))
        return self.pool.describe(self.pool.fs(name))

    async def mounted(self, folder: Path) -> Mounted | None:
        await self._begin("mounted", str(folder))
        if (name := self.pool.mounts.get(str(folder))) is None:
            return None
        told = self.pool.describe(self.pool.fs(name))
        return Mounted(referenced=told.referenced, available=told.available)

    async def settings(self, name: str) -> Mapping[str, str]:
        await self._begin("settings", checked_dataset(name))
        fs = self.pool.fs(name)
        return {prop: self.pool.inherited(fs, prop) or value for prop, value in SETTINGS.items()}

    async def snapshots(self, dataset: str, *, recursive: bool = False) -> list[Snapshot]:
        await self._begin("snapshots", checked_dataset(dataset))
        found = self.pool.tree(dataset) if recursive else [self.pool.fs(dataset)]
        self.pool.fs(dataset)
        return [
            Snapshot(
                dataset=fs.name,
                tag=s.tag,
                guid=s.guid,
                created=s.created,
                used=0,
                referenced=s.size,
                purpose=s.purpose,
                holds=len(s.holds),
            )
            for fs in found
            for s in fs.snapshots
        ]

    async def bookmarks(self, dataset: str, *, recursive: bool = False) -> list[Bookmark]:
        await self._begin("bookmarks", checked_dataset(dataset))
        found = self.pool.tree(dataset) if recursive else [self.pool.fs(dataset)]
        self.pool.fs(dataset)
        return [
            Bookmark(dataset=fs.name, tag=tag, guid=snap.guid, created=snap.created)
            for fs in found
            for tag, snap in fs.bookmarks.items()
        ]

    async def written(self, root: str, tag: str = "") -> Mapping[str, int]:
        await self._begin("written", checked_dataset(root))
        named = {fs.name: [s.tag for s in fs.snapshots if tag in {"", s.tag}] for fs in self.pool.tree(root)}
        return {name: self.pool.written(self.pool.fs(name), tags[-1]) for name, tags in named.items() if tags}

    async def clones(self, root: str) -> Mapping[str, tuple[str, ...]]:
        await self._begin("clones", checked_dataset(root))
        inside = {fs.name for fs in self.pool.tree(root)}
        self.pool.fs(root)
        found: dict[str, tuple[str, ...]] = {}
        for fs in self.pool.filesystems.values():
            if fs.origin.partition("@")[0] in inside and fs.name not in inside:
                found[fs.origin] = (*found.get(fs.origin, ()), fs.name)
        return found

    async def is_unchanged(self, snapshot: str) -> bool:
        await self._begin("is_unchanged", checked_snapshot(snapshot))
        return not self.pool.modified(*self.pool.snap(snapshot))

    async def holds(self, snapshot: str) -> frozenset[str]:
        await self._begin("holds", checked_snapshot(snapshot))
        return frozenset(self.pool.snap(snapshot)[1].holds)

    async def resume_token(self, name: str) -> str | None:
        await self._begin("resume_token", checked_dataset(name))
        partial = self.pool.filesystems[name].partial if name in self.pool.filesystems else b""
        return streams.token_of(partial)

    async def estimate(self, snapshot: str, base: str | None = None) -> int:
        await self._begin("estimate", snapshot)
        return len(self.pool.stream(snapshot, base))

    # -- changing

    async def create(self, name: str, properties: Mapping[str, str] | None = None) -> None:
        await self._begin("create", checked_dataset(name))
        self.pool.add(name, checked_properties(name, properties))
        self.pool.mount_if_wanted(name)

    async def create_encrypted(self, name: str, key: bytes, keyformat: str, properties: Mapping[str, str]) -> None:
        await self._begin("create_encrypted", checked_dataset(name))
        lock = keyring.lock(name, key, keyformat)
        new = self.pool.add(name, checked_properties(name, properties))
        new.lock, new.loaded = lock, True
        self.pool.mount_if_wanted(name)

    async def keys(self, root: str) -> Mapping[str, Key]:
        await self._begin("keys", checked_dataset(root))
        self.pool.fs(root)
        return keyring.keys(self.pool, root)

    async def load_key(self, root: str, key: bytes, *, check: bool = False) -> None:
        await self._begin("load_key", checked_dataset(root))
        keyring.load(self.pool.fs(root), key, check=check)

    async def unload_key(self, root: str) -> None:
        await self._begin("unload_key", checked_dataset(root))
        keyring.unload(self.pool, self.pool.fs(root))

    async def clone(self, snapshot: str, name: str, properties: Mapping[str, str] | None = None) -> None:
        await self._begin("clone", checked_dataset(name))
        _, snap = self.pool.snap(checked_snapshot(snapshot))
        new = self.pool.add(name, checked_properties(name, properties))
        new.origin = snapshot
        trees.write(snap.tree, new.home)
        self.pool.mount_if_wanted(name)

    async def set(self, name: str, properties: Mapping[str, str], *others: str) -> None:
        await self._begin("set", checked_dataset(name))
        for each in (name, *others):
            self._assign(checked_dataset(each), properties)

    def _assign(self, name: str, properties: Mapping[str, str]) -> None:
        new = self.pool.native(name, checked_properties(name, properties))
        filesystem = self.pool.fs(name)
        self.pool.require_not_below_used(filesystem, new)
        if "mountpoint" not in new:
            filesystem.properties.update(new)
            return
        moved = [fs.name for fs in self.pool.tree(name) if fs.mounted]
        had_none = self.pool.mountpoint(filesystem) is None
        self.pool.leave(name)
        filesystem.properties.update(new)
        for each in moved:
            self.pool.mount(each)
        if had_none:
            self.pool.mount_if_wanted(name)

    async def inherit(self, name: str, prop: str) -> None:
        await self._begin("inherit", checked_dataset(name))
        self.pool.native(name, {prop: ""})
        self.pool.fs(name).properties.pop(prop, None)

    async def snapshot(self, dataset: str, tag: str, *others: str, recursive: bool = False, purpose: str = "") -> None:
        names = (dataset, *others)
        await self._begin("snapshot", " ".join(checked_snapshot(f"{each}@{tag}") for each in names))
        trees = [self.pool.tree(each) if recursive else [self.pool.fs(each)] for each in names if self.pool.fs(each)]
        found = [fs for tree in trees for fs in tree]
        for fs in found:
            if any(snap.tag == tag for snap in fs.snapshots):
                raise refusal(
                    "DATASET_EXISTS", f"{fs.name}@{tag}", f"cannot create '{fs.name}@{tag}': it already exists"
                )
        for fs in found:
            self.pool.freeze(fs, tag, new_guid(), int(self._now()), purpose)

    async def mark(self, purpose: str, *snapshots: str) -> None:
        await self._begin("mark", " ".join(snapshots))
        for name in snapshots:
            self.pool.snap(checked_snapshot(name))[1].purpose = purpose

    async def destroy(self, name: str, *, recursive: bool = False) -> None:
        await self._begin("destroy", checked_either(name))
        dataset, at, tag = name.partition("@")
        if "#" in name:
            dataset, _, tag = name.partition("#")
            if self.pool.fs(dataset).bookmarks.pop(tag, None) is None:
                raise gone(name)
            return
        if at:
            self.pool.snap(name)
            found = self.pool.tree(dataset) if recursive else [self.pool.fs(dataset)]
            self.pool.drop_snapshots([(fs, snap) for fs in found for snap in fs.snapshots if snap.tag == tag])
            return
        top, below = self.pool.fs(name), self.pool.tree(name)
        if not recursive and (len(below) > 1 or top.snapshots):
            raise refusal("DATASET_HAS_CHILDREN", name, f"cannot destroy '{name}': filesystem has children")
        self.pool.drop_snapshots([(fs, snap) for fs in below for snap in fs.snapshots], inside=name)
        self.pool.leave(name)
        for fs in below:
            trees.remove(str(fs.home))
            fs.home.rmdir()
            del self.pool.filesystems[fs.name]

    async def rename(self, name: str, new_name: str) -> None:
        await self._begin("rename", checked_dataset(name))
        self.pool.fs(name)
        self.pool.vacant(checked_dataset(new_name))
        if new_name.startswith(name + "/"):
            raise refusal("INVALID_DATASET_NAME", new_name, f"{new_name} would be below itself")
        mounted = [fs for fs in self.pool.tree(name) if fs.mounted]
        self.pool.leave(name)
        for fs in self.pool.tree(name):
            del self.pool.filesystems[fs.name]
            old, fs.name = fs.name, new_name + fs.name.removeprefix(name)
            self.pool.filesystems[fs.name] = fs
            for other in self.pool.filesystems.values():
                if other.origin.startswith(old + "@"):
                    other.origin = fs.name + other.origin.removeprefix(old)
        for fs in mounted:
            self.pool.mount(fs.name)

    async def rollback(self, snapshot: str) -> None:
        await self._begin("rollback", checked_snapshot(snapshot))
        fs, snap = self.pool.snap(snapshot)
        if any(each.txg > snap.txg for each in (*fs.snapshots, *fs.bookmarks.values())):
            raise refusal(
                "DATASET_BUSY", snapshot, f"cannot rollback to '{snapshot}': more recent snapshots or bookmarks exist"
            )
        self.pool.become(fs, snap.tree)

    async def hold(self, tag: str, *snapshots: str) -> None:
        await self._begin("hold", " ".join(snapshots))
        for snap in [self.pool.snap(checked_snapshot(name))[1] for name in snapshots]:
            snap.holds.add(tag)

    async def release(self, tag: str, *snapshots: str) -> None:
        await self._begin("release", " ".join(snapshots))
        for name in snapshots:
            with contextlib.suppress(type(gone(name))):
                self.pool.snap(checked_snapshot(name))[1].holds.discard(tag)

    async def mount(self, name: str) -> None:
        await self._begin("mount", checked_dataset(name))
        if self.pool.mountpoint(self.pool.fs(name)) is None:
            raise refusal("INVALID_PROPERTY", name, f"cannot mount '{name}': no mountpoint set")
        self.pool.mount(name)

    async def unmount(self, name: str) -> None:
        await self._begin("unmount", checked_dataset(name))
        self.pool.fs(name)
        self.pool.unmount(name)

    async def bookmark(self, snapshot: str, tag: str) -> None:
        await self._begin("bookmark", checked_snapshot(snapshot))
        fs, snap = self.pool.snap(snapshot)
        if fs.bookmarks.setdefault(tag, snap).guid != snap.guid:
            raise refusal("DATASET_EXISTS", f"{fs.name}#{tag}", f"cannot create '{fs.name}#{tag}': it already exists")

    # -- streams

    @contextlib.asynccontextmanager
    async def send(
        self, snapshot: str, *, base: str | None = None, token: str | None = None, if_changed: bool = False
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._begin("send", checked_snapshot(snapshot))
        if token is None:
            yield streams.pieces(self.pool.stream(snapshot, base, if_changed=if_changed))
            return
        yield streams.pieces(streams.resumed(self.pool.stream, self.pool.by_guid(snapshot), snapshot, token))

    async def receive(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        *,
        origin: str | None = None,
        resumable: bool = False,
        properties: Mapping[str, str] | None = None,
        newest: int = 0,  # noqa: ARG002 -- here it costs nothing to look
    ) -> None:
        await self._begin("receive", checked_dataset(name))
        new = self.pool.native(name, checked_properties(name, properties))
        fs = self.pool.filesystems.get(name)
        before = fs.partial if fs else b""
        seen = fs.snapshots[-1:] if fs else []
        got = bytearray()
        try:
            async for chunk in chunks:
                got += chunk
                if self.space is not None and len(got) > self.space:
                    raise refusal("NO_SPACE", name, f"cannot receive into '{name}': out of space")  # noqa: TRY301
            whole = streams.continued(name, before, bytes(got))
            header, body = streams.unpack(whole, name)
            if fs is not None and fs.snapshots[-1:] != seen:
                raise refusal("RECEIVE_OVERTAKEN", name, f"{name}@{fs.snapshots[-1].tag} was made meanwhile")  # noqa: TRY301
        except BaseException:
            if resumable and self.can.resumable_receive and (kept := streams.kept(before, bytes(got))):
                (fs or self.pool.add(name, new)).partial = kept
            raise
        self.pool.receive(name, header, body, origin, new)
        if self.space is not None:
            self.space -= len(got)

    async def abort_receive(self, name: str) -> None:
        await self._begin("abort_receive", checked_dataset(name))
        fs = self.pool.filesystems.get(name)
        if fs is None or not fs.partial:
            return
        fs.partial = b""
        if not fs.snapshots:
            del self.pool.filesystems[name]

    # -- how

    async def _begin(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        await asyncio.sleep(0)  # a real ZFS lets other tasks run here
        thing, dataset = f"{operation} {name}", f"{operation} {name.partition('@')[0]}"
        error = self.refuse.get(thing) or self.refuse.get(dataset) or self.refuse.get(operation)
        if error is not None:
            raise error
