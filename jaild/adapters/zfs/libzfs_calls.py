"""What is done with py-libzfs's handle, in its thread. A handle's properties are as old as itself: none is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from jaild.adapters.zfs import parse
from jaild.adapters.zfs.errors import refusal
from jaild.adapters.zfs.libzfs_thread import told
from jaild.adapters.zfs.pylibzfs import DatasetHandle, Handle, Serialized
from jaild.model.errors import InternalError
from jaild.ports.zfs import Dataset

# Of everything that py-libzfs would else read, what a listing needs: all of it takes longer than zfs(8) does.
_DATASET = list(parse.NATIVE)

# -- reading


def datasets(zfs: Handle, root: str) -> list[Dataset]:
    """Return `root` and every filesystem below it, by name."""
    top = zfs.get_dataset(root)
    with _to_the_end(zfs, root), _one_mount_table(zfs, top):
        names = {root, *(each.name for each in top.children_recursive)}
        read = [each for tree in zfs.datasets_serialized(props=_DATASET, datasets=[root]) for each in _flat(tree)]
    _require_all(root, names, read)
    found = [parse.dataset(each["name"], _told(each)) for each in read if each["type"] == "FILESYSTEM"]
    return sorted(found, key=lambda each: each.name)


def dataset(zfs: Handle, name: str) -> Dataset:
    """Return one filesystem."""
    found = zfs.get_dataset(name).properties.items()
    values = {prop: (each.rawvalue, "-" if each.source is None else each.source.name.lower()) for prop, each in found}
    return parse.dataset(name, values)


def holds(zfs: Handle, snapshot: str) -> frozenset[str]:
    """Return the tags that hold a snapshot."""
    return frozenset(zfs.get_snapshot(snapshot).holds)


# -- changing


def create(zfs: Handle, name: str, properties: Mapping[str, str]) -> None:
    """Create a filesystem, and mount it: zfs_create(3) does not."""
    zfs.get_dataset(name.rpartition("/")[0]).pool.create(name, dict(properties))
    _mount_new(zfs, name, properties)


def clone(zfs: Handle, snapshot: str, name: str, properties: Mapping[str, str]) -> None:
    """Clone a snapshot, and mount the clone."""
    zfs.get_snapshot(snapshot).clone(name, dict(properties))
    _mount_new(zfs, name, properties)


def assign(zfs: Handle, name: str, properties: Mapping[str, str]) -> bool:
    """Set properties in one transaction; False, with nothing done, by a py-libzfs that cannot."""
    found = zfs.get_dataset(name)
    if not hasattr(found, "update_properties"):
        return False
    found.update_properties({prop: {"value": value} for prop, value in properties.items()})
    return True


def inherit(zfs: Handle, name: str, prop: str) -> None:
    """Remove a local property. A user property that is not there has nothing to remove."""
    found = zfs.get_dataset(name).properties.get(prop)
    if found is not None:
        found.inherit()
    elif ":" not in prop:
        raise refusal("INVALID_PROPERTY", name, f"cannot inherit {prop} for '{name}': invalid property")


def snapshot(zfs: Handle, name: str, properties: Mapping[str, str], *, recursive: bool) -> None:
    """Make a snapshot; zfs_snapshot(3) makes those of the children in the same transaction, with the properties."""
    zfs.get_dataset(name.partition("@")[0]).snapshot(name, fsopts=dict(properties), recursive=recursive)


def bookmark(zfs: Handle, snapshot: str, tag: str) -> bool:
    """Bookmark a snapshot; False if that was refused, by errno(2) and without a word."""
    try:
        zfs.get_snapshot(snapshot).bookmark(tag)
    except OSError:
        return False
    return True


def destroy_snapshot(zfs: Handle, name: str) -> None:
    """Destroy one snapshot."""
    zfs.get_snapshot(name).delete()


def destroy_dataset(zfs: Handle, name: str) -> None:
    """Destroy a filesystem with nothing below it. zfs_destroy(3) neither looks nor unmounts, as zfs(8) does."""
    found = zfs.get_dataset(name)
    if next(iter(found.children), None) is not None or next(iter(found.snapshots), None) is not None:
        raise refusal("DATASET_HAS_CHILDREN", name, f"cannot destroy '{name}': filesystem has children")
    mounted = found.mountpoint is not None
    if mounted:
        found.umount()
    try:
        found.delete()
    except RuntimeError:
        if mounted:
            found.mount()
        raise


def rename(zfs: Handle, name: str, new_name: str) -> None:
    """Rename a dataset."""
    zfs.get_dataset(name).rename(new_name)


def hold(zfs: Handle, tag: str, names: Sequence[str]) -> None:
    """Hold snapshots; one that has the tag already is held."""
    for name in names:
        try:
            zfs.get_snapshot(name).hold(tag)
        except RuntimeError:
            if not _held(zfs, tag, name):
                raise


def release(zfs: Handle, tag: str, names: Sequence[str]) -> None:
    """Drop holds; one that is not there, or whose snapshot is gone, is dropped."""
    for name in names:
        try:
            zfs.get_snapshot(name).release(tag)
        except RuntimeError:
            if _held(zfs, tag, name):
                raise


def mount(zfs: Handle, name: str) -> bool:
    """Mount, and tell whether it is: zfs_mount(3) says nothing of one that has no mountpoint."""
    found = zfs.get_dataset(name)
    if found.mountpoint is None:
        with suppress(RuntimeError):  # "mount failed" without a reason: the command tells it
            found.mount()
    return found.mountpoint is not None


def unmount(zfs: Handle, name: str) -> bool:
    """Unmount, with what is mounted below it, and tell whether it is unmounted."""
    found = zfs.get_dataset(name)
    if found.mountpoint is not None:
        with suppress(RuntimeError):
            found.umount()
    return found.mountpoint is None


# -- how


@contextmanager
def _to_the_end(zfs: Handle, subject: str) -> Iterator[None]:
    """Raise if an iteration in here broke off: py-libzfs takes what it got until then for all there is.

    libzfs keeps the number of its last error, and only errors change it: so make a harmless one, and look for another.
    """
    with suppress(RuntimeError):
        zfs.get_snapshot(subject)  # a name without @: refused before anything is asked
    before = _number(zfs)
    yield
    if _number(zfs) != before:
        raise InternalError("COMMAND_FAILED", f"libzfs: iterating below {subject}: {zfs.errstr}", resource=subject)


def _number(zfs: Handle) -> object:
    try:
        return zfs.errno
    except ValueError as error:
        return str(error)


@contextmanager
def _one_mount_table(zfs: Handle, found: DatasetHandle) -> Iterator[None]:
    """Let libzfs read the mount table once for all that is asked in here, not once for each.

    py-libzfs has that while its `pools` are iterated (libzfs_mnttab_cache(3)). What was kept of an earlier time is
    dropped by one question before.
    """
    _ = found.mountpoint
    pools = iter(zfs.pools)
    next(pools, None)
    try:
        yield
    finally:
        for _ in pools:
            pass


def _flat(tree: Serialized) -> Iterator[Serialized]:
    yield tree
    for child in tree["children"]:
        yield from _flat(child)


def _told(one: Serialized) -> parse.Values:
    return {prop: (told["rawvalue"], told["source"].lower()) for prop, told in one["properties"].items()}


def _require_all(subject: str, names: set[str], read: Sequence[Serialized]) -> None:
    """Raise if something is missing: py-libzfs leaves out, without a word, what it fails to put into Python's types."""
    if {each["name"] for each in read} != names:
        raise InternalError("COMMAND_FAILED", f"libzfs: not all below {subject} could be read", resource=subject)


def _mount_new(zfs: Handle, name: str, properties: Mapping[str, str]) -> None:
    if properties.get("canmount", "on") != "on":  # it is never inherited
        return
    new = zfs.get_dataset(name)
    try:
        new.mount()
    except RuntimeError:
        new.delete()  # a failed call must leave nothing
        raise


def _held(zfs: Handle, tag: str, name: str) -> bool:
    try:
        return tag in zfs.get_snapshot(name).holds
    except RuntimeError as error:
        if told(zfs, error, "holds", name).reason == "DATASET_NOT_FOUND":
            return False
        raise
