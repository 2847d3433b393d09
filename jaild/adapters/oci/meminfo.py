"""What Linux says of its memory: proc_meminfo(5)."""

from __future__ import annotations

from pathlib import Path

FILE = Path("/proc/meminfo")


def available(text: str) -> int | None:
    """Return MemAvailable in bytes; None where the kernel does not tell. A kernel's own ZFS cache is not in it."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None
