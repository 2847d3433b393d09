"""Single files and folders of the daemon's own: read, replaced so that a crash leaves the old or the new, made."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from jaild.adapters.files import spool
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.trees.openat import opened, reading

_OTHERS = 0o077


def read(path: Path) -> bytes:
    """Return a file's content; what is no regular file is not opened.

    Raises `NotFoundError` (FILE_NOT_FOUND), `OSError` as it comes.
    """
    try:
        with reading(path) as file:
            return file.read()
    except FileNotFoundError as error:
        raise _not_found(path) from error


def read_below(root: Path, path: Path, limit: int) -> bytes:
    """Return the content of the regular file `path` below `root`, where others have written: no symlink is followed.

    `NotFoundError` (FILE_NOT_FOUND), `FailedPreconditionError` (NOT_A_PLAIN_FILE) if it is none or longer than `limit`
    bytes, `OSError` as it comes, which a symlink on the way is, too.
    """
    *folders, name = path.parts
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(opened(root))
            for each in folders:
                folder = stack.enter_context(opened(each, within=folder))
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError as error:
        raise _not_found(root / path) from error
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if content is None or len(content) > limit:
        raise FailedPreconditionError(
            "NOT_A_PLAIN_FILE",
            f"{root / path} is no file of at most {limit} bytes",
            hint="see what is there, and who put it there",
            resource=str(root / path),
        )
    return content


def digest(path: Path) -> str:
    """Return a file's sha256 in hex. `NotFoundError` (FILE_NOT_FOUND)."""
    try:
        return spool.sha256_file(path)
    except FileNotFoundError as error:
        raise _not_found(path) from error


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file, which is never there with a wider mode. A symlink at `path` is replaced, not followed."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def append(path: Path, content: bytes) -> None:
    """Add to a file, made with mode 0644 if it is missing; a symlink is not followed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "ab") as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """Make a folder (0755) and what is missing above it. `FailedPreconditionError` (NOT_A_FOLDER)."""
    if path.is_dir():
        return
    try:
        path.mkdir()
    except FileExistsError as error:
        if path.is_dir():  # another thread made it since
            return
        raise FailedPreconditionError(
            "NOT_A_FOLDER", f"{path} is not a folder", hint="move it out of the way", resource=str(path)
        ) from error
    except (FileNotFoundError, NotADirectoryError):
        make_folder(path.parent)
        make_folder(path)
        return
    path.chmod(0o755)  # mkdir's own mode is cut by the umask
    _sync(path.parent)


def restrict(path: Path) -> None:
    """Take from everybody but its owner what they may do with a file or folder. No error if it is not there.

    Nor on a file system that takes no changes: what is on it is kept from others by the folder that it is mounted in.
    """
    try:
        there = path.lstat().st_mode
        if not stat.S_ISLNK(there) and not there & _OTHERS:
            return  # as nearly all are: a start of the daemon looks at each generation
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & _OTHERS:
            os.fchmod(descriptor, mode & ~_OTHERS)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    finally:
        os.close(descriptor)


def names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none if it does not exist."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []


def folders(folder: Path, names: Collection[str]) -> dict[str, frozenset[str]]:
    """Return the folders in a folder and which of `names` are in each; none if it does not exist. No link is followed.

    The names are looked up: a start of the daemon comes here for each jail, and to list a folder takes zfs-fuse four
    requests, each of them longer the more it has mounted.
    """
    try:
        with os.scandir(folder) as found:
            inner = sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return {}
    return {each: frozenset(name for name in names if _is_there(folder / each / name)) for each in inner}


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_found(path: Path) -> NotFoundError:
    return NotFoundError("FILE_NOT_FOUND", f"there is no {path}", hint="check the path", resource=str(path))
