"""A path inside a machine, with the few operations of `pathlib.Path` that the ZFS contract uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import Machine


@dataclass(frozen=True)
class PlaceInside:
    """Implements `tests.contract.zfs_host.Place`. Operations block the event loop: a test waits for them anyway."""

    machine: Machine
    path: Path

    @property
    def parent(self) -> PlaceInside:
        """The folder that it is in."""
        return PlaceInside(self.machine, self.path.parent)

    def __truediv__(self, name: str) -> PlaceInside:
        """Return a path below."""
        return PlaceInside(self.machine, self.path / name)

    def read_bytes(self) -> bytes:
        """Return a file's content."""
        return self.machine.must("cat", str(self.path))

    def write_bytes(self, data: bytes) -> int:
        """Write a file."""
        self.machine.must("dd", f"of={self.path}", "bs=1M", "iflag=fullblock", "status=none", stdin=data)
        return len(data)

    def exists(self) -> bool:
        """Tell whether something is there."""
        return self.machine.run("test", "-e", str(self.path)).status == 0

    def unlink(self) -> None:
        """Remove a file."""
        self.machine.must("rm", str(self.path))

    def mkdir(self) -> None:
        """Make a folder."""
        self.machine.must("mkdir", str(self.path))

    def touch(self) -> None:
        """Make an empty file."""
        self.machine.must("touch", str(self.path))
