"""Configuration trees on disk: read into values, written from them.

A jail's root can change its own `/etc` at any moment, links into the host included. So every step goes by the
descriptor of the folder above and no link is ever followed. Extended attributes, ACLs and file flags are not kept.
Synchronous: call it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from pathlib import Path

from jaild.model import bounds
from jaild.model.errors import AbortedError, AlreadyExistsError, FailedPreconditionError, InvalidArgumentError
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.trees.openat import CHANGED, NotAFileError, TreeRoom, look, names_in, opened, reading

LIMIT = bounds.TREE_BYTES  # a configuration is far smaller, and it is held in memory three times
_PIECE = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o7777


def read(folder: Path) -> dict[str, Entry]:
    """Return all below `folder`.

    Raises `AbortedError` (TREE_CHANGED) if it changes meanwhile, `FailedPreconditionError` (UNSUPPORTED_FILE) for a
    device, socket or pipe, `ResourceExhaustedError` (TREE_TOO_LARGE) above LIMIT or `bounds.TREE_DEPTH`.
    """
    tree: dict[str, Entry] = {}
    with opened(folder) as descriptor:
        try:
            _read_folder(descriptor, "", tree, TreeRoom(LIMIT))
        except OSError as error:
            if error.errno not in CHANGED:
                raise
            raise AbortedError(
                "TREE_CHANGED", f"{folder} was changed while it was read: {error}", hint="try again"
            ) from error
    return dict(sorted(tree.items()))


def write(tree: Tree, folder: Path) -> None:
    """Make `folder`, whose parent exists, with `tree` in it, and have all of it on disk when it returns.

    Raises `AlreadyExistsError` (TREE_EXISTS) unless `folder` is absent or empty, `InvalidArgumentError` (INVALID_TREE)
    for a path that leads out or has no folder above it. What was written by then stays: remove the folder.
    """
    below: dict[str, list[str]] = defaultdict(list)
    for path in sorted(tree):
        parent, slash, name = path.rpartition("/")
        above = tree.get(parent)
        if name in {"", ".", ".."} or "\0" in name or (slash and (above is None or above.kind is not Kind.DIRECTORY)):
            raise InvalidArgumentError("INVALID_TREE", f"{path!r} has no place in a tree", detail={"path": path})
        below[parent].append(name)
    folder.mkdir(exist_ok=True)
    with opened(folder) as descriptor:
        if names_in(descriptor):
            raise AlreadyExistsError("TREE_EXISTS", f"{folder} is not empty", hint="remove what is in it")
        _write_folder(descriptor, "", tree, below)
        os.fsync(descriptor)
    _sync(folder.parent)


def fingerprint(folder: Path) -> str:
    """Return a digest of what `folder` holds: paths, kinds, modes, owners, contents and targets, but no times.

    Raises what `read` raises.
    """
    return digest(read(folder))


def digest(tree: Tree) -> str:
    """Return the fingerprint of a tree in memory."""
    sha = hashlib.sha256()
    for path, entry in sorted(tree.items()):
        head = (path, entry.kind, f"{entry.mode:o}", str(entry.uid), str(entry.gid), entry.target)
        sha.update("\0".join(head).encode("utf-8", "surrogateescape"))
        sha.update(b"\0%d\0" % len(entry.content) + entry.content)
    return sha.hexdigest()


def _read_folder(descriptor: int, prefix: str, tree: dict[str, Entry], room: TreeRoom) -> None:
    for name in sorted(names_in(descriptor)):
        path = f"{prefix}{name}"
        room.enter(path)
        status = look(name, descriptor)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=descriptor)
            tree[path] = _entry(Kind.LINK, status, target=target)
        elif stat.S_ISDIR(status.st_mode):
            with opened(name, within=descriptor) as inner:
                tree[path] = _entry(Kind.DIRECTORY, os.fstat(inner))
                _read_folder(inner, f"{path}/", tree, room)
        else:
            tree[path] = _read_file(descriptor, name, path, room)


def _read_file(descriptor: int, name: str, path: str, room: TreeRoom) -> Entry:
    content = bytearray()
    try:
        with reading(name, within=descriptor) as stream:
            status = os.fstat(stream.fileno())
            while piece := stream.read(min(_PIECE, room.left + 1)):
                room.take(len(piece), path)
                content += piece
    except NotAFileError as error:
        raise FailedPreconditionError(
            "UNSUPPORTED_FILE",
            f"{path} is no file, folder or link",
            hint="remove it from the jail's configuration: devices, sockets and pipes belong in /dev, /run or /var",
            detail={"path": path},
        ) from error
    return _entry(Kind.FILE, status, content=bytes(content))


def _entry(kind: Kind, status: os.stat_result, *, content: bytes = b"", target: str = "") -> Entry:
    return Entry(
        kind=kind,
        mode=0 if kind is Kind.LINK else status.st_mode & _MODE,
        uid=status.st_uid,
        gid=status.st_gid,
        content=content,
        target=target,
        mtime=status.st_mtime_ns,
    )


def _write_folder(descriptor: int, path: str, tree: Tree, below: dict[str, list[str]]) -> None:
    for name in below.get(path, ()):
        inner = f"{path}/{name}" if path else name
        entry = tree[inner]
        if entry.kind is Kind.LINK:
            os.symlink(entry.target, name, dir_fd=descriptor)
            os.chown(name, entry.uid, entry.gid, dir_fd=descriptor, follow_symlinks=False)
            if entry.mtime:
                os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=descriptor, follow_symlinks=False)
            continue
        if entry.kind is Kind.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=descriptor)
            with opened(name, within=descriptor) as made:
                _write_folder(made, inner, tree, below)
                _dress(made, entry)
            continue
        with os.fdopen(os.open(name, _CREATE, 0o600, dir_fd=descriptor), "wb", buffering=0) as file:
            _write_all(file.fileno(), entry.content)
            _dress(file.fileno(), entry)


def _dress(made: int, entry: Entry) -> None:
    os.fchown(made, entry.uid, entry.gid)
    os.fchmod(made, entry.mode)  # after the owner: chown(2) drops set-user-id
    if entry.mtime:
        os.utime(made, ns=(entry.mtime, entry.mtime))
    os.fsync(made)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(folder: Path) -> None:
    with opened(folder) as descriptor:
        os.fsync(descriptor)
