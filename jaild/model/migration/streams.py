"""What a migration sends next, decided from what both sides have. Snapshots are matched by guid, never by name.

What counts is the newest snapshot that both have. Whether what the target has later is more than others' snapshots of
the same data, its ZFS finds out when it receives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jaild.model.snapshots import Bookmark, Snapshot

PROTOCOL = 1  # between hosts; see jaild.peer.v1
SLACK = 1.1  # of what has to come: block clones expand on receive, and metadata needs room
# What a host that is away, reboots, was restarted (without its memory: NOT_FOUND), or is behind a broken link ends a
# call with.
PASSING = re.compile(
    "PEER_(UNREACHABLE|TIMEOUT|CANCELLED|INTERNAL)|SHUTTING_DOWN|HOST_SHUT_DOWN|STORE_CLOSED"
    "|STREAM_(TRUNCATED|SUPERSEDED)|MIGRATION_NOT_FOUND"
)
# What a receive says of a token that it cannot go on from: the stream is begun anew then.
USELESS = frozenset(
    {
        "TOKEN_STALE",
        "STREAM_INVALID",
        "RECEIVE_OVERTAKEN",
        "STREAM_BASE_MISSING",
        "RECEIVE_INTERRUPTED",
        "DATASET_EXISTS",
    }
)

Version = Snapshot | Bookmark  # of a dataset on the source; the target's are known by their guids


@dataclass(frozen=True)
class Nothing:
    """The target has it."""


@dataclass(frozen=True)
class Full:
    """Everything has to be sent."""


@dataclass(frozen=True)
class Increment:
    """From `base`, of which the target has the snapshot.

    `over`: guids of later snapshots there, which this host does not have. ZFS steps over them if nothing was written.
    """

    base: Version
    over: tuple[int, ...] = ()


@dataclass(frozen=True)
class Resume:
    """The rest of a stream that was interrupted."""

    token: str


@dataclass(frozen=True)
class Conflict:
    """The target has a dataset of that name, with these snapshots, of which this host has none."""

    newer: tuple[int, ...]


Path = Nothing | Full | Increment | Conflict
Step = Path | Resume


def next_stream(source: Sequence[Version], target: Sequence[int], wanted: Snapshot, token: str = "") -> Step:
    """Return what is sent to a target that has these guids and, of an interrupted receive, this token ('' for none)."""
    path = incremental_path(source, target, wanted)
    return Resume(token) if token and isinstance(path, Full | Increment) else path


def incremental_path(source: Sequence[Version], target: Sequence[int], wanted: Snapshot) -> Path:
    """Return how `wanted` (the source's newest) gets to a target that has snapshots with these guids, oldest first.

    A bookmark serves as a base as its snapshot does, which is taken where it is still there.
    """
    if wanted.guid in target:
        return Nothing()
    if not target:
        return Full()
    known = {v.guid: v for v in sorted(source, key=lambda v: isinstance(v, Snapshot))}
    common = next((known[guid] for guid in reversed(target) if guid in known), None)
    if common is None:
        return Conflict(tuple(target))
    return Increment(common, _after(target, common.guid))


def _after(guids: Sequence[int], guid: int) -> tuple[int, ...]:
    return tuple(guids[list(guids).index(guid) + 1 :])
