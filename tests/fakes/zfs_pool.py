"""The fake ZFS's pool: filesystems, snapshots and mounts as records and directories, changed without awaiting."""

from __future__ import annotations

import dataclasses
import errno
import functools
import itertools
import secrets
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from jaild.adapters.zfs.errors import refusal
from jaild.model.errors import JaildError
from jaild.ports.zfs import Dataset
from tests.fakes import zfs_stream as streams
from tests.fakes import zfs_trees as trees

_NATIVE = frozenset(
    [
        "mountpoint",
        "canmount",
        "readonly",
        "quota",
        "refquota",
        "reservation",
        "refreservation",
        "recordsize",
        "atime",
        "compression",
        "exec",
        "setuid",
        "devices",
        "snapdir",
        "dnodesize",
        "copies",
        "logbias",
        "primarycache",
        "xattr",
        "acltype",
        "aclmode",
        "aclinherit",
        "sync",
    ]
)
SETTINGS = {  # that are inherited, and what they are where nobody has set them
    "readonly": "off",
    "atime": "off",
    "xattr": "on",
    "sharenfs": "off",
    "sharesmb": "off",
    "sync": "standard",
    "casesensitivity": "sensitive",
    "normalization": "none",
    "utf8only": "off",
}
_BLOCK = 512
_PLENTY = 1 << 40  # bytes available where no limit was set


_path = functools.cache(Path)  # the same few are asked for again and again


def new_guid() -> int:
    return secrets.randbits(63) | 1


def gone(name: str) -> JaildError:
    return refusal("DATASET_NOT_FOUND", name, f"cannot open '{name}': dataset does not exist")


@dataclass(kw_only=True)
class Snap:
    tag: str
    guid: int
    created: int
    tree: trees.Tree
    size: int
    holds: set[str] = field(default_factory=set)
    purpose: str = ""
    txg: int = field(default_factory=itertools.count().__next__, compare=False)


@dataclass(kw_only=True)
class Filesystem:
    name: str
    home: Path  # where its contents are while it is not mounted
    guid: int = field(default_factory=new_guid)
    created: int = field(default_factory=lambda: int(time.time()))
    origin: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    snapshots: list[Snap] = field(default_factory=list)
    bookmarks: dict[str, Snap] = field(default_factory=dict)
    mounted: Path | None = None
    partial: bytes = b""  # what an interrupted resumable receive left
    lock: str = ""  # of an encryption root: what its key is compared with
    loaded: bool = False

    @property
    def live(self) -> Path:
        return self.mounted or self.home


