"""What a jail's tree is put together from: base, release, data, configuration, package database, volumes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath

import msgspec

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Family
from jaild.model.layout import DATA, DATA_FOLDERS

_PACKAGE_DATABASE = {Family.FREEBSD: "/var/db/pkg", Family.LINUX: "/var/lib/dpkg"}


class MountKind(StrEnum):
    """How a layer is mounted."""

    LAYER = "layer"  # a folder of the host: nullfs on FreeBSD, bind on Linux
    TMPFS = "tmpfs"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One mount of a jail's tree."""

    kind: MountKind
    target: str  # absolute, inside the jail
    source: str = ""  # absolute, on the host, itself no symlink; empty for tmpfs
    within: str = ""  # the folder of `source` that is mounted, relative; a jail may write there, so no link is followed
    readonly: bool = False
    size: int = 0  # bytes, tmpfs only; 0: the system's default

    @property
    def folder(self) -> str:
        """What is mounted, as a path of the host; empty for tmpfs."""
        return f"{self.source}/{self.within}" if self.within else self.source

    @property
    def depth(self) -> int:
        """How far below the root the target is."""
        return len(PurePosixPath(self.target).parts) - 1


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of the host that a tree is made of; all absolute, empty where there is none.

    `packages` is the tree that the jail's package database is shown from: the release's on FreeBSD (it says what is in
    /usr/local), the base's on Linux (there dpkg says what is in /usr). `volumes` maps paths in the jail to folders,
    `tmpfs` paths to sizes in bytes (0: the system's default).
    """

    family: Family
    base: str
    generation: str  # holds etc and usr-local-etc
    data: str  # holds DATA_FOLDERS
    release: str = ""
    mount_point: str = "/usr/local"
    release_has_etc: bool = True  # its etc folder is what the generation's usr-local-etc is mounted on
    packages: str = ""
    volumes: Mapping[str, str] = {}
    tmpfs: Mapping[str, int] = msgspec.field(default_factory=lambda: {"/tmp": 0})  # noqa: S108 -- in the jail


def package_database(family: Family) -> str:
    """Return where a jail of this family looks for its package database."""
    return _PACKAGE_DATABASE[family]


def tree_of(layers: Layers) -> tuple[Mount, ...]:
    """Return the mounts, parents first. Raises `InvalidArgumentError` (DUPLICATE_MOUNT) if two want the same place.

    devfs, /proc and /sys are the runtime's own business and not among them.
    """
    mounts = [_layer("/", layers.base, readonly=True)]
    if layers.release:
        mounts.append(_layer(layers.mount_point, layers.release, readonly=True))
    mounts.extend(_layer(f"/{name}", layers.data, name) for name in DATA_FOLDERS)
    mounts.append(_layer("/etc", layers.generation, "etc"))
    if layers.release and layers.release_has_etc:
        mounts.append(_layer(f"{layers.mount_point}/etc", layers.generation, "usr-local-etc"))
    mounts.extend(Mount(kind=MountKind.TMPFS, target=path, size=size) for path, size in layers.tmpfs.items())
    if layers.packages:
        database = package_database(layers.family)
        mounts.append(_layer(database, layers.packages, database, readonly=True))
    mounts.extend(_layer(path, folder) for path, folder in sorted(layers.volumes.items()))
    _refuse_duplicates(mounts)
    return _parents_first(mounts)


def sandbox_of(*, family: Family, base: str, release: str, mount_point: str, scratch: str) -> tuple[Mount, ...]:
    """Return the mounts of a build jail, parents first: the release writable over a base that is not.

    `release` and `scratch` are folders of the host: `scratch` holds etc and DATA_FOLDERS, `release` on FreeBSD its
    package database.
    """
    mounts = [_layer("/", base, readonly=True), _layer(mount_point, release)]
    mounts += [_layer(f"/{name}", scratch, name) for name in (*DATA_FOLDERS, "etc")]
    mounts.append(Mount(kind=MountKind.TMPFS, target="/tmp"))  # noqa: S108 -- in the jail
    if family is Family.FREEBSD:
        database = package_database(family)
        mounts.append(_layer(database, release, database))
    return _parents_first(mounts)


def _layer(target: str, source: str, within: str = "", *, readonly: bool = False) -> Mount:
    place, inside = str(PurePosixPath(target)), within.lstrip("/")
    return Mount(kind=MountKind.LAYER, target=place, source=source, within=inside, readonly=readonly)


def _refuse_duplicates(mounts: list[Mount]) -> None:
    taken: dict[str, Mount] = {}
    for mount in mounts:
        other = taken.setdefault(mount.target, mount)
        if other is not mount:
            raise InvalidArgumentError(
                "DUPLICATE_MOUNT",
                f"{mount.target} would be mounted twice: {other.folder or other.kind} and {mount.folder or mount.kind}",
                hint="give the volume or the release another mount point",
                detail={"target": mount.target},
            )


def _parents_first(mounts: list[Mount]) -> tuple[Mount, ...]:
    return tuple(sorted(mounts, key=lambda mount: mount.depth))  # equal depths keep their order


def below_writable(mount: Mount, mounts: tuple[Mount, ...]) -> bool:
    """Return whether the target of `mount`, one of `mounts`, is reached through what a jail can write to."""
    place = PurePosixPath(mount.target)
    return any(
        not other.readonly and place != PurePosixPath(other.target) and place.is_relative_to(other.target)
        for other in mounts
    )


def holder_of(spec: JailSpec, path: str, *, mounted: str = "") -> tuple[str, str] | None:
    """Return which of a jail's datasets a path lies in, as `Layout.part` takes it, and the path below its folder.

    None: it lies in a layer that is read-only, so that nothing can be made there. `mounted`: the volume that is to be
    mounted there, in which it does not lie.
    """
    place = PurePosixPath(path)
    around = [(PurePosixPath(volume.path), name) for name, volume in spec.volumes.items() if name != mounted]
    around = [(at, name) for at, name in around if place.is_relative_to(at)]
    if around:
        at, name = max(around, key=lambda found: len(found[0].parts))
        below = place.relative_to(at)
        return name, "" if below == PurePosixPath() else str(below)
    if place.is_absolute() and len(place.parts) > 2 and place.parts[1] in DATA_FOLDERS:  # noqa: PLR2004 -- /var/x
        return DATA, str(place.relative_to("/"))
    return None


def mount_at(mounts: tuple[Mount, ...], path: str) -> tuple[Mount, tuple[str, ...]]:
    """Return which mount of a tree an absolute path lies in, and the steps to it below that."""
    place = PurePosixPath(path)
    around = [mount for mount in mounts if place.is_relative_to(mount.target)]
    mount = max(around, key=lambda found: found.depth)
    return mount, place.relative_to(mount.target).parts


def mounts_below(mounts: tuple[Mount, ...], path: str) -> dict[bytes, Mount]:
    """Return what is mounted below an absolute path, by the path from there."""
    place = PurePosixPath(path)
    below = [mount for mount in mounts if mount.target != path and PurePosixPath(mount.target).is_relative_to(place)]
    return {os.fsencode(str(PurePosixPath(mount.target).relative_to(place))): mount for mount in below}
