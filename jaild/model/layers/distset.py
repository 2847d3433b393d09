"""FreeBSD's distribution sets: the MANIFEST that stands beside base.txz, and whether a set is the one that it names.

Format as bsdinstall(8) reads it: lines of file, SHA-256, number of files, name, "description", on or off, with tabs
between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jaild.model import quantity
from jaild.model.errors import DataLossError, InvalidArgumentError, NotFoundError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = 6
_MAX_LINES = 1000


@dataclass(frozen=True, kw_only=True)
class DistributionSet:
    """One line of a MANIFEST."""

    file: str  # base.txz
    sha256: str  # hexadecimal, lower case
    files: int  # how many entries it unpacks to
    name: str  # base
    description: str
    chosen: bool  # whether the installer proposes it


def parse(text: str) -> dict[str, DistributionSet]:
    """Return a MANIFEST's sets by file name; raise `InvalidArgumentError` (MANIFEST_UNREADABLE) if it is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or len(lines) > _MAX_LINES:
        raise _unreadable(f"it has {quantity.count(len(lines), 'line')}")
    found: dict[str, DistributionSet] = {}
    for line in lines:
        entry = _line(line)
        if entry.file in found:
            raise _unreadable(f"it names {entry.file!r} twice")
        found[entry.file] = entry
    return found


def _line(line: str) -> DistributionSet:
    fields = line.split("\t")
    if len(fields) != _FIELDS:
        raise _unreadable(f"{line[:100]!r} has {quantity.count(len(fields), 'field')}, not {_FIELDS}")
    file, digest, count, name, description, chosen = (field.strip() for field in fields)
    if not file or "/" in file or not _SHA256.fullmatch(digest.lower()) or not count.isdecimal():
        raise _unreadable(f"{line[:100]!r} is not: file, sha256, number of files, name, description, on or off")
    return DistributionSet(
        file=file,
        sha256=digest.lower(),
        files=int(count),
        name=name,
        description=description.strip('"'),
        chosen=chosen == "on",
    )


def _unreadable(problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "MANIFEST_UNREADABLE",
        f"this is not a MANIFEST of distribution sets: {problem}",
        hint="fetch MANIFEST again from the folder that the set came from",
    )


def verify(manifest: dict[str, DistributionSet], file: str, sha256: str) -> DistributionSet:
    """Return the set that `file` is.

    Raises `NotFoundError` (MANIFEST_MISMATCH) if the MANIFEST does not name it, `DataLossError` (MANIFEST_MISMATCH) if
    its digest is another one.
    """
    entry = manifest.get(file)
    if entry is None:
        raise NotFoundError(
            "MANIFEST_MISMATCH",
            f"the MANIFEST does not name {file!r}, only {', '.join(sorted(manifest))}",
            hint="keep the set's own file name, and take the MANIFEST of the same release",
        )
    if entry.sha256 != sha256.lower():
        raise DataLossError(
            "MANIFEST_MISMATCH",
            f"the sha256 of {file} is {sha256.lower()}, its MANIFEST says {entry.sha256}",
            hint="fetch the set and the MANIFEST again, both from the same release",
            detail={"expected": entry.sha256, "found": sha256.lower()},
        )
    return entry
