"""What may be unpacked on a host: the rules for an archive's entries, decided before anything is written.

`Checker` sees one entry after the other, of a tar or of a folder, and refuses by raising. It keeps every name it saw,
so its memory is bounded by the policy's `max_files` (about 150 bytes a name).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from jaild.model import bounds, quantity
from jaild.model.errors import DataLossError, InvalidArgumentError

_MAX_PATH = 1023  # FreeBSD's PATH_MAX with its NUL; Linux takes more, but trees travel between the two
_MAX_DEPTH = 100  # folders inside folders; what walks a tree holds a descriptor for each
_NAMES_TOLD = 20  # how many names a note lists
_SETUID_OR_SETGID = 0o6000
_REPACK = "pack the tree again without this entry: tar -C FOLDER -cf ARCHIVE ."


class EntryKind(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hard link"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    FIFO = "fifo"
    SOCKET = "socket"


class Extra(StrEnum):
    """What an entry may carry beside content, owner, mode and time; not every file system can keep it."""

    FLAGS = "file flags"
    POSIX_ACL = "POSIX ACLs"
    NFS4_ACL = "NFSv4 ACLs"
    # Extended attributes, by the first part of their names (xattr(7)); FreeBSD's extattr(2) knows user and system.
    USER = "user attributes"
    SECURITY = "security attributes"  # security.capability: what setcap(8) gives a program
    TRUSTED = "trusted attributes"
    SYSTEM = "system attributes"
    OTHER = "other attributes"


_SPECIAL = frozenset({EntryKind.CHARACTER_DEVICE, EntryKind.BLOCK_DEVICE, EntryKind.FIFO, EntryKind.SOCKET})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, its names as the bytes that they are."""

    name: bytes
    kind: EntryKind
    size: int = 0  # bytes of content; 0 for all but files
    mode: int = 0
    link: bytes = b""  # a symlink's text, or the name of the entry that a hard link is another name of
    extras: frozenset[Extra] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is allowed in a tree."""

    max_files: int
    max_bytes: int  # unpacked
    # A jail's /dev is mounted, so whatever a base has below dev is left out, device nodes among it.
    leave_out_dev: bool = False
    tell_setuid: bool = False
    # File flags, ACLs and extended attributes: an OS needs them; in releases, which are compared with their parents and
    # changed, an immutable flag would only be in the way.
    keep_attributes: bool = False
    pipes: bool = False  # named pipes are let in: programs leave them in their data


def base_policy(*, max_files: int = 2_000_000, max_bytes: int = 64 << 30) -> Policy:
    """Return the rules for an operating system's tree."""
    return Policy(max_files=max_files, max_bytes=max_bytes, leave_out_dev=True, keep_attributes=True)


def release_policy(*, max_files: int = 500_000, max_bytes: int = 64 << 30) -> Policy:
    """Return the rules for an application's tree."""
    return Policy(max_files=max_files, max_bytes=max_bytes, tell_setuid=True)


def data_policy(*, max_files: int = bounds.PORTABLE_FILES, max_bytes: int = 1 << 50) -> Policy:
    """Return the rules for a jail's data, whose size the dataset's quota and the pool bound."""
    return Policy(max_files=max_files, max_bytes=max_bytes, keep_attributes=True, pipes=True)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A tree that passed the policy's rules."""

    policy: Policy
    files: int  # entries of every kind that will be made, without the root
    size: int  # bytes of content
    notes: tuple[str, ...] = ()
    roots: frozenset[bytes] = frozenset()  # what is at the top
    extras: frozenset[Extra] = frozenset()  # of any entry that will be made


