"""Makes one folder equal to another and leaves what is equal alone: so a clone keeps sharing blocks with its origin.

`bring_back` does it for a jail's data and an earlier state of that, where anything may lie: what is the same inode with
the same time of its last change is not read, sockets, pipes and devices are nobody's data, and depth has a limit.

Every step is relative to an open folder and none follows a link: what stands in either tree was given by somebody else.
Content, owner, mode, time, links, hard links and what else `filecopy` keeps are compared.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jaild.adapters.files import filecopy
from jaild.adapters.files.remove import remove_within
from jaild.model.errors import CancelledError, FailedPreconditionError, InternalError, NotFoundError
from jaild.trees.openat import DEEPEST, StepError, reached, too_deep

_PIECE = 1 << 20
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a jail may have put a pipe there meanwhile
_TICK = 2 * 10**9  # ns: systems note times of changes as coarsely as a second


@dataclass(kw_only=True)
class Counts:
    """What a run did. `added` is in bytes of content, the others are entries."""

    added: int = 0
    unchanged: int = 0
    written: int = 0
    adjusted: int = 0
    removed: int = 0


@dataclass(kw_only=True)
class _Run:
    source: int  # descriptors of the two roots
    destination: int
    scratch: bytes  # where the next file is written, in the destination's root, until it is renamed into its place
    stopped: threading.Event
    counts: Counts = field(default_factory=Counts)
    taken: float = 0.0  # when the source was the destination (seconds since the epoch); 0: it never was
    made: dict[int, bytes] = field(default_factory=dict)  # inode of the source: its first name in the destination
    claimed: dict[int, int] = field(default_factory=dict)  # inode of the destination: that of the source it stands for


def sync(source: Path, destination: Path, stopped: threading.Event) -> Counts:
    """Make `destination` equal to `source`; blocks, so call it in a thread. `stopped` set: `CancelledError`.

    Raises `OSError` as it comes (ENOSPC, EDQUOT). Interrupted, it leaves a mixture of both;
    running it again completes it.
    """
    with _opened(source, None) as source_fd, _opened(destination, None) as destination_fd:
        return _all(_run(source_fd, destination_fd, stopped))


def bring_back(
    source: Path, destination: Path, path: str, taken: float, stopped: threading.Event, *, or_remove: bool = False
) -> Counts:
    """Make `path` (relative; '' for all) in a jail's data, `destination`, as it is in `source`: its snapshot's clone.

    `taken`: when that was taken, in seconds since the epoch. What was not there then goes.
    `or_remove`: a path that the source does not have is removed. Else
    raises `NotFoundError` (PATH_NOT_IN_SNAPSHOT), `FailedPreconditionError` (NOT_A_FOLDER) if the way to it is not
    through folders now, `ResourceExhaustedError` (TREE_TOO_LARGE), and else as `sync`.
    """
    steps = [os.fsencode(step) for step in path.split("/") if step]
    with ExitStack() as stack:
        if not steps:
            old, new = stack.enter_context(_opened(source, None)), stack.enter_context(_opened(destination, None))
            return _all(_run(old, new, stopped, taken=taken))
        *above, name = steps
        try:
            old = stack.enter_context(reached(source, above))
            _look(name, old)
        except (StepError, FileNotFoundError) as error:
            if or_remove:
                return _removed(destination, above, name)
            why = f"there is no {path} in the snapshot"
            raise NotFoundError("PATH_NOT_IN_SNAPSHOT", why, hint="name another path, or snapshot") from error
        new = stack.enter_context(_way(source, destination, above))
        run = _run(old, new, stopped, taken=taken)
        _entry(run, old, new, b"", name, exists=name in _names(new))
        return run.counts


def _removed(destination: Path, above: list[bytes], name: bytes) -> Counts:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(reached(destination, above))
        except (StepError, FileNotFoundError):
            return Counts()  # nor is there a way to it
        if name not in _names(folder):
            return Counts()
        _remove(name, folder)
        return Counts(removed=1)


def _run(source: int, destination: int, stopped: threading.Event, *, taken: float = 0.0) -> _Run:
    scratch = _free_name({*_names(source), *_names(destination)})
    return _Run(source=source, destination=destination, scratch=scratch, stopped=stopped, taken=taken)


def _all(run: _Run) -> Counts:
    _folder(run, run.source, run.destination, b"")
    _adjust_folder(run, run.source, run.destination)
    return run.counts


@contextmanager
def _way(source: Path, destination: Path, steps: list[bytes]) -> Iterator[int]:
    """Go down through folders of the destination, made as those of the source are where they are missing."""
    with ExitStack() as stack:
        old, new = stack.enter_context(_opened(source, None)), stack.enter_context(_opened(destination, None))
        for step in steps:
            is_new = step not in _names(new)
            if is_new:
                os.mkdir(step, 0o700, dir_fd=new)
            elif not stat.S_ISDIR(_look(step, new).st_mode):
                what = f"{os.fsdecode(step)} is no folder now, on the way to what is to be brought back"
                raise FailedPreconditionError("NOT_A_FOLDER", what, hint="move it out of the way in the jail")
            old, new = stack.enter_context(_opened(step, old)), stack.enter_context(_opened(step, new))
            if is_new:
                filecopy.dress(new, old)
        yield new


@contextmanager
def _opened(path: Path | bytes, folder: int | None) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: int) -> list[bytes]:
    return sorted(os.fsencode(name) for name in os.listdir(folder))


def _look(name: bytes, folder: int) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _folder(run: _Run, source: int, destination: int, path: bytes) -> None:
    if run.taken and path.count(b"/") > DEEPEST:
        raise too_deep()
    wanted = _names(source)
    keep = set(wanted)
    for name in _names(destination):
        if name in keep:
            continue
        _remove(name, destination)
        run.counts.removed += 1
    there = set(_names(destination))
    for name in wanted:
        if run.stopped.is_set():
            raise CancelledError("CANCELLED", "the comparison of two trees was cancelled")
        _entry(run, source, destination, path, name, exists=name in there)


def _entry(run: _Run, source: int, destination: int, path: bytes, name: bytes, *, exists: bool) -> None:
    wanted = _look(name, source)
    present = _look(name, destination) if exists else None
    if run.taken and stat.S_IFMT(wanted.st_mode) not in {stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK}:
        return
    if present is not None and stat.S_IFMT(present.st_mode) != stat.S_IFMT(wanted.st_mode):
        _remove(name, destination)
        present = None
    if stat.S_ISDIR(wanted.st_mode):
        if present is None:
            os.mkdir(name, 0o700, dir_fd=destination)
        with _opened(name, source) as inner_source, _opened(name, destination) as inner_destination:
            _folder(run, inner_source, inner_destination, path + name + b"/")
            _adjust_folder(run, inner_source, inner_destination)
    elif wanted.st_ino in run.made:
        _same_inode(run, destination, name, run.made[wanted.st_ino], present)
    else:
        _first_name(run, source, destination, name, wanted, present)
        run.made[wanted.st_ino] = path + name
        run.claimed[_look(name, destination).st_ino] = wanted.st_ino


def _first_name(
    run: _Run, source: int, destination: int, name: bytes, wanted: os.stat_result, present: os.stat_result | None
) -> None:
    # In the destination this may be one file with two names where the source has two files: changing it in place would
    # then change the other one.
    if present is not None and run.claimed.get(present.st_ino, wanted.st_ino) != wanted.st_ino:
        present = None
    if stat.S_ISLNK(wanted.st_mode):
        _symlink(run, source, destination, name, wanted, present)
    elif stat.S_ISREG(wanted.st_mode):
        _file(run, source, destination, name, wanted, present)
    else:
        raise InternalError(
            "TREE_SYNC",
            f"{os.fsdecode(name)!r} is neither file, folder nor link",
            hint="report this, with the archive",
        )


def _same_inode(run: _Run, destination: int, name: bytes, first: bytes, present: os.stat_result | None) -> None:
    if present is not None and present.st_ino == _look(first, run.destination).st_ino:
        run.counts.unchanged += 1
        return
    os.link(first, run.scratch, src_dir_fd=run.destination, dst_dir_fd=run.destination, follow_symlinks=False)
    os.rename(run.scratch, name, src_dir_fd=run.destination, dst_dir_fd=destination)
    run.counts.written += 1


def _symlink(
    run: _Run, source: int, destination: int, name: bytes, wanted: os.stat_result, present: os.stat_result | None
) -> None:
    target = os.readlink(name, dir_fd=source)
    if present is not None and os.readlink(name, dir_fd=destination) == target:
        if _owner(present) == _owner(wanted):
            run.counts.unchanged += 1
        else:
            os.chown(name, wanted.st_uid, wanted.st_gid, dir_fd=destination, follow_symlinks=False)
            run.counts.adjusted += 1
        return
    os.symlink(target, run.scratch, dir_fd=run.destination)
    os.chown(run.scratch, wanted.st_uid, wanted.st_gid, dir_fd=run.destination, follow_symlinks=False)
    os.utime(run.scratch, ns=_times(wanted), dir_fd=run.destination, follow_symlinks=False)
    os.rename(run.scratch, name, src_dir_fd=run.destination, dst_dir_fd=destination)
    run.counts.written += 1


def _file(
    run: _Run, source: int, destination: int, name: bytes, wanted: os.stat_result, present: os.stat_result | None
) -> None:
    if present is not None and _is_untouched(run, wanted, present):
        run.counts.unchanged += 1
        return
    original = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=source)
    try:
        if present is None or not _equal_content(original, wanted, destination, name, present):
            _write(run, original, destination, name)
            run.counts.written += 1
            run.counts.added += wanted.st_size
            return
        copy = os.open(name, _READING, dir_fd=destination)
        try:
            if _differ(original, copy):
                filecopy.dress(copy, original)
                run.counts.adjusted += 1
            else:
                run.counts.unchanged += 1
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _is_untouched(run: _Run, wanted: os.stat_result, present: os.stat_result) -> bool:
    """Whether a file is the one that it was: nobody can set the time of an inode's last change.

    One that was changed right before the snapshot may have been changed again within the same tick of the clock.
    """
    same = (wanted.st_ino, wanted.st_ctime_ns, wanted.st_size) == (present.st_ino, present.st_ctime_ns, present.st_size)
    return same and wanted.st_ctime_ns < run.taken * 10**9 - _TICK


def _equal_content(
    original: int, wanted: os.stat_result, destination: int, name: bytes, present: os.stat_result
) -> bool:
    if present.st_size != wanted.st_size:
        return False
    copy = os.open(name, _READING, dir_fd=destination)
    try:
        offset = 0
        while piece := os.pread(original, _PIECE, offset):
            if os.pread(copy, len(piece), offset) != piece:
                return False
            offset += len(piece)
        return True
    finally:
        os.close(copy)


def _write(run: _Run, original: int, destination: int, name: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    copy = os.open(run.scratch, flags, 0o600, dir_fd=run.destination)
    try:
        filecopy.write(original, copy, run.stopped)
        filecopy.dress(copy, original)
    finally:
        os.close(copy)
    os.rename(run.scratch, name, src_dir_fd=run.destination, dst_dir_fd=destination)


def _free_name(taken: set[bytes]) -> bytes:
    """Return a name that neither root has: the trees may hold one like ours."""
    number = 0
    while (name := b".jaild-sync.%d" % number) in taken:
        number += 1
    return name


def _remove(name: bytes, folder: int) -> None:
    remove_within(name, folder, Path(os.fsdecode(name)))


def _adjust_folder(run: _Run, wanted: int, folder: int) -> None:
    if not _differ(wanted, folder):
        return
    only_time = _attributes(os.fstat(wanted))[:3] == _attributes(os.fstat(folder))[:3]
    run.counts.adjusted += not only_time or filecopy.attributes(wanted) != filecopy.attributes(folder)
    filecopy.dress(folder, wanted)


def _differ(original: int, copy: int) -> bool:
    if _attributes(os.fstat(original)) != _attributes(os.fstat(copy)):
        return True
    return filecopy.attributes(original) != filecopy.attributes(copy)


def _owner(status: os.stat_result) -> tuple[int, int]:
    return status.st_uid, status.st_gid


def _times(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_mtime_ns


def _attributes(status: os.stat_result) -> tuple[int, int, int, int]:
    # The time counts: Python takes a .pyc for stale when its source's time is not the recorded one.
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns
