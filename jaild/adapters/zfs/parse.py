"""Reading what `zfs get -Hp -o name,property,value,source` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from jaild.model.layout import SNAPSHOT_PROPERTY
from jaild.model.snapshots import Bookmark, Snapshot
from jaild.ports.zfs import Dataset

COLUMNS = "name,property,value,source"
_SOURCE = re.compile(r"\t(-|default|local|received|temporary|inherited from [^\t]+)$")
_OWN = frozenset({"local", "received"})

# ZFS's own properties that `dataset` reads.
NATIVE = (
    "guid",
    "mountpoint",
    "mounted",
    "readonly",
    "origin",
    "used",
    "referenced",
    "available",
    "refquota",
    "quota",
    "creation",
)

Values = dict[str, tuple[str, str]]  # property: value and source


def values(text: str) -> dict[str, Values]:
    """Return the properties of each dataset, in the order printed.

    A user property may hold tabs and newlines (`zfs get` escapes nothing), so a record ends where a source does.
    """
    found: dict[str, Values] = {}
    for record in _records(text):
        name, prop, rest = record.split("\t", 2)
        value, _, source = rest.rpartition("\t")
        found.setdefault(name, {})[prop] = value, source
    return found


def _records(text: str) -> Iterator[str]:
    record = ""
    for line in text.split("\n"):
        record = f"{record}\n{line}" if record else line
        if _SOURCE.search(record) and record.count("\t") >= len(COLUMNS.split(",")) - 1:
            yield record
            record = ""


def filesystems(text: str) -> list[Dataset]:
    """Return the filesystems among what was printed, by name."""
    found = (dataset(name, told) for name, told in values(text).items() if told["type"][0] == "filesystem")
    return sorted(found, key=lambda each: each.name)


def dataset(name: str, found: Values) -> Dataset:
    """Return a filesystem from its properties."""
    point = found["mountpoint"][0]
    return Dataset(
        name=name,
        guid=number(found, "guid"),
        mountpoint=Path(point) if point.startswith("/") else None,
        mounted=found["mounted"][0] == "yes",
        readonly=found["readonly"][0] == "on",
        origin="" if found.get("origin", ("-", ""))[0] == "-" else found["origin"][0],
        used=number(found, "used"),
        referenced=number(found, "referenced"),
        available=number(found, "available"),
        refquota=number(found, "refquota"),
        quota=number(found, "quota"),
        created=number(found, "creation"),
        properties={prop: value for prop, (value, source) in found.items() if ":" in prop and source in _OWN},
    )


def snapshot(name: str, found: Values) -> Snapshot:
    """Return a snapshot from its properties."""
    of, _, tag = name.partition("@")
    return Snapshot(
        dataset=of,
        tag=tag,
        guid=number(found, "guid"),
        created=number(found, "creation"),
        used=number(found, "used"),
        referenced=number(found, "referenced"),
        purpose=_purpose(*found.get(SNAPSHOT_PROPERTY, ("", "-"))),
        holds=number(found, "userrefs"),
    )


def _purpose(value: str, source: str) -> str:
    # Received, it is another host's: what came by `zfs send -p` in somebody's own backup is not jaild's here.
    return value if source == "local" else ""


def bookmark(name: str, found: Values) -> Bookmark:
    """Return a bookmark from its properties."""
    of, _, tag = name.partition("#")
    return Bookmark(dataset=of, tag=tag, guid=number(found, "guid"), created=number(found, "creation"))


def token_guid(text: str) -> int | None:
    """Return the guid of the snapshot that a resume token is of, from what `zfs send -nv -t` tells of its contents."""
    match = re.search(r"^\s*toguid = 0x([0-9a-f]+)$", text, re.MULTILINE)
    return int(match[1], 16) if match else None


def number(found: Values, prop: str) -> int:
    """Return a property that is a number; 0 for none."""
    text = found.get(prop, ("0", ""))[0]
    return int(text) if text.isdigit() else 0  # '-' or 'none': nothing of it


def estimate(text: str) -> int | None:
    """Return the size that `zfs send -nP` tells (on stdout or stderr, by version)."""
    match = re.search(r"^size\t(\d+)$", text, re.MULTILINE)
    return int(match[1]) if match else None


def features(text: str) -> frozenset[str]:
    """Return the enabled features that `zpool get all` tells; `version:N` for a pool that has a version instead."""
    pairs = [line.split()[1:3] for line in text.splitlines() if len(line.split()) > 3]  # noqa: PLR2004 -- its columns
    enabled = {
        prop.removeprefix("feature@")
        for prop, value in pairs
        if prop.startswith("feature@") and value in {"enabled", "active"}
    }
    return frozenset(enabled | {f"version:{value}" for prop, value in pairs if prop == "version" and value.isdigit()})
