"""What jaild asks of py-libzfs, as types: the names and arguments of its libzfs.pyx.

They are those that truenas/py-libzfs at 58320c2 and the fork 45Drives/python3-libzfs at 090101d have in common, except
`update_properties`, which the older one lacks. `tests/unit/data/zfs/py-libzfs.txt` holds them as recorded.

Its errors are `ZFSException`, a RuntimeError with `code`: a member of its enum `Error`, or a bare number.
"""

# ruff: noqa: D102 -- what these do is libzfs.pyx's to say

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from jaild.model.errors import UnavailableError

# name, type, properties (by name: rawvalue, source by the name of PropertySource), of a dataset children too
Serialized = dict[str, Any]


class Named(Protocol):
    """A member of one of its enums (`Error`, `DatasetType`, `PropertySource`)."""

    @property
    def name(self) -> str: ...


class Property(Protocol):
    """A property of a dataset or snapshot, read when its handle was opened."""

    @property
    def rawvalue(self) -> str: ...
    @property
    def source(self) -> Named | None: ...
    def inherit(self, recursive: bool = ..., received: bool = ...) -> None: ...  # noqa: FBT001 -- theirs


class Properties(Protocol):
    """Its `ZFSPropertyDict`."""

    def get(self, k: str) -> Property | None: ...
    def items(self) -> Iterable[tuple[str, Property]]: ...


class Pool(Protocol):
    """Its `ZFSPool`."""

    def create(self, name: str, fsopts: dict[str, str]) -> None: ...


class SnapshotHandle(Protocol):
    """Its `ZFSSnapshot`."""

    @property
    def name(self) -> str: ...
    @property
    def holds(self) -> Mapping[str, int]: ...
    def hold(self, tag: str) -> None: ...
    def release(self, tag: str) -> None: ...
    def clone(self, name: str, opts: dict[str, str] | None = ...) -> None: ...
    def bookmark(self, name: str) -> None: ...
    def delete(self) -> None: ...


class DatasetHandle(Protocol):
    """Its `ZFSDataset`: a filesystem or a volume."""

    @property
    def name(self) -> str: ...
    @property
    def pool(self) -> Pool: ...
    @property
    def properties(self) -> Properties: ...
    @property
    def mountpoint(self) -> str | None: ...  # where it is mounted, None if it is not
    @property
    def children(self) -> Iterable[DatasetHandle]: ...
    @property
    def children_recursive(self) -> Iterable[DatasetHandle]: ...
    @property
    def snapshots(self) -> Iterable[SnapshotHandle]: ...
    def snapshot(self, name: str, fsopts: dict[str, str] | None = ..., recursive: bool = ...) -> None: ...  # noqa: FBT001 -- theirs
    def update_properties(self, all_properties: dict[str, dict[str, str]]) -> None: ...
    def rename(self, new_name: str) -> None: ...
    def mount(self) -> None: ...
    def umount(self) -> None: ...
    def delete(self) -> None: ...


class Handle(Protocol):
    """Its `ZFS`: one libzfs_handle_t, which is not thread-safe."""

    @property
    def errno(self) -> Named: ...  # ValueError for a number that its enum does not have
    @property
    def errstr(self) -> str: ...
    @property
    def pools(self) -> Iterable[object]: ...
    def datasets_serialized(
        self, *, props: list[str] | None = ..., datasets: list[str] | None = ...
    ) -> Iterable[Serialized]: ...
    def get_dataset(self, name: str) -> DatasetHandle: ...
    def get_snapshot(self, name: str) -> SnapshotHandle: ...


class Module(Protocol):
    """What `import libzfs` gives."""

    def ZFS(self) -> Handle: ...  # noqa: N802 -- theirs


def imported() -> Module:
    """Import it. `UnavailableError` (LIBZFS_MISSING) if it is not there, or is for another libzfs or Python."""
    try:
        return cast("Module", importlib.import_module("libzfs"))
    except ImportError as error:
        raise UnavailableError(
            "LIBZFS_MISSING",
            f"import libzfs: {error}",
            hint="install py-libzfs for this Python and this ZFS, or set `zfs: auto` or `zfs: cli`",
            resource="libzfs",
        ) from error
