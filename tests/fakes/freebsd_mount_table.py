"""What is mounted on a FreeBSD host that is told, as mount(8) and umount(8) see it; layers are copied into place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.processes import Argv, Said


@dataclass
class MountTable:
    in_use: Callable[[str], bool]  # whether a jail has its root there
    mounts: list[tuple[str, str, str, str]] = field(default_factory=list)  # what, where, kind, options and fsid
    places: dict[str, str] = field(default_factory=dict)  # by fsid, of all that was ever mounted
    astray: dict[str, str] = field(default_factory=dict)  # where a mount lands, if a folder on the way was swapped
    busy: set[str] = field(default_factory=set)  # places that somebody has a file open in

    def mount(self, argv: Argv) -> Said:
        if argv == ("mount", "-v"):
            return Said("".join(f"{s} on {t} ({k}, local{o})\n" for s, t, k, o in self.mounts))
        kind, source, target = argv[2], argv[-2], self.astray.get(argv[-1], argv[-1])
        options = argv[4] if argv[3] == "-o" else ""
        if kind == "nullfs":
            if not Path(source).is_dir():
                return Said(stderr=f"mount_nullfs: {source}: No such file or directory\n", status=64)
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        fsid = f"{len(self.places) + 1:08x}ff000029"
        self.places[fsid] = target
        self.mounts.append((source, target, kind, f"{', read-only' if options == 'ro' else ''}, fsid {fsid}"))
        return Said()

    def umount(self, argv: Argv) -> Said:
        force, fsid = argv[1] == "-f", argv[-1]
        mounted = [m for m in self.mounts if m[3].endswith(f"fsid {fsid}")]
        if not mounted:
            return Said(stderr=f"umount: {fsid}: statfs: No such file or directory\n", status=1)
        target = mounted[0][1]
        inside = any(m[1].startswith(f"{target}/") for m in self.mounts)
        assert not (force and inside), "by force it would be torn off its parent"
        if inside or target in self.busy or (not force and self.in_use(target)):
            return Said(stderr=f"umount: unmount of {target} failed: Device busy\n", status=1)
        self.mounts.remove(mounted[-1])
        for entry in Path(target).iterdir():  # what `mount` copied
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        return Said()
