"""What a ZFS can do, read off the usage texts that it prints itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jaild.ports.zfs import Capabilities


@dataclass(frozen=True, kw_only=True)
class Detected:
    """The port's capabilities, and what only this adapter needs to know."""

    capabilities: Capabilities
    get_types: bool  # `zfs get -t`: without it snapshots are listed too
    snapshots_together: bool  # several names in one `zfs snapshot`


def detect(usage: str, properties: str, version: str | None) -> Detected:
    """Return what follows from the texts of `zfs -?` and `zfs get`, and the version where the tool tells one."""
    sends = _lines(usage, "send")
    receives = _lines(usage, "receive")
    flags = set("".join(re.findall(r"\[-(\w+)\]", sends)))
    return Detected(
        capabilities=Capabilities(
            implementation="zfs-fuse" if version is None else "openzfs",
            version=version or "0.7",  # the only one that knows no `zfs version` and is still packaged
            resumable_receive="receive_resume_token" in sends and "-A" in receives,
            bookmarks=bool(_lines(usage, "bookmark")),
            written=bool(re.search(r"^\s*written@", properties, re.MULTILINE)),
            set_many=bool(re.search(r"<property=value> \.\.\.", _lines(usage, "set"))),
            receive_properties="-o" in receives,
            rich_send={"L", "e", "c"} <= flags,
            estimates={"n", "P"} <= flags,
            lists_holds="H" in _lines(usage, "holds"),
            encryption=bool(_lines(usage, "load-key")) and "w" in flags,
        ),
        get_types="-t" in _lines(usage, "get"),
        snapshots_together=_lines(usage, "snapshot").rstrip().endswith("..."),
    )


def _lines(usage: str, command: str) -> str:
    """Return all that the usage text says of one command, continuation lines too."""
    found, inside = [], False
    for line in usage.splitlines():
        if line.startswith("\t") and not line.startswith("\t "):
            inside = line.split()[0] == command
        if inside:
            found.append(line)
    return "\n".join(found)
