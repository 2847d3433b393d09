"""Port: ZFS. What every ZFS can do, with what differs told by `Capabilities` instead of guessed.

All names are full: `pool/jaild/bases/debian-12`, snapshots `dataset@name`. Every method raises, besides what it names:
`NotFoundError` (DATASET_NOT_FOUND), `AlreadyExistsError` (DATASET_EXISTS), `FailedPreconditionError` (DATASET_BUSY,
DATASET_HAS_CLONES, DATASET_HAS_CHILDREN, SNAPSHOT_HELD, POOL_READONLY, KEY_UNAVAILABLE: of an encrypted dataset),
`ResourceExhaustedError` (NO_SPACE),
`InvalidArgumentError` (INVALID_DATASET_NAME, INVALID_PROPERTY), `PermissionDeniedError` (ZFS_PERMISSION),
`InternalError` (COMMAND_FAILED) for anything else.

A change whose caller is cancelled has been carried out, or never will be, when the call ends: nothing comes later.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaild.model.snapshots import Bookmark, Snapshot


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What this ZFS can do: asked of the tool once, kept in one place."""

    implementation: str  # openzfs, zfs-fuse, fake
    version: str
    resumable_receive: bool
    bookmarks: bool
    written: bool  # the written@snap property
    set_many: bool  # several properties in one `zfs set`
    receive_properties: bool  # receive -o
    rich_send: bool  # send -L -e -c
    estimates: bool  # send -n
    lists_holds: bool
    encryption: bool  # load-key, and send -w


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A filesystem. Sizes in bytes."""

    name: str
    guid: int
    mountpoint: Path | None  # where it is or would be mounted; None for none and legacy
    mounted: bool
    readonly: bool
    origin: str  # the snapshot it is a clone of, or ''
    used: int
    referenced: int
    available: int
    refquota: int  # for what it refers to, without its snapshots; 0: none
    quota: int  # with its snapshots and what is below it; 0: none
    created: int  # seconds since the epoch
    properties: Mapping[str, str] = field(default_factory=dict)  # user properties set on itself (local or received)


@dataclass(frozen=True, kw_only=True)
class Mounted:
    """What a mounted filesystem says of itself, in bytes: the same as `Dataset` has under these names."""

    referenced: int
    available: int


@dataclass(frozen=True, kw_only=True)
class Key:
    """The key of an encrypted filesystem, as zfsprops(7) has it."""

    root: str  # encryptionroot: the filesystem whose key it is, such as what a clone is of
    available: bool  # keystatus: what is in the filesystem can be read


class Zfs(Protocol):
    """A host's ZFS."""

    async def capabilities(self) -> Capabilities:
        """Return what this ZFS can do; detected at the first call."""

    async def pool_features(self, pool: str) -> frozenset[str]:
        """Return the names of the pool's enabled features (`version:23` where it has a version instead)."""

    async def datasets(self, root: str) -> list[Dataset]:
        """Return `root` and every filesystem below it, by name, from one process.

        Of their own properties those in `layout.RECORDS` are there for sure.
        """

    async def dataset(self, name: str) -> Dataset:
        """Return one filesystem."""

    async def mounted(self, folder: Path) -> Mounted | None:
        """Return what the filesystem whose mount point is `folder` takes and may take; None if none is mounted there.

        The file system is asked, by a system call: that starts no process. What is not on disk yet (of the last 5
        seconds, by default) is not counted.
        """

    async def settings(self, name: str) -> Mapping[str, str]:
        """Return the native properties of a filesystem that are in effect, wherever from: those that this ZFS knows."""

    async def snapshots(self, dataset: str, *, recursive: bool = False) -> list[Snapshot]:
        """Return the snapshots of `dataset` (`recursive`: of all below too), oldest first within each dataset."""

    async def bookmarks(self, dataset: str, *, recursive: bool = False) -> list[Bookmark]:
        """Return the bookmarks of `dataset` (`recursive`: of all below too), oldest first."""

    async def written(self, root: str, tag: str = "") -> Mapping[str, int]:
        """Return the bytes written to `root` and each filesystem below since its snapshot @tag, or its newest one.

        Needs `Capabilities.written`. What is not on disk yet (of the last 5 seconds, by default) is not counted.
        """

    async def clones(self, root: str) -> Mapping[str, tuple[str, ...]]:
        """Return which snapshots of `root` and all below have clones elsewhere in the pool, and the clones' names."""

    async def is_unchanged(self, snapshot: str) -> bool:
        """Whether nothing was written to a dataset since one of its snapshots, later snapshots being no writes.

        What is mounted may count as changed although it is not. Where `Capabilities.written` is missing, what was
        written since the newest snapshot is not seen.
        """

    async def create(self, name: str, properties: Mapping[str, str] | None = None) -> None:
        """Create a filesystem whose parent exists; it is mounted unless canmount says otherwise."""

    async def create_encrypted(self, name: str, key: bytes, keyformat: str, properties: Mapping[str, str]) -> None:
        """Create a filesystem that is an encryption root: `key` is loaded, and kept nowhere by this call.

        `key` is what `keyformat` (passphrase, hex, raw) says: 8 to 512 bytes, 64 digits, 32 bytes.
        `InvalidArgumentError` (KEY_INVALID) if it is not. Needs `Capabilities.encryption`.
        """

    async def keys(self, root: str) -> Mapping[str, Key]:
        """Return the keys of the encrypted ones of `root` and all filesystems below it: none on a ZFS without."""

    async def load_key(self, root: str, key: bytes, *, check: bool = False) -> None:
        """Load the key of an encryption root; no error if it is loaded. `check`: only see whether it is the right one.

        `InvalidArgumentError` (KEY_INVALID: not what its keyformat says, KEY_INCORRECT: another one's).
        """

    async def unload_key(self, root: str) -> None:
        """Forget the key of an encryption root; no error if it is not loaded. DATASET_BUSY if it is mounted."""

    async def clone(self, snapshot: str, name: str, properties: Mapping[str, str] | None = None) -> None:
        """Create `name` as a clone of `snapshot`."""

    async def set(self, name: str, properties: Mapping[str, str], *others: str) -> None:
        """Set properties: one by one, in order, where this ZFS cannot set many. Each single one is atomic.

        `others` get the same, each by itself: after a failure some may have them.
        """

    async def inherit(self, name: str, prop: str) -> None:
        """Remove a local property."""

    async def snapshot(self, dataset: str, tag: str, *others: str, recursive: bool = False, purpose: str = "") -> None:
        """Make `dataset@tag`, with `recursive` on every child too, all in one transaction with their `purpose`.

        `others` get the same: in that transaction, or each in one of its own where this ZFS takes one name at a time.
        After a failure some of them may have it then.
        """

    async def mark(self, purpose: str, *snapshots: str) -> None:
        """Say on snapshots what jaild has them for: streams bring nothing of it. Marking twice is no error."""

    async def destroy(self, name: str, *, recursive: bool = False) -> None:
        """Destroy a dataset (`recursive`: with what is below it), snapshot or bookmark. Unmounts it; never forced."""

    async def rename(self, name: str, new_name: str) -> None:
        """Rename a dataset within its pool."""

    async def rollback(self, snapshot: str) -> None:
        """Return a dataset to its newest snapshot. Refuses (DATASET_BUSY) if there are newer ones."""

    async def hold(self, tag: str, *snapshots: str) -> None:
        """Keep snapshots from being destroyed. Holding twice with one tag is no error."""

    async def release(self, tag: str, *snapshots: str) -> None:
        """Drop holds. Releasing what is not held, or is gone, is no error."""

    async def holds(self, snapshot: str) -> frozenset[str]:
        """Return the tags that hold a snapshot."""

    async def mount(self, name: str) -> None:
        """Mount where its mountpoint property says. No error if it is mounted."""

    async def unmount(self, name: str) -> None:
        """Unmount. No error if it is not mounted; DATASET_BUSY if something uses it."""

    def send(
        self, snapshot: str, *, base: str | None = None, token: str | None = None, if_changed: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a stream of `snapshot`: full, from `base` (earlier, or a clone's origin), or resumed by `token`.

        Of an encrypted dataset it is raw (send -w): sent and received without the key, which alone opens it. Not raw is
        that of one which is encrypted because a dataset above it is, since nobody else has that one's key.

        With `if_changed` there are no bytes at all of an increment in which nothing is: `snapshot` has what `base` has.
        `base` may be a bookmark (dataset#tag). A token that is not of `snapshot`, by guid: `FailedPreconditionError`
        (TOKEN_STALE). Iterate to the end and leave the context normally to have the exit status checked. Leaving early
        kills it.
        """

    async def receive(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        *,
        origin: str | None = None,
        resumable: bool = False,
        properties: Mapping[str, str] | None = None,
        newest: int = 0,
    ) -> None:
        """Receive a stream into `name`, unmounted, never forced.

        An increment over local changes is refused: DATASET_MODIFIED. Later snapshots than its base, with nothing
        written since, stay and are stepped over: ZFS compares what is there by itself. `origin` is the snapshot to
        clone from, given explicitly. `properties` are set while receiving where that can be done, else after. A
        truncated or damaged stream: `DataLossError` (STREAM_INVALID). An increment whose base is no snapshot here:
        `FailedPreconditionError` (STREAM_BASE_MISSING); that is not looked for again if it has the guid `newest`, as
        its caller has seen. A snapshot that somebody makes of `name` while an increment comes: `AbortedError`
        (RECEIVE_OVERTAKEN); the same increment can be received after that. A raw increment onto what is not encrypted,
        or the other way round: `FailedPreconditionError` (ENCRYPTION_DIFFERS). If the sender's iterator raises, the
        receiver is ended, nothing half-received is kept unless `resumable`, and the sender's error propagates.
        """

    async def resume_token(self, name: str) -> str | None:
        """Return the token of an interrupted resumable receive into `name`, if there is one."""

    async def abort_receive(self, name: str) -> None:
        """Throw away what an interrupted resumable receive left."""

    async def estimate(self, snapshot: str, base: str | None = None) -> int:
        """Return about how many bytes a send would have; an upper guess where this ZFS cannot tell."""

    async def bookmark(self, snapshot: str, tag: str) -> None:
        """Make `dataset#tag` of a snapshot; no error if it is there with that guid. Needs `Capabilities.bookmarks`."""
