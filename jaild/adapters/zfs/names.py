"""Names and property values that every ZFS takes, checked before one is asked: some crash on what others refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jaild.adapters.zfs.errors import refusal

# zfsconcepts(7): also a space is legal, but mount(8), fstab(5) and jls(8) split on it, so it is refused.
_COMPONENT = r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"
_DATASET = re.compile(rf"[A-Za-z][A-Za-z0-9_.:-]*(/{_COMPONENT})*")
_TAG = re.compile(_COMPONENT)
_PROPERTY = re.compile(r"[a-z0-9:+._@-]+")
_LONGEST_NAME = 255
_LONGEST_VALUE = 4096  # bytes; zfs-fuse aborts (exit 134) above about 8 KiB and OpenZFS refuses above 8 KiB


def checked_dataset(name: str) -> str:
    """Return `name` if a filesystem may have it; raise `InvalidArgumentError` (INVALID_DATASET_NAME) if not."""
    if not _DATASET.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise refusal("INVALID_DATASET_NAME", name, f"{name!r} is not a name for a dataset")
    return name


def checked_snapshot(name: str) -> str:
    """Return `name` if a snapshot may have it; raise `InvalidArgumentError` (INVALID_DATASET_NAME) if not."""
    dataset, at, tag = name.partition("@")
    if not at or not _TAG.fullmatch(tag) or not _DATASET.fullmatch(dataset) or len(name) > _LONGEST_NAME:
        raise refusal("INVALID_DATASET_NAME", name, f"{name!r} is not a name for a snapshot")
    return name


def checked_either(name: str) -> str:
    """Return `name` if a filesystem, a snapshot or a bookmark may have it; raise as the two above."""
    if "#" in name and "@" not in name:
        checked_snapshot(name.replace("#", "@", 1))
        return name
    return checked_snapshot(name) if "@" in name else checked_dataset(name)


def checked_properties(name: str, properties: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of `properties`; raise `InvalidArgumentError` (INVALID_PROPERTY) for what cannot be set."""
    for prop, value in (properties or {}).items():
        size = len(value.encode("utf-8", "surrogateescape"))
        if not _PROPERTY.fullmatch(prop):
            raise refusal("INVALID_PROPERTY", name, f"{prop!r} is not a name for a property")
        if size > _LONGEST_VALUE:
            raise refusal("INVALID_PROPERTY", name, f"{prop} would have {size} bytes, {_LONGEST_VALUE} is the most")
        if not value.isprintable():
            raise refusal("INVALID_PROPERTY", name, f"{prop}={value!r} has control characters")
    return dict(properties or {})
