"""Parts of logs: compressed, read again, and cut out of a file that is written to without taking it away from anybody.

Linux: fallocate(2) with FALLOC_FL_PUNCH_HOLE; FreeBSD 14 and later: fspacectl(2). ZFS frees whole records.
"""

from __future__ import annotations

import ctypes
import errno
import gzip
import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PIECE = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02  # linux/falloc.h
_DEALLOC = 1  # sys/fcntl.h: SPACECTL_DEALLOC
_DEALLOC_PRESENT = 65  # sys/unistd.h: _PC_DEALLOC_PRESENT


class _Range(ctypes.Structure):
    """`struct spacectl_range` of fspacectl(2)."""

    _fields_ = (("offset", ctypes.c_int64), ("length", ctypes.c_int64))


def compress(log: Path, begin: int, end: int, to: Path) -> None:
    """Write a part of a log into a file of its own: on disk, whole, or not at all.

    The log is on disk first: a power cut that left it shorter than its part would make it one that was begun anew.
    """
    half = log.with_name(f"{log.name}.new")  # the same for each part: a crash leaves one at most, until the next
    try:
        with log.open("rb") as source, os.fdopen(os.open(half, _NEW, 0o600), "wb") as sink:
            os.fsync(source.fileno())
            source.seek(begin)
            with gzip.GzipFile(to.name, "wb", 6, sink, mtime=0) as packed:
                while begin < end and (piece := source.read(min(_PIECE, end - begin))):
                    packed.write(piece)
                    begin += len(piece)
            sink.flush()
            os.fsync(sink.fileno())
        half.rename(to)
    except BaseException:
        half.unlink(missing_ok=True)  # on a full disk above all
        raise
    descriptor = os.open(to.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(part: Path, skip: int, size: int) -> bytes:
    """Return what was put away, from so many bytes on; b'' if it is not there any more."""
    try:
        with _opened(part) as packed:
            packed.seek(skip)
            return packed.read(size)
    except FileNotFoundError:
        return b""


def line_start(part: Path, lines: int) -> tuple[int, int]:
    """Return where a part's last `lines` lines begin, and how many there are; 0 and fewer if it has not so many."""
    starts: list[int] = [0]
    position = 0
    try:
        with _opened(part) as packed:
            for line in packed:
                position += len(line)
                starts.append(position)
                del starts[: -(lines + 1)]
    except FileNotFoundError:
        return 0, 0
    starts.pop()  # the end
    return (starts[0], len(starts)) if starts else (0, 0)


@contextmanager
def _opened(part: Path) -> Iterator[gzip.GzipFile]:
    """Open a part; what is not as it was written is an `OSError`, as gzip itself tells some of it."""
    try:
        with gzip.open(part) as packed:
            yield packed
    except (EOFError, zlib.error) as error:
        raise OSError(errno.EIO, f"damaged: {error}") from error


def free(log: Path, end: int) -> None:
    """Let the file's first `end` bytes take no space; whoever reads them gets zeros, and its size stays."""
    descriptor = os.open(log, os.O_RDWR)
    try:
        _free(descriptor, end)
    finally:
        os.close(descriptor)


def frees(folder: Path) -> bool:
    """Return whether that sets space free in a folder: some file systems cannot, and FreeBSD then writes zeros."""
    with tempfile.TemporaryFile(dir=folder) as tried:
        tried.write(b"x")
        tried.flush()
        try:
            _free(tried.fileno(), 1)
            return sys.platform.startswith("linux") or os.fpathconf(tried.fileno(), _DEALLOC_PRESENT) == 1
        except (OSError, ValueError):  # ValueError: a system that does not know the question
            return False


def _free(descriptor: int, end: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform.startswith("linux"):
        call, arguments = "fallocate", (descriptor, _KEEP_SIZE_PUNCH_HOLE, ctypes.c_int64(0), ctypes.c_int64(end))
    else:
        wanted = _Range(0, end)
        call, arguments = "fspacectl", (descriptor, _DEALLOC, ctypes.byref(wanted), 0, None)  # type: ignore[assignment]
    if not hasattr(libc, call):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    if getattr(libc, call)(*arguments) != 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
