"""py-libzfs on the fake pool: names and arguments as libzfs.pyx has them, and libzfs's manners, which are not zfs(8)'s.

It mounts nothing that it makes, destroys nothing that is mounted, says NOENT of all that it cannot open, and belongs to
the thread that made it. The names and arguments are compared with those recorded
(`tests/unit/adapters/zfs/test_libzfs.py`).
"""

# ruff: noqa: FBT001, FBT002 -- their arguments

from __future__ import annotations

import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from jaild.model.errors import JaildError
from tests.fakes.pylibzfs_values import CODES, DatasetType, Error, PropertySource, ZFSException
from tests.fakes.zfs import FakeZfs
from tests.fakes.zfs_pool import Filesystem, Pool, Snap

T = TypeVar("T")


class PyLibzfs:
    """The module. `fake` is the same ZFS by its commands; `broken` makes the next iteration end early, with that."""

    def __init__(self, fake: FakeZfs) -> None:
        self.fake = fake
        self.broken: Error | None = None
        self.unreadable: set[str] = set()
        self.strangers: list[str] = []  # what was asked by another thread than the one that made the handle

    def ZFS(self) -> ZFS:  # noqa: N802 -- theirs
        return ZFS(self)


class ZFS:
    def __init__(self, module: PyLibzfs) -> None:
        self._module = module
        self._thread = threading.get_ident()
        self._last = Error.NOMEM

    @property
    def errno(self) -> Error:
        return self._last

    @property
    def errstr(self) -> str:
        return f"description of {self._last.name}"

    @property
    def pools(self) -> Iterator[ZFSPool]:
        self._asked("pools")
        yield ZFSPool(self)

    def get_dataset(self, name: str) -> ZFSDataset:
        self._asked(f"get_dataset {name}")
        return ZFSDataset(self, self._found(lambda: self._pool.fs(name), name, at=False))

    def get_snapshot(self, name: str) -> ZFSSnapshot:
        self._asked(f"get_snapshot {name}")
        return ZFSSnapshot(self, *self._found(lambda: self._pool.snap(name), name, at=True))

    def datasets_serialized(
        self,
        props: list[str] | None = None,
        user_props: bool = True,
        datasets: list[str] | None = None,
        snapshots: bool = False,
        retrieve_children: bool = True,
        snapshots_recursive: bool = False,
        snapshot_props: list[str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        assert user_props
        assert not snapshots
        assert retrieve_children
        assert not snapshots_recursive
        assert snapshot_props is None
        for name in datasets or []:
            yield self._serialized(name, props or [])

    # -- not theirs

    def _serialized(self, name: str, props: list[str]) -> dict[str, Any]:
        """A dataset whose properties cannot be read is left out, as by the older version."""
        dataset = self.get_dataset(name)
        return {
            "name": name,
            "type": dataset.type.name,
            "properties": _shown(dataset.properties, props),
            "children": [
                self._serialized(child.name, props)
                for child in dataset.children
                if child.name not in self._module.unreadable
            ],
        }

    @property
    def _pool(self) -> Pool:
        return self._module.fake.pool

    def _asked(self, what: str) -> None:
        if threading.get_ident() != self._thread:
            self._module.strangers.append(what)

    def _found(self, look: Any, name: str, *, at: bool) -> Any:
        if ("@" in name) != at or not name:
            self._last = Error.INVALIDNAME
            raise ZFSException(Error.NOENT, f"{'Snapshot' if at else 'Dataset'} {name} not found")
        refused = self._module.fake.refuse.get("open")
        if refused is not None:
            self._last = Error.PERM
            raise ZFSException(Error.NOENT, f"Dataset {name} not found")
        try:
            return look()
        except JaildError as error:
            self._last = Error.NOENT
            raise ZFSException(Error.NOENT, f"Dataset {name} not found") from error

    def _do(self, what: Coroutine[Any, Any, T]) -> T:
        """Run one of the fake's operations: it awaits nothing but its turn."""
        try:
            while True:
                what.send(None)
        except StopIteration as end:
            done: T = end.value
            return done
        except JaildError as error:
            raise self._error(CODES[error.reason]) from error

    def _error(self, code: Error) -> ZFSException:
        self._last = code
        return ZFSException(code, self.errstr)

    def _iterated(self, found: list[T]) -> Iterator[T]:
        """Yield what an iteration finds: of one that breaks off nobody is told."""
        if self._module.broken is not None:
            self._last, self._module.broken = self._module.broken, None
            found = found[:-1]
        yield from found


def _shown(properties: ZFSPropertyDict, props: list[str]) -> dict[str, dict[str, str]]:
    return {
        name: {"rawvalue": each.rawvalue, "source": "NONE" if each.source is None else each.source.name}
        for name, each in properties.items()
        if name in props or ":" in name
    }


class ZFSPool:
    def __init__(self, root: ZFS) -> None:
        self._root = root

    def create(
        self,
        name: str,
        fsopts: dict[str, str],
        fstype: DatasetType = DatasetType.FILESYSTEM,
        sparse_vol: bool = False,
        create_ancestors: bool = False,
    ) -> None:
        assert fstype is DatasetType.FILESYSTEM
        assert not sparse_vol
        assert not create_ancestors
        self._root._asked(f"create {name}")
        self._root._do(self._root._module.fake.create(name, fsopts | {"canmount": "noauto"}))
        self._root._pool.fs(name).properties.pop("canmount")
        self._root._pool.fs(name).properties.update(fsopts)


class ZFSProperty:
    def __init__(self, dataset: ZFSDataset | ZFSSnapshot, name: str, value: str, source: PropertySource | None) -> None:
        self._dataset, self.name = dataset, name
        self.rawvalue, self.source = value, source

    def inherit(self, recursive: bool = False, received: bool = False) -> None:
        assert not recursive
        assert not received
        root = self._dataset._root
        root._asked(f"inherit {self.name}")
        root._do(root._module.fake.inherit(self._dataset.name, self.name))


class ZFSPropertyDict:
    def __init__(self, props: dict[str, ZFSProperty]) -> None:
        self._props = props

    def get(self, k: str, d: ZFSProperty | None = None) -> ZFSProperty | None:
        return self._props.get(k, d)

    def items(self) -> Any:
        return self._props.items()


class ZFSSnapshot:
    def __init__(self, root: ZFS, fs: Filesystem, snap: Snap) -> None:
        self._root, self._fs, self._snap = root, fs, snap
        self.name = f"{fs.name}@{snap.tag}"

    def __del__(self) -> None:
        self._root._asked(f"close {self.name}")

    @property
    def holds(self) -> dict[str, int]:
        self._root._asked(f"holds {self.name}")
        return dict.fromkeys(self._snap.holds, 1_700_000_000)

    def hold(self, tag: str, recursive: bool = False) -> None:
        assert not recursive
        self._root._asked(f"hold {self.name}")
        if tag in self._snap.holds:
            raise self._root._error(Error.HOLD)
        self._snap.holds.add(tag)

    def release(self, tag: str, recursive: bool = False) -> None:
        assert not recursive
        self._root._asked(f"release {self.name}")
        if tag not in self._snap.holds:
            raise self._root._error(Error.RELE)
        self._snap.holds.remove(tag)

    def clone(self, name: str, opts: dict[str, str] | None = None) -> None:
        self._root._asked(f"clone {self.name}")
        wanted = opts or {}
        self._root._do(self._root._module.fake.clone(self.name, name, wanted | {"canmount": "noauto"}))
        self._root._pool.fs(name).properties.pop("canmount")
        self._root._pool.fs(name).properties.update(wanted)

    def bookmark(self, name: str) -> None:
        self._root._asked(f"bookmark {self.name}")
        if name in self._fs.bookmarks:
            raise OSError(17, "File exists")
        self._fs.bookmarks[name] = self._snap

    def delete(self, recursive: bool = False, defer: bool = False, recursive_children: bool = False) -> None:
        assert not recursive
        assert not defer
        assert not recursive_children
        self._root._asked(f"delete {self.name}")
        if any(fs.origin == self.name for fs in self._root._pool.filesystems.values()):
            raise ZFSException(1, f"Cannot destroy {self.name}: snapshot has dependent clones")
        self._root._do(self._root._module.fake.destroy(self.name))


class ZFSDataset:
    """Properties are as old as the handle."""

    def __init__(self, root: ZFS, fs: Filesystem) -> None:
        self._root, self._fs = root, fs
        self.name = fs.name
        self.type = DatasetType.FILESYSTEM
        self._read = self._values()

    def __del__(self) -> None:
        self._root._asked(f"close {self.name}")

    @property
    def pool(self) -> ZFSPool:
        return ZFSPool(self._root)

    @property
    def properties(self) -> ZFSPropertyDict:
        return ZFSPropertyDict({name: ZFSProperty(self, name, *told) for name, told in self._read.items()})

    @property
    def mountpoint(self) -> str | None:
        self._root._asked(f"mountpoint {self.name}")
        return None if self._fs.mounted is None else str(self._fs.mounted)

    @property
    def children(self) -> Iterator[ZFSDataset]:
        depth = self.name.count("/") + 1
        below = [fs for fs in self._root._pool.tree(self.name) if fs.name.count("/") == depth]
        return self._root._iterated([ZFSDataset(self._root, fs) for fs in below])

    @property
    def children_recursive(self) -> Iterator[ZFSDataset]:
        return self._root._iterated([ZFSDataset(self._root, fs) for fs in self._root._pool.tree(self.name)[1:]])

    @property
    def snapshots(self) -> Iterator[ZFSSnapshot]:
        return self._root._iterated([ZFSSnapshot(self._root, self._fs, snap) for snap in reversed(self._fs.snapshots)])

    def snapshot(self, name: str, fsopts: dict[str, str] | None = None, recursive: bool = False) -> None:
        purpose = (fsopts or {}).get("jaild:snapshot", "")
        self._root._asked(f"snapshot {name}")
        self._root._do(self._root._module.fake.snapshot(*name.split("@"), recursive=recursive, purpose=purpose))

    def update_properties(self, all_properties: dict[str, dict[str, str]]) -> None:
        self._root._asked(f"update_properties {self.name}")
        wanted = {prop: details["value"] for prop, details in all_properties.items()}
        self._root._do(self._root._module.fake.set(self.name, wanted))

    def rename(
        self, new_name: str, nounmount: bool = False, forceunmount: bool = False, recursive: bool = False
    ) -> None:
        assert not nounmount
        assert not forceunmount
        assert not recursive
        self._root._asked(f"rename {self.name}")
        self._root._do(self._root._module.fake.rename(self.name, new_name))

    def mount(self) -> None:
        self._root._asked(f"mount {self.name}")
        if self._fs.mounted is not None:
            raise self._root._error(Error.MOUNTFAILED)
        if self._root._pool.mountpoint(self._fs) is None:
            return
        try:
            self._root._pool.mount(self.name)
        except JaildError as error:
            raise self._root._error(Error.MOUNTFAILED) from error

    def umount(self, force: bool = False) -> None:
        assert not force
        self._root._asked(f"umount {self.name}")
        self._root._do(self._root._module.fake.unmount(self.name))

    def delete(self, defer: bool = False) -> None:
        assert not defer
        self._root._asked(f"delete {self.name}")
        if self._fs.mounted is not None:
            raise self._root._error(Error.BUSY)
        self._root._do(self._root._module.fake.destroy(self.name))

    # -- not theirs

    def _values(self) -> dict[str, tuple[str, PropertySource]]:
        pool, told = self._root._pool, self._root._pool.describe(self._fs)
        shown: dict[str, object] = {
            "guid": told.guid,
            "mountpoint": told.mountpoint or "none",
            "mounted": "yes" if told.mounted else "no",
            "readonly": "on" if told.readonly else "off",
            "origin": told.origin,
            "used": told.used,
            "referenced": told.referenced,
            "available": told.available,
            "refquota": told.refquota,
            "quota": told.quota,
            "creation": told.created,
        }
        own = {name: (str(value), PropertySource.NONE) for name, value in shown.items()}
        own |= {name: (value, PropertySource.LOCAL) for name, value in self._fs.properties.items() if name not in own}
        fs = self._fs
        while "/" in fs.name:
            fs = pool.filesystems[fs.name.rpartition("/")[0]]
            for name, value in fs.properties.items():
                if ":" in name:
                    own.setdefault(name, (value, PropertySource.INHERITED))
        return own
