"""What is mounted on a FreeBSD host that is told, for its programs and its libc; layers are copied into place."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.processes import Argv, Said


@dataclass(frozen=True)
class Entry:
    source: str
    target: str
    kind: str
    options: Mapping[str, str]
    fsid: str


@dataclass
class MountTable:
    in_use: Callable[[str], bool]  # whether a jail has its root there
    mounts: list[Entry] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)  # by fsid, of all that was ever mounted
    taken: list[tuple[str, bool]] = field(default_factory=list)  # what was to be unmounted: fsid, whether by force
    astray: dict[str, str] = field(default_factory=dict)  # where a mount lands, if a folder on the way was swapped
    busy: set[str] = field(default_factory=set)  # places that somebody has a file open in
    refused: set[str] = field(default_factory=set)  # types of file systems that cannot be mounted

    def add(self, kind: str, source: str, target: str, options: Mapping[str, str]) -> int:
        """Mount; return an error's number, 0 if there is none."""
        target = self.astray.get(target, target)
        if kind in self.refused:
            return errno.EINVAL
        if not Path(target).is_dir() or (kind == "nullfs" and not Path(source).is_dir()):
            return errno.ENOENT
        if kind == "nullfs" and any((m.source, m.target) == (source, target) for m in self.mounts):
            return errno.EDEADLK
        if kind == "nullfs":
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        fsid = f"{len(self.places) + 1:08x}ff000029"
        self.places[fsid] = target
        self.mounts.append(Entry(source, target, kind, options, fsid))
        return 0

    def take(self, fsid: str, *, force: bool) -> int:
        """Unmount; return an error's number, 0 if there is none."""
        self.taken.append((fsid, force))
        mounted = [mount for mount in self.mounts if mount.fsid == fsid]
        if not mounted:
            return errno.ENOENT
        target = mounted[0].target
        inside = any(m.target.startswith(f"{target}/") for m in self.mounts)
        assert not (force and inside), "by force it would be torn off its parent"
        if inside or target in self.busy or (not force and self.in_use(target)):
            return errno.EBUSY
        self.mounts.remove(mounted[0])
        for entry in Path(target).iterdir():  # what `add` copied
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        return 0

    def mount(self, argv: Argv) -> Said:
        """Do what mount(8) does."""
        if argv == ("mount", "-v"):
            return Said("".join(f"{m.source} on {m.target} ({_described(m)})\n" for m in self.mounts))
        kind, source, target = argv[2], argv[-2], argv[-1]
        words = argv[4].split(",") if argv[3] == "-o" else []
        said = {
            0: Said(),
            errno.EINVAL: Said(stderr=f"mount: {source}: Invalid argument\n", status=1),
            errno.EDEADLK: Said(stderr=f"mount_nullfs: {target}: Resource deadlock avoided\n", status=1),
            errno.ENOENT: Said(stderr=f"mount: {target}: No such file or directory\n", status=1),
        }
        done = self.add(kind, source, target, {word.partition("=")[0]: word.partition("=")[2] for word in words})
        if done == errno.ENOENT and Path(target).is_dir():
            return Said(stderr=f"mount_nullfs: {source}: No such file or directory\n", status=64)
        return said[done]

    def umount(self, argv: Argv) -> Said:
        """Do what umount(8) does with an fsid."""
        fsid = argv[-1]
        done = self.take(fsid, force=argv[1] == "-f")
        if done == errno.ENOENT:
            return Said(stderr=f"umount: {fsid}: statfs: No such file or directory\n", status=1)
        if done == errno.EBUSY:
            return Said(stderr=f"umount: unmount of {self.places[fsid]} failed: Device busy\n", status=1)
        return Said()


def _described(mount: Entry) -> str:
    return ", ".join((mount.kind, "local", *(["read-only"] if "ro" in mount.options else []), f"fsid {mount.fsid}"))