class Pool:
    """What `FakeZfs` stands on; raises the port's errors."""

    def __init__(self, store: Path, name: str, mountpoint: Path) -> None:
        self.store = store
        self.space: int | None = None
        self.mounts = {str(mountpoint): name}  # mount point: dataset
        mountpoint.mkdir(parents=True, exist_ok=True)
        store.mkdir(exist_ok=True)
        self.filesystems = {
            name: Filesystem(
                name=name, home=store / name, properties={"mountpoint": str(mountpoint)}, mounted=mountpoint
            )
        }

    def fs(self, name: str) -> Filesystem:
        if name not in self.filesystems:
            raise gone(name)
        return self.filesystems[name]

    def snap(self, name: str) -> tuple[Filesystem, Snap]:
        dataset, _, tag = name.partition("@")
        fs = self.fs(dataset)
        for snap in fs.snapshots:
            if snap.tag == tag:
                return fs, snap
        raise gone(name)

    def tree(self, root: str) -> list[Filesystem]:
        names = sorted(name for name in self.filesystems if name == root or name.startswith(root + "/"))
        return [self.filesystems[name] for name in names]

    def vacant(self, name: str) -> None:
        if name in self.filesystems:
            raise refusal("DATASET_EXISTS", name, f"cannot create '{name}': dataset already exists")
        self.fs(name.rpartition("/")[0])

    def native(self, name: str, properties: dict[str, str]) -> dict[str, str]:
        for prop in properties:
            if ":" not in prop and prop not in _NATIVE and prop not in SETTINGS:
                raise refusal("INVALID_PROPERTY", name, f"cannot set property for '{name}': invalid property '{prop}'")
        return properties

    def require_not_below_used(self, fs: Filesystem, new: dict[str, str]) -> None:
        for prop in ("refquota", "quota"):
            if new.get(prop, "none") != "none" and int(new[prop]) < self.describe(fs).referenced:
                text = f"cannot set property for '{fs.name}': size is less than current used or reserved space"
                raise refusal("INVALID_PROPERTY", fs.name, text)

    def add(self, name: str, properties: dict[str, str]) -> Filesystem:
        self.vacant(name)
        new = Filesystem(name=name, home=self.store / f"{new_guid()}", properties=self.native(name, properties))
        new.home.mkdir()
        self.filesystems[name] = new
        return new

    def describe(self, fs: Filesystem) -> Dataset:
        size = trees.size(str(fs.live), self.mounts)
        refquota, quota = (int(fs.properties.get(name, "0").replace("none", "0")) for name in ("refquota", "quota"))
        room = [limit - size for limit in (refquota, quota) if limit]
        available = _PLENTY if self.space is None else self.space
        return Dataset(
            name=fs.name,
            guid=fs.guid,
            mountpoint=self.mountpoint(fs),
            mounted=fs.mounted is not None,
            readonly=self.inherited(fs, "readonly") == "on",
            origin=fs.origin,
            used=size,
            referenced=size,
            available=max(min(available, *room), 0) if room else available,
            refquota=refquota,
            quota=quota,
            created=fs.created,
            properties={prop: value for prop, value in fs.properties.items() if ":" in prop},
        )

    def inherited(self, fs: Filesystem, prop: str) -> str:
        while prop not in fs.properties and "/" in fs.name:
            fs = self.filesystems[fs.name.rpartition("/")[0]]
        return fs.properties.get(prop, "")

    def mountpoint(self, fs: Filesystem) -> Path | None:
        below = []
        while "mountpoint" not in fs.properties:
            parent, _, last = fs.name.rpartition("/")
            below.append(last)
            fs = self.filesystems[parent]
        point = fs.properties["mountpoint"]
        return None if point in {"none", "legacy"} else _path(point, *reversed(below))

    def encryption_root(self, fs: Filesystem) -> Filesystem | None:
        """Return whose key a filesystem has: its own, its origin's, or that of what is above it."""
        while not fs.lock:
            above = fs.origin.partition("@")[0] or fs.name.rpartition("/")[0]
            if not above:
                return None
            fs = self.filesystems[above]
        return fs

    # -- mounts

    def mount_if_wanted(self, name: str) -> None:
        fs = self.fs(name)
        half_received = fs.partial and not fs.snapshots
        if fs.properties.get("canmount", "on") == "on" and self.mountpoint(fs) is not None and not half_received:
            self.mount(name)

    def mount(self, name: str) -> None:
        fs = self.fs(name)
        point = self.mountpoint(fs)
        if fs.mounted or point is None:
            return
        if fs.partial and not fs.snapshots:
            raise refusal("DATASET_BUSY", name, f"cannot mount '{name}': it is partially received")
        if (root := self.encryption_root(fs)) is not None and not root.loaded:
            raise refusal("KEY_UNAVAILABLE", name, f"cannot mount '{name}': encryption key not loaded")
        point.parent.mkdir(parents=True, exist_ok=True)
        try:
            fs.home.rename(point)  # an empty directory is replaced
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            raise refusal("DATASET_BUSY", name, f"cannot mount '{point}': directory is not empty") from error
        fs.mounted = point
        self.mounts[str(point)] = name

    def unmount(self, name: str) -> None:
        for fs in reversed(self.tree(name)):
            if fs.mounted:
                del self.mounts[str(fs.mounted)]
                fs.mounted.rename(fs.home)
                fs.mounted.mkdir()
                fs.mounted = None

    def leave(self, name: str) -> None:
        """Unmount for good: ZFS removes the mount point of what is destroyed, renamed or mounted elsewhere.

        Also of what is not mounted: the folder that was left when it was unmounted (measured with zfs-fuse 0.7).
        """
        point = self.fs(name).mounted or self.mountpoint(self.fs(name))
        self.unmount(name)
        if point is not None and point.is_dir() and str(point) not in self.mounts and not any(point.iterdir()):
            point.rmdir()

    # -- contents

    def freeze(self, fs: Filesystem, tag: str, guid: int, created: int, purpose: str = "") -> None:
        tree = trees.read(fs.live, self.mounts)
        size = sum(len(node.content) for node in tree.values() if stat.S_ISREG(node.mode))
        fs.snapshots.append(Snap(tag=tag, guid=guid, created=created, tree=tree, size=size, purpose=purpose))

    def fill(self, name: str, other: Filesystem) -> None:
        """Let a new filesystem have the contents, properties and snapshots of one of another pool."""
        fs = self.fs(name)
        trees.write(other.snapshots[-1].tree, fs.live)
        fs.properties.update(other.properties)
        fs.snapshots = [dataclasses.replace(snap, guid=new_guid(), holds=set()) for snap in other.snapshots]

    def become(self, fs: Filesystem, tree: trees.Tree) -> None:
        trees.remove(str(fs.live), self.mounts)
        trees.write(tree, fs.live)

    def modified(self, fs: Filesystem, since: Snap) -> bool:
        """Whether anything is other than in a snapshot: in what is live, or in a later snapshot."""
        children = {each.name.removeprefix(fs.name + "/") for each in self.tree(fs.name)}
        later = [snap.tree for snap in fs.snapshots[fs.snapshots.index(since) + 1 :]]
        old, *new = (
            {path: node for path, node in tree.items() if path not in children}
            for tree in (since.tree, *later, trees.read(fs.live, self.mounts))
        )
        return any(each != old for each in new)

    def written(self, fs: Filesystem, tag: str) -> int:
        """Bytes of the files that are new or other than in a snapshot, and a block for each change."""
        old = self.snap(f"{fs.name}@{tag}")[1].tree
        live = trees.read(fs.live, self.mounts)
        changed = [node for path, node in live.items() if old.get(path) != node]
        return sum(len(node.content) + _BLOCK for node in changed) + _BLOCK * len(old.keys() - live.keys())

    def drop_snapshots(self, doomed: list[tuple[Filesystem, Snap]], inside: str | None = None) -> None:
        names = {f"{fs.name}@{snap.tag}" for fs, snap in doomed}
        for fs, snap in doomed:
            if snap.holds:
                raise refusal("SNAPSHOT_HELD", fs.name, f"cannot destroy '{fs.name}@{snap.tag}': dataset is busy")
        going = {fs.name for fs in self.tree(inside)} if inside else set()
        for fs in self.filesystems.values():
            if fs.origin in names and fs.name not in going:
                raise refusal("DATASET_HAS_CLONES", fs.origin, f"'{fs.origin}' has dependent clones: {fs.name}")
        for fs, snap in doomed:
            fs.snapshots.remove(snap)

    # -- streams

    def stream(self, snapshot: str, base: str | None, *, if_changed: bool = False) -> bytes:
        fs, snap = self.snap(snapshot)
        old = self._base(fs, snap, base) if base else None
        if if_changed and old is not None and old.tree == snap.tree:
            return b""
        root = self.encryption_root(fs)
        header = streams.Header(
            tag=snap.tag,
            guid=snap.guid,
            base_guid=old.guid if old else 0,
            created=snap.created,
            removed=[],
            lock=root.lock if root is not None and not fs.name.startswith(f"{root.name}/") else "",
        )
        return streams.pack(header, snap.tree, old.tree if old else None)

    def by_guid(self, snapshot: str) -> dict[int, str]:
        """Name what may be sent from or to: the dataset's snapshots and its origin."""
        fs, _ = self.snap(snapshot)
        origin = {self.snap(fs.origin)[1].guid: fs.origin} if fs.origin else {}
        return origin | {snap.guid: f"{fs.name}@{snap.tag}" for snap in fs.snapshots}

    def _base(self, fs: Filesystem, snap: Snap, base: str) -> Snap:
        if "#" in base and base.partition("#")[2] in fs.bookmarks:
            return fs.bookmarks[base.partition("#")[2]]
        if fs.origin == base:
            return self.snap(base)[1]
        for earlier in fs.snapshots[: fs.snapshots.index(snap)]:
            if base == f"{fs.name}@{earlier.tag}":
                return earlier
        raise refusal("STREAM_BASE_MISSING", base, f"{base} is not an earlier snapshot of {fs.name}")

    def receive(
        self, name: str, header: streams.Header, body: bytes, origin: str | None, properties: dict[str, str]
    ) -> None:
        fs = self.filesystems.get(name)
        if fs is not None and fs.snapshots:
            self._check_target(fs, header)
        elif header.base_guid and (origin is None or self.snap(origin)[1].guid != header.base_guid):
            raise refusal("STREAM_BASE_MISSING", name, f"cannot receive into {name}: its base is not here")
        elif fs is not None and not fs.partial:
            raise refusal("DATASET_EXISTS", name, f"cannot receive into {name}: destination '{name}' exists")
        if fs is None:
            fs = self.add(name, {})
        if header.base_guid and not fs.snapshots and origin:
            fs.origin = origin
            trees.write(self.snap(origin)[1].tree, fs.home)
        if not header.base_guid:
            fs.lock = header.lock
        fs.partial = b""
        fs.properties.update(properties)
        streams.apply(header, body, fs.live)
        self.freeze(fs, header.tag, header.guid, header.created)

    def _check_target(self, fs: Filesystem, header: streams.Header) -> None:
        if not header.base_guid:
            raise refusal("DATASET_EXISTS", fs.name, f"cannot receive into {fs.name}: destination '{fs.name}' exists")
        base = next((snap for snap in fs.snapshots if snap.guid == header.base_guid), None)
        if base is None:
            raise refusal("STREAM_BASE_MISSING", fs.name, f"no snapshot of {fs.name} is the stream's base")
        if bool(header.lock) is not (self.encryption_root(fs) is not None):
            raise refusal("ENCRYPTION_DIFFERS", fs.name, f"cannot receive into {fs.name}: raw and not raw")
        if self.modified(fs, base):
            raise refusal("DATASET_MODIFIED", fs.name, f"{fs.name} has been modified since most recent snapshot")
