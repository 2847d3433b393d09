"""The jails that the kernel has: asked for, made by jail(8), removed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Jail, Kernel
from jaild.adapters.runtime import refusals
from jaild.model.errors import DeadlineExceededError, JaildError
from jaild.ports.process import Processes

_START_PATIENCE = 600.0  # seconds: /etc/rc runs within it


class Jails:
    """Asks for jails, makes them and removes them."""

    def __init__(self, processes: Processes, kernel: Kernel) -> None:
        self._processes = processes
        self._kernel = kernel

    async def require_none_in(self, folder: Path, seen: Sequence[Jail]) -> None:
        """Raise `FailedPreconditionError` (RUN_RUNNING) if a jail that is not dying has its root below `folder`.

        Those that were `seen` just now may have been removed since: if there was one, they are asked for again.
        """

        def found(jails: Sequence[Jail]) -> Jail | None:
            return next((each for each in jails if not each.dying and Path(each.path).is_relative_to(folder)), None)

        if found(seen) is not None and (left := found(await self._kernel.jails())) is not None:
            raise refusals.running(left.name)

    async def create(self, name: str, conf: Path, run: str) -> None:
        """Make a jail and wait for its exec.start. What jail(8) says is kept in the error."""
        completed = await self._processes.run(
            ("jail", "-f", str(conf), "-c", name), timeout=_START_PATIENCE, check=False
        )
        if completed.status != 0:
            raise explain(completed, run)

    async def shut_down(self, jail: Jail, conf: Path, timeout: float) -> None:
        """Run exec.stop and remove a jail, asking nobody if that does not go well within `timeout` seconds.

        If exec.stop fails or hangs, jail(8) does not remove the jail.
        """
        with contextlib.suppress(DeadlineExceededError):
            argv = ("jail", "-f", str(conf), "-r", jail.name)
            if (await self._processes.run(argv, timeout=max(timeout, 0.1), check=False)).status == 0:
                return
        now = await self._kernel.jails()  # what the kernel has is what counts
        if any(left.jid == jail.jid and not left.dying for left in now):
            await self.kill(jail.jid)

    async def kill(self, jid: int) -> None:
        """Remove a jail with all that runs in it, asking nobody. No error if it is gone."""
        try:
            await self._kernel.remove_jail(jid)
        except JaildError:
            if any(jail.jid == jid and not jail.dying for jail in await self._kernel.jails()):
                raise
