"""dpkg's database: what its status file and its lists of files say. Source: dpkg(1), deb822(5), deb-src-control(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jaild.model.contents.index import Package
from jaild.model.contents.versions import Ecosystem

_LONGEST = 256  # characters of a name or a version
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_FIELD = re.compile(r"^(package|status|version|architecture|source):(.*)$", re.IGNORECASE | re.MULTILINE)
_BETWEEN = re.compile(r"\n[ \t]*\n")


def packages(status: str, *, installed: bool = False) -> Iterator[Package]:
    """Yield the packages that a status file says are installed; `installed`: that all in it are (status.d)."""
    for begin, end in _stanzas(status):
        fields = {found[1].lower(): found[2].strip() for found in _FIELD.finditer(status, begin, end)}
        name, version = fields.get("package", ""), fields.get("version", "")
        if not name or not version or not (installed or fields.get("status", "").split()[2:] == ["installed"]):
            continue
        source = _SOURCE.match(fields.get("source", ""))
        yield Package(
            name=name[:_LONGEST],
            version=version[:_LONGEST],
            ecosystem=Ecosystem.DPKG,
            arch=fields.get("architecture", "")[:_LONGEST],
            source=source[1][:_LONGEST] if source else "",
            source_version=(source[2] or "")[:_LONGEST] if source else "",
        )


def _stanzas(status: str) -> Iterator[tuple[int, int]]:
    """Yield where each begins and ends, one after the other: a file of others may have any number."""
    begin = 0
    for blank in _BETWEEN.finditer(status):
        yield begin, blank.start()
        begin = blank.end()
    yield begin, len(status)
