"""One daemon to a state folder: two would both be the only writer."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaild.model.errors import FailedPreconditionError


@contextmanager
def only_daemon(path: Path) -> Iterator[None]:
    """Hold a lock file for as long as the context lasts; the kernel drops it when the process ends, however it ends.

    `FailedPreconditionError` (ALREADY_RUNNING) with the holder's process id if another daemon has it.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise FailedPreconditionError(
                "ALREADY_RUNNING",
                f"another jaild (process {holder}) works on {path.parent}",
                remedy="use that one, or stop it first",
                detail={"pid": holder},
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
