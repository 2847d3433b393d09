"""Paths inside a jail's tree, looked up by the host: no symlink is followed, since its target may be the host's.

What is given is a descriptor, not a path: another look-up of the path may lead elsewhere by then.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.mounts import Mount
from jaild.trees.openat import CHANGED, NotAFileError, StepError, look, reached, reading

_LARGEST = 8 << 20  # bytes of an /etc file: more is not an /etc file


@contextmanager
def target(root: Path, inside: str) -> Iterator[int]:
    """Open mount target `inside` of the tree at `root`; give its descriptor.

    Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK, MOUNT_TARGET_MISSING).
    """
    parts = _parts(inside)
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(reached(root, parts))
        except StepError as error:
            raise _refused(inside, parts, error) from error
        yield folder


@contextmanager
def source(mount: Mount) -> Iterator[int]:
    """Open the folder of the host that `mount` shows; give its descriptor.

    Links above `mount.source` are the operator's and followed; it is none itself, nor is anything of `mount.within`.
    Raises `FailedPreconditionError` (MOUNT_SOURCE_MISSING, MOUNT_SOURCE_SYMLINK).
    """
    top = Path(mount.source)
    steps = (top.name, *PurePosixPath(mount.within).parts)
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(reached(top.parent.resolve(), steps))
        except FileNotFoundError as error:
            raise _source_refused(mount, str(top.parent)) from error
        except StepError as error:
            place = str(top.parent.joinpath(*steps[: error.depth]))
            raise _source_refused(mount, place, is_link=error.is_link) from error
        yield folder


def text(root: Path, inside: str) -> str:
    """Return the text of a small file of the tree; empty if there is none, or it is no regular file.

    Raises `FailedPreconditionError` (MOUNT_TARGET_SYMLINK) for a symlink on the way.
    """
    parts = _parts(inside)
    try:
        with reached(root, parts[:-1]) as folder:
            if stat.S_ISLNK(look(parts[-1], folder).st_mode):
                raise _symlink(inside, parts)
            with reading(parts[-1], within=folder) as file:
                return file.read(_LARGEST).decode("utf-8", "replace")
    except StepError as error:
        if error.is_link:
            raise _symlink(inside, parts[: error.depth]) from error
        return ""
    except (NotAFileError, FileNotFoundError):
        return ""
    except OSError as error:
        if error.errno not in CHANGED:
            raise
        raise _symlink(inside, parts) from error  # swapped since it was looked at


def _parts(inside: str) -> tuple[str, ...]:
    parts = PurePosixPath(inside).parts[1:]
    if not inside.startswith("/") or ".." in parts:
        raise InvalidArgumentError(
            "MOUNT_TARGET_INVALID", f"{inside!r} is no path inside a jail", hint="use an absolute path without '..'"
        )
    return parts


def _refused(inside: str, parts: Sequence[str], error: StepError) -> FailedPreconditionError:
    if error.is_link:
        return _symlink(inside, parts[: error.depth])
    return FailedPreconditionError(
        "MOUNT_TARGET_MISSING",
        f"{inside} is not in the jail's tree",
        hint="the base or the release must bring the folder: nothing is made in a sealed layer",
        resource=inside,
    )


def _symlink(inside: str, parts: Sequence[str]) -> FailedPreconditionError:
    return FailedPreconditionError(
        "MOUNT_TARGET_SYMLINK",
        f"/{'/'.join(parts)} is a symlink in the jail's tree",
        hint="make it a real folder in the base or release: a link could lead out of the jail",
        resource=inside,
    )


def _source_refused(mount: Mount, place: str, *, is_link: bool = False) -> FailedPreconditionError:
    if is_link:
        return FailedPreconditionError(
            "MOUNT_SOURCE_SYMLINK",
            f"{place}, to be mounted at {mount.target}, is a symlink: it could lead to any folder of the host",
            hint="make it a real folder in the release, the base or the jail's data",
            resource=mount.target,
        )
    return FailedPreconditionError(
        "MOUNT_SOURCE_MISSING",
        f"{place}, to be mounted at {mount.target}, is not there or no folder",
        hint="the layer's dataset is not mounted, or lacks the folder: `zfs mount -a`, then try again",
        resource=mount.target,
    )
