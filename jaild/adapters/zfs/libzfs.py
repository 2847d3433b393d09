"""The ZFS port on py-libzfs (`import libzfs`): metadata without a process for each question.

    metadata ──> the thread that owns the handle ──> libzfs
    streams, and what is in the table ──> the commands (`cli`)

| stays with the commands | because |
|---|---|
| send, receive, resume, abort, estimate | a stream must be killable, and a crash of it must take nothing with it |
| rollback | zfs_rollback(3) destroys the newer snapshots and bookmarks; zfs(8) is what refuses |
| destroy, recursive | libzfs has no such call; the refusals before anything is lost are the commands' |
| bookmarks | libzfs does not tell when it could not read them all |
| snapshots, and what each is for | user properties of snapshots are not in what libzfs is asked for in one go |
| clones, written, unchanged | py-libzfs has no written@snap, and a handle for each dataset of a pool is dear |
| settings | asked once, at the start |
| keys | they go to a program's stdin, and stay in no memory of the daemon's |
| capabilities, features of pools | read off the tools' own texts, once |

Where libzfs refuses without a reason (mount, unmount, bookmark), or cannot read to the end, the command is asked: it
does it, or says why not.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from jaild.adapters.zfs import libzfs_calls as calls
from jaild.adapters.zfs.libzfs_thread import HandleThread
from jaild.adapters.zfs.names import checked_dataset, checked_either, checked_properties, checked_snapshot
from jaild.adapters.zfs.pylibzfs import Module, imported
from jaild.model.errors import InternalError
from jaild.model.layout import SNAPSHOT_PROPERTY
from jaild.model.snapshots import Bookmark, Snapshot
from jaild.ports.zfs import Capabilities, Dataset, Key, Mounted, Zfs


class LibZfs:
    """Implements `jaild.ports.zfs.Zfs`; `cli` is the same ZFS by its commands."""

    def __init__(self, cli: Zfs, module: Module, *, device: Path = Path("/dev/zfs")) -> None:
        self._cli = cli
        self._thread = HandleThread(module, device)

    @classmethod
    def installed(cls, cli: Zfs) -> LibZfs:
        """Return it on the module that this Python has. `UnavailableError` (LIBZFS_MISSING) if it has none."""
        return cls(cli, imported())

    # -- reading

    async def datasets(self, root: str) -> list[Dataset]:
        """Return `root` and every filesystem below it, by name."""
        checked_dataset(root)
        try:
            return await self._thread.run("list", root, lambda zfs: calls.datasets(zfs, root))
        except InternalError:
            return await self._cli.datasets(root)

    async def dataset(self, name: str) -> Dataset:
        """Return one filesystem."""
        checked_dataset(name)
        try:
            return await self._thread.run("get", name, lambda zfs: calls.dataset(zfs, name))
        except InternalError:
            return await self._cli.dataset(name)

    async def settings(self, name: str) -> Mapping[str, str]:
        """Return a filesystem's native properties as they are in effect."""
        return await self._cli.settings(name)

    async def snapshots(self, dataset: str, *, recursive: bool = False) -> list[Snapshot]:
        """Return the snapshots of a dataset, oldest first."""
        return await self._cli.snapshots(dataset, recursive=recursive)

    async def clones(self, root: str) -> Mapping[str, tuple[str, ...]]:
        """Return which snapshots have clones elsewhere."""
        return await self._cli.clones(root)

    async def is_unchanged(self, snapshot: str) -> bool:
        """Whether nothing was written since a snapshot."""
        return await self._cli.is_unchanged(snapshot)

    async def holds(self, snapshot: str) -> frozenset[str]:
        """Return the tags that hold a snapshot."""
        checked_snapshot(snapshot)
        return await self._thread.run("holds", snapshot, lambda zfs: calls.holds(zfs, snapshot))

    # -- changing

    async def create(self, name: str, properties: Mapping[str, str] | None = None) -> None:
        """Create a filesystem whose parent exists."""
        wanted = checked_properties(checked_dataset(name), properties)
        await self._thread.run("create", name, lambda zfs: calls.create(zfs, name, wanted))

    async def clone(self, snapshot: str, name: str, properties: Mapping[str, str] | None = None) -> None:
        """Create `name` as a clone of `snapshot`."""
        wanted = checked_properties(checked_dataset(name), properties)
        checked_snapshot(snapshot)
        await self._thread.run("clone", name, lambda zfs: calls.clone(zfs, snapshot, name, wanted))

    async def set(self, name: str, properties: Mapping[str, str], *others: str) -> None:
        """Set properties in one transaction for each dataset."""
        for each in (name, *others):
            await self._assign(each, checked_properties(checked_dataset(each), properties))

    async def _assign(self, name: str, wanted: Mapping[str, str]) -> None:
        if not await self._thread.run("set", name, lambda zfs: calls.assign(zfs, name, wanted)):
            await self._cli.set(name, wanted)

    async def inherit(self, name: str, prop: str) -> None:
        """Remove a local property."""
        checked_properties(checked_dataset(name), {prop: ""})
        await self._thread.run("inherit", name, lambda zfs: calls.inherit(zfs, name, prop))

    async def snapshot(self, dataset: str, tag: str, *others: str, recursive: bool = False, purpose: str = "") -> None:
        """Make snapshots, with `recursive` of every child too; libzfs's call takes one name, zfs(8) takes many."""
        if others:
            await self._cli.snapshot(dataset, tag, *others, recursive=recursive, purpose=purpose)
            return
        name = checked_snapshot(f"{dataset}@{tag}")
        own = checked_properties(name, {SNAPSHOT_PROPERTY: purpose} if purpose else {})
        await self._thread.run("snapshot", name, lambda zfs: calls.snapshot(zfs, name, own, recursive=recursive))

    async def mark(self, purpose: str, *snapshots: str) -> None:
        """Say on snapshots what jaild has them for."""
        await self._cli.mark(purpose, *snapshots)

    async def destroy(self, name: str, *, recursive: bool = False) -> None:
        """Destroy a dataset, snapshot or bookmark. Never forced."""
        if recursive or "#" in name:
            await self._cli.destroy(name, recursive=recursive)
            return
        call = calls.destroy_snapshot if "@" in checked_either(name) else calls.destroy_dataset
        await self._thread.run("destroy", name, lambda zfs: call(zfs, name))

    async def rename(self, name: str, new_name: str) -> None:
        """Rename a dataset within its pool."""
        checked_dataset(name), checked_dataset(new_name)
        await self._thread.run("rename", new_name, lambda zfs: calls.rename(zfs, name, new_name))

    async def rollback(self, snapshot: str) -> None:
        """Return a dataset to its newest snapshot."""
        await self._cli.rollback(snapshot)

    async def hold(self, tag: str, *snapshots: str) -> None:
        """Keep snapshots from being destroyed."""
        names = [checked_snapshot(each) for each in snapshots]
        await self._thread.run("hold", " ".join(names), lambda zfs: calls.hold(zfs, tag, names))

    async def release(self, tag: str, *snapshots: str) -> None:
        """Drop holds."""
        names = [checked_snapshot(each) for each in snapshots]
        await self._thread.run("release", " ".join(names), lambda zfs: calls.release(zfs, tag, names))

    async def mount(self, name: str) -> None:
        """Mount where its mountpoint property says."""
        checked_dataset(name)
        if not await self._thread.run("mount", name, lambda zfs: calls.mount(zfs, name)):
            await self._cli.mount(name)

    async def unmount(self, name: str) -> None:
        """Unmount."""
        checked_dataset(name)
        if not await self._thread.run("unmount", name, lambda zfs: calls.unmount(zfs, name)):
            await self._cli.unmount(name)

    async def bookmark(self, snapshot: str, tag: str) -> None:
        """Make `dataset#tag` of a snapshot."""
        checked_snapshot(snapshot), checked_snapshot(f"{snapshot.partition('@')[0]}@{tag}")
        if not await self._thread.run("bookmark", snapshot, lambda zfs: calls.bookmark(zfs, snapshot, tag)):
            await self._cli.bookmark(snapshot, tag)

    # -- with the commands, and without either

    async def mounted(self, folder: Path) -> Mounted | None:
        """Return what a mounted filesystem says of itself."""
        return await self._cli.mounted(folder)

    async def capabilities(self) -> Capabilities:
        """Return what this ZFS can do."""
        return await self._cli.capabilities()

    async def pool_features(self, pool: str) -> frozenset[str]:
        """Return the names of the pool's enabled features."""
        return await self._cli.pool_features(pool)

    async def bookmarks(self, dataset: str, *, recursive: bool = False) -> list[Bookmark]:
        """Return the bookmarks of a dataset, oldest first."""
        return await self._cli.bookmarks(dataset, recursive=recursive)

    async def written(self, root: str, tag: str = "") -> Mapping[str, int]:
        """Return the bytes written since snapshots @tag, or the newest ones."""
        return await self._cli.written(root, tag)

    async def create_encrypted(self, name: str, key: bytes, keyformat: str, properties: Mapping[str, str]) -> None:
        """Create an encryption root."""
        await self._cli.create_encrypted(name, key, keyformat, properties)

    async def keys(self, root: str) -> Mapping[str, Key]:
        """Return the keys of what is encrypted."""
        return await self._cli.keys(root)

    async def load_key(self, root: str, key: bytes, *, check: bool = False) -> None:
        """Load a key, or only see whether it is the right one."""
        await self._cli.load_key(root, key, check=check)

    async def unload_key(self, root: str) -> None:
        """Forget a key."""
        await self._cli.unload_key(root)

    def send(
        self, snapshot: str, *, base: str | None = None, token: str | None = None, if_changed: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a stream."""
        return self._cli.send(snapshot, base=base, token=token, if_changed=if_changed)

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
        """Receive a stream."""
        await self._cli.receive(name, chunks, origin=origin, resumable=resumable, properties=properties, newest=newest)

    async def resume_token(self, name: str) -> str | None:
        """Return the token of an interrupted resumable receive."""
        return await self._cli.resume_token(name)

    async def abort_receive(self, name: str) -> None:
        """Throw away what an interrupted resumable receive left."""
        await self._cli.abort_receive(name)

    async def estimate(self, snapshot: str, base: str | None = None) -> int:
        """Return about how many bytes a send would have."""
        return await self._cli.estimate(snapshot, base)