class Names:
    """Counts entries, and keeps the first names for a note."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, name: bytes) -> None:
        """Count an entry."""
        self.count += 1
        if self.count <= _NAMES_TOLD:
            self._first.append(shown(name))

    def __str__(self) -> str:
        return ", ".join(self._first) + (", ..." if self.count > len(self._first) else "")


class Dropped:
    """Which entries came without which extras."""

    def __init__(self) -> None:
        self._names: dict[Extra, Names] = {}

    def add(self, name: bytes, extras: frozenset[Extra]) -> None:
        """Count an entry that lost these."""
        for extra in extras:
            self._names.setdefault(extra, Names()).add(name)

    def notes(self, why: str) -> tuple[str, ...]:
        """Return a note for each kind, with names."""
        found = sorted(self._names.items())
        return tuple(f"{names.count} came without {extra}, {why}: {names}" for extra, names in found)


def shown(name: bytes) -> str:
    """Return a name as text for people: one line, whatever it holds."""
    return repr(name.decode("utf-8", "backslashreplace"))


def _refusal(reason: str, name: bytes, problem: str, hint: str = _REPACK) -> InvalidArgumentError:
    return InvalidArgumentError(reason, f"the entry {shown(name)} {problem}", hint=hint, detail={"entry": shown(name)})


def truncated(what: str, evidence: str) -> DataLossError:
    """Return the error for an archive that ends early or is damaged (ARCHIVE_TRUNCATED)."""
    return DataLossError(
        "ARCHIVE_TRUNCATED",
        f"{what} ends too early or is damaged: {evidence or 'its end is missing'}",
        hint="compare its sha256 with the one at its origin and send it again",
    )


def _parts(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in {b"", b"."}]


def _leads_above(link: bytes, *, depth: int) -> bool:
    """Tell whether a symlink in a folder that deep has more `..` than there are folders.

    Like an absolute one it begins at the root in a jail (path_resolution(7)), and nothing follows it on the host.
    """
    if link.startswith(b"/"):
        return False
    for part in _parts(link):
        depth += -1 if part == b".." else 1
        if depth < 0:
            return True
    return False


class Checker:
    """Applies a policy to entries in the order in which they will be unpacked."""

    def __init__(self, policy: Policy, *, below: Callable[[bytes], EntryKind | None] = lambda _: None) -> None:
        """`below` tells what is there already under a name: in it a hard link may have its file."""
        self._policy = policy
        self._below = below
        # Every name, and every folder that a name implies. A folder's own folders are always in it, and kinds never
        # change: so one look at a name's folder tells that the whole way there is of real folders.
        self._kinds: dict[bytes, EntryKind] = {}
        self._seen = 0
        self._size = 0
        self._left_out = 0
        self._setuid = Names()
        self._above = Names()
        self._dropped = Dropped()
        self._extras: frozenset[Extra] = frozenset()
        self._notes: list[str] = []

    def see(self, entry: Entry) -> None:
        """Take the next entry; raise `InvalidArgumentError` if the tree is to be refused for it.

        Reasons: ARCHIVE_PATH_ESCAPES, ARCHIVE_PATH_TOO_LONG, ARCHIVE_LINK_ESCAPES, ARCHIVE_DEVICE_NODE,
        ARCHIVE_DUPLICATE_ENTRY, ARCHIVE_TOO_MANY_FILES, ARCHIVE_TOO_LARGE.
        """
        self._seen += 1
        self._within_count()
        parts = self._place(entry)
        if self._policy.leave_out_dev and len(parts) > 1 and parts[0] == b"dev":
            self._left_out += 1
            return
        if entry.kind in _SPECIAL and not (self._policy.pipes and entry.kind is EntryKind.FIFO):
            raise _refusal("ARCHIVE_DEVICE_NODE", entry.name, f"is a {entry.kind}; jails get theirs from devfs")
        if parts:
            self._enter(entry, parts)
        elif entry.kind is not EntryKind.DIRECTORY:
            raise _refusal("ARCHIVE_PATH_ESCAPES", entry.name, f"would put a {entry.kind} in place of the root")
        self._count(entry)
        self._extras |= entry.extras
        if not self._policy.keep_attributes:
            self._dropped.add(entry.name, entry.extras)

    def note(self, text: str) -> None:
        """Add a note of the reader's own."""
        self._notes.append(text)

    def finish(self) -> Listing:
        """Return the listing; raise `InvalidArgumentError` (ARCHIVE_UNREADABLE) if there was not one entry."""
        if not self._seen:
            raise InvalidArgumentError(
                "ARCHIVE_UNREADABLE",
                "there is nothing in it",
                hint="pack the tree again: tar -C FOLDER -cf ARCHIVE .",
            )
        return Listing(
            policy=self._policy,
            files=len(self._kinds),
            size=self._size,
            notes=(*self._notes, *self._summaries()),
            roots=frozenset(name for name in self._kinds if b"/" not in name),
            extras=self._extras,
        )

    def _within_count(self) -> None:
        limit = self._policy.max_files
        if self._seen > limit or len(self._kinds) > limit:
            raise InvalidArgumentError(
                "ARCHIVE_TOO_MANY_FILES",
                f"it holds more than {limit} files",
                hint="leave out what the tree does not need, or split it",
                detail={"max_files": str(limit)},
            )

    @staticmethod
    def _place(entry: Entry) -> list[bytes]:
        if entry.name.startswith(b"/"):
            raise _refusal("ARCHIVE_PATH_ESCAPES", entry.name, "has an absolute path")
        parts = _parts(entry.name)
        if b".." in parts:
            raise _refusal("ARCHIVE_PATH_ESCAPES", entry.name, "has '..' in its path")
        if len(entry.name) > _MAX_PATH or len(parts) > _MAX_DEPTH:
            raise _refusal(
                "ARCHIVE_PATH_TOO_LONG", entry.name[:200], f"is longer than {_MAX_PATH} bytes or {_MAX_DEPTH} folders"
            )
        return parts

    def _enter(self, entry: Entry, parts: list[bytes]) -> None:
        name = b"/".join(parts)
        self._check_way(entry, name, parts)
        kind = self._resulting_kind(entry, parts)
        known = self._kinds.get(name)
        if known is not None and not (known is kind is EntryKind.DIRECTORY):
            raise _refusal("ARCHIVE_DUPLICATE_ENTRY", entry.name, f"is there twice: as a {known} and as a {entry.kind}")
        self._kinds[name] = kind

    def _check_way(self, entry: Entry, name: bytes, parts: list[bytes]) -> None:
        folder = name.rpartition(b"/")[0]
        if not folder or self._kinds.get(folder) is EntryKind.DIRECTORY:
            return
        for length in range(1, len(parts)):
            above = b"/".join(parts[:length])
            kind = self._kinds.setdefault(above, EntryKind.DIRECTORY)
            if kind is EntryKind.SYMLINK:
                raise _refusal("ARCHIVE_PATH_ESCAPES", entry.name, f"goes through the symlink {shown(above)}")
            if kind is not EntryKind.DIRECTORY:
                raise _refusal("ARCHIVE_DUPLICATE_ENTRY", entry.name, f"lies in {shown(above)}, which is a {kind}")

    def _resulting_kind(self, entry: Entry, parts: list[bytes]) -> EntryKind:
        if entry.kind is EntryKind.SYMLINK and _leads_above(entry.link, depth=len(parts) - 1):
            self._above.add(entry.name)
        if entry.kind is not EntryKind.HARDLINK:
            return entry.kind
        target = _parts(entry.link)
        if entry.link.startswith(b"/") or b".." in target:
            raise _refusal(
                "ARCHIVE_LINK_ESCAPES", entry.name, f"is a hard link to {shown(entry.link)}, outside the tree"
            )
        kind = self._kinds.get(b"/".join(target)) or self._below(b"/".join(target))
        if kind is None or kind is EntryKind.DIRECTORY:
            raise _refusal(
                "ARCHIVE_LINK_ESCAPES",
                entry.name,
                f"is a hard link to {shown(entry.link)}, which is no file before it in the archive",
            )
        return kind

    def _count(self, entry: Entry) -> None:
        if entry.kind is not EntryKind.FILE:
            return
        self._size += entry.size
        if self._size > self._policy.max_bytes:
            raise InvalidArgumentError(
                "ARCHIVE_TOO_LARGE",
                f"with the entry {shown(entry.name)} it unpacks to {quantity.size(self._size)}, "
                f"more than the {quantity.size(self._policy.max_bytes)} that are allowed",
                hint="leave out what the tree does not need, or split it",
                detail={"entry": shown(entry.name), "max_bytes": str(self._policy.max_bytes)},
            )
        if self._policy.tell_setuid and entry.mode & _SETUID_OR_SETGID:
            self._setuid.add(entry.name)

    def _summaries(self) -> tuple[str, ...]:
        found = []
        if self._left_out:
            found.append(
                f"left out {quantity.count(self._left_out, 'entry', 'entries')} below dev: a jail's /dev is mounted"
            )
        if self._setuid.count:
            found.append(f"{quantity.count(self._setuid.count, 'setuid or setgid file')}: {self._setuid}")
        if self._above.count:
            found.append(
                f"{quantity.count(self._above.count, 'symlink')} above the root, in a jail to it: {self._above}"
            )
        return (*found, *self._dropped.notes("which releases do not keep"))
