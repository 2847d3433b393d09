"""What the system says of a file that failed, as one of our errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaild.model.errors import InternalError, JaildError, PermissionDeniedError, ResourceExhaustedError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an `OSError` into ours.

    `ResourceExhaustedError` (NO_SPACE), `PermissionDeniedError` (FILE_PERMISSION), else `InternalError` (FILE_FAILED).
    """
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: Path) -> JaildError:
    """Return the error that stands for `error`, which happened at `path` or below it."""
    text = error.strerror or str(error)
    inner = f" at {os.fsdecode(error.filename)}" if error.filename not in {None, str(path), os.fsencode(path)} else ""
    detail = {"path": str(path), "errno": errno.errorcode.get(error.errno or 0, str(error.errno))}
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ResourceExhaustedError(
            "NO_SPACE",
            f"no room left for {path}: {text}{inner}",
            hint="free space in the pool or raise the dataset's quota, then try again",
            resource=str(path),
            detail=detail,
        )
    if isinstance(error, PermissionError):
        return PermissionDeniedError(
            "FILE_PERMISSION",
            f"{path}: {text}{inner}",
            hint="run the daemon as root; look for flags that forbid it (lsattr, ls -lo)",
            resource=str(path),
            detail=detail,
        )
    return InternalError(
        "FILE_FAILED",
        f"{path}: {text}{inner}",
        hint="look at that path and its file system",
        resource=str(path),
        detail=detail,
    )
