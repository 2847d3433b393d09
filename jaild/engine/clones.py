"""Clones of snapshots, mounted beside the jails for as long as somebody reads them, or boots one.

A snapshot can be read in no other way on every ZFS: zfs-fuse has no `.zfs` folder. What a crash leaves of clones goes
at the next start (`Stage.CLONES`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jaild.engine.concurrency import to_its_end
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.layout import Layout
from jaild.ports.files import Files
from jaild.ports.zfs import Zfs


async def make_room(where: Layout, zfs: Zfs, files: Files) -> Path:
    """Make what is the parent of all clones, if it is missing, closed to others; return its folder.

    `FailedPreconditionError` (DATASET_NOT_MOUNTED) if it has none.
    """
    try:
        await zfs.dataset(where.clones)
    except NotFoundError:
        await zfs.create(where.clones)
    above = (await zfs.dataset(where.clones)).mountpoint
    if above is None:
        raise FailedPreconditionError(
            "DATASET_NOT_MOUNTED",
            f"{where.clones} has no mountpoint, so what is cloned into it cannot be looked into",
            hint=f"give {where.root} a mountpoint",
        )
    await files.restrict([above])
    return above


@asynccontextmanager
async def readable(where: Layout, zfs: Zfs, files: Files, snapshot: str, name: str) -> AsyncIterator[Path]:
    """Give a folder with what is in a snapshot, read-only. `name`: of the clone, which nothing else has now."""
    folder = await make_room(where, zfs, files)
    clone = f"{where.clones}/{name}"
    await _gone(zfs, clone)  # what a crash left under that name
    try:
        await zfs.clone(snapshot, clone, {"readonly": "on"})
        await zfs.mount(clone)
        yield folder / name
    finally:
        await to_its_end(_gone(zfs, clone))


async def _gone(zfs: Zfs, clone: str) -> None:
    try:
        await zfs.destroy(clone, recursive=True)
    except NotFoundError:
        return  # there is none
