"""dpkg's database: what its status file and its lists of files say. Source: dpkg(1), deb822(5), deb-src-control(5)."""

from __future__ import annotations

import re

from jaild.model.contents.index import Package
from jaild.model.contents.versions import Ecosystem

_LONGEST = 256  # characters of a name or a version
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_WANTED = frozenset({"package", "status", "version", "architecture", "source"})


def packages(status: str, *, installed: bool = False) -> list[Package]:
    """Return the packages that a status file says are installed; `installed`: that all in it are (status.d)."""
    found = []
    for stanza in re.split(r"\n[ \t]*\n", status):
        fields = _fields(stanza)
        name, version = fields.get("package", ""), fields.get("version", "")
        if not name or not version or not (installed or fields.get("status", "").split()[2:] == ["installed"]):
            continue
        source = _SOURCE.match(fields.get("source", ""))
        found.append(
            Package(
                name=name[:_LONGEST],
                version=version[:_LONGEST],
                ecosystem=Ecosystem.DPKG,
                arch=fields.get("architecture", "")[:_LONGEST],
                source=source[1][:_LONGEST] if source else "",
                source_version=(source[2] or "")[:_LONGEST] if source else "",
            )
        )
    return found


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in stanza.split("\n"):
        name, colon, value = line.partition(":")
        if colon and name.lower() in _WANTED:  # a line that goes on begins with a blank
            fields[name.lower()] = value.strip()
    return fields
