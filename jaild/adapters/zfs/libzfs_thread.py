"""The one thread that owns py-libzfs's handle: everything that touches it, or anything got from it, runs here.

    task ── run(call) ──> queue ──> thread: call(handle) ──> plain data, or a typed error ──> task

A call that has begun is finished. Whoever is cancelled waits for that, so that a command that is asked afterwards finds
what was done; one that has not begun never is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jaild.adapters.zfs.errors import libzfs_failure, refusal
from jaild.adapters.zfs.pylibzfs import Handle, Module
from jaild.model.errors import DeadlineExceededError, JaildError

T = TypeVar("T")

_PATIENCE = 600.0  # seconds, as for the commands


class HandleThread:
    """Opens the handle at the first call; `device` is what libzfs opens for that."""

    def __init__(self, module: Module, device: Path) -> None:
        self._module = module
        self._device = device
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="libzfs")
        self._handle: Handle | None = None

    async def run(self, operation: str, subject: str, call: Callable[[Handle], T]) -> T:
        """Run `call` in the thread; what it returns must hold nothing of py-libzfs.

        `operation` and `subject` are what an error is about. Raises what `jaild.ports.zfs` says, and
        `DeadlineExceededError` (COMMAND_TIMEOUT) when the thread is not done in time, with this or what was before it.
        """
        begun = self._thread.submit(self._called, operation, subject, call)
        done = asyncio.wrap_future(begun)
        done.add_done_callback(lambda future: future.cancelled() or future.exception())  # also if nobody waits any more
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not begun.cancel():
                await asyncio.wait({done}, timeout=_PATIENCE)
            raise
        except TimeoutError as error:
            raise DeadlineExceededError(
                "COMMAND_TIMEOUT",
                f"libzfs: {operation} {subject}: not done after {_PATIENCE:g} s; it may still be done",
                hint="look at what it waits for (`zpool status`), then try again",
                resource=subject,
            ) from error

    def _called(self, operation: str, subject: str, call: Callable[[Handle], T]) -> T:
        try:
            if self._handle is None:
                self._handle = self._opened()
            return call(self._handle)
        except JaildError as error:
            refused = error
        except Exception as error:  # noqa: BLE001 -- none may leave this thread as it is, see below
            refused = told(self._handle, error, operation, subject)
        # A traceback keeps what its frames knew: ZFS objects, which the task's thread would then close.
        refused.__cause__ = refused.__context__ = None
        raise refused.with_traceback(None)

    def _opened(self) -> Handle:
        """Open the handle. py-libzfs does not look whether libzfs_init(3) failed, and crashes on the next call."""
        try:
            os.close(os.open(self._device, os.O_RDWR))
        except PermissionError as error:
            raise refusal("ZFS_PERMISSION", str(self._device), f"{self._device}: permission denied") from error
        except OSError as error:
            raise refusal("ZFS_UNAVAILABLE", str(self._device), f"{self._device}: {error.strerror}") from error
        return self._module.ZFS()


def told(zfs: Handle | None, error: Exception, operation: str, subject: str) -> JaildError:
    """Return the typed error of what py-libzfs raised.

    It says NOENT of everything that it cannot open; the handle knows why it could not.
    """
    code: object = getattr(error, "code", None)
    name, text = getattr(code, "name", ""), str(error) or repr(error)
    if name == "NOENT" and zfs is not None:
        name, text = _last(zfs, text)
    return libzfs_failure(name, text, operation, subject)


def _last(zfs: Handle, text: str) -> tuple[str, str]:
    try:
        name = zfs.errno.name
    except ValueError as error:
        return "", f"{text}: {error}"
    return name, text if name == "NOENT" else f"{text}: {zfs.errstr}"
