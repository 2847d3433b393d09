"""A jail's first process: started under daemon(8), watched, ended. And whatever else runs in the jail, waited for."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from jaild.adapters.freebsd import command as freebsd_command
from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Kernel
from jaild.adapters.freebsd.kqueue import Events
from jaild.adapters.runtime.first_process import stop_signal
from jaild.model.errors import InternalError
from jaild.ports.process import Processes
from jaild.ports.runtime import RunSpec

_KILL_PATIENCE = 30.0  # seconds that SIGKILL may take: a process in the kernel's uninterruptible sleep delays it
_SETUP_PATIENCE = 30.0  # seconds between daemon(8) and the command's begin or failure, on a host that is busy


class FirstProcesses:
    """Starts, watches and ends processes of jails."""

    def __init__(self, processes: Processes, kernel: Kernel, events: Events) -> None:
        self._processes = processes
        self._kernel = kernel
        self._events = events
        self._any: dict[int, int] = {}  # jid of a jail without a first process -> a process that was seen in it

    async def start(self, run: RunSpec, jid: int, command: freebsd_command.Program, pid_file: Path) -> int:
        """Start `command`, which enters the jail `jid`, and return its pid when the jail's program runs.

        Raises `InternalError` (COMMAND_FAILED) if it did not come to that.
        """
        pid_file.unlink(missing_ok=True)
        keeper = freebsd_command.supervised(command, title=f"jaild {run.name}", log=run.log, pid_file=pid_file)
        completed = await self._processes.run(keeper.argv, env=keeper.environment, check=False)
        if completed.status != 0:
            raise explain(completed, run.name)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETUP_PATIENCE):
                pid = await self._written(pid_file)
                if pid is not None and await self._began(jid, pid):
                    return pid
        raise InternalError(
            "COMMAND_FAILED",
            f"the command of {run.name} could not be executed: {' '.join(run.command)}",
            hint=f"see the end of {run.log}; is it a program for this machine, its interpreter in the jail? "
            "The jail needs /usr/bin/env, and /usr/sbin/chroot where the command is not root's",
            resource=run.name,
        )

    async def look(self, jails: Mapping[int, int]) -> None:
        """See who lives, by one question for all: the first processes by the jails' jids; 0 for a jail without one."""
        unseen = {jid: pid for jid, pid in jails.items() if not self.sees(jid, pid)}
        if len(unseen) < 2:  # noqa: PLR2004 -- one is asked about where it matters
            return
        found = await self._kernel.all_processes()
        for jid, first in unseen.items():
            processes = found.get(jid, {})
            pid = first or next(iter(processes), 0)
            if pid in processes:
                self._events.watch(pid)
                if not first:
                    self._any[jid] = pid

    def sees(self, jid: int, pid: int) -> bool:
        """Tell whether it is known without asking that a jail runs, by its first process, or any where it has none."""
        pid = pid or self._any.get(jid, 0)
        return self._events.watched(pid) and not self._events.ended(pid)

    async def alive(self, jid: int, pid: int) -> bool:
        """Tell whether the first process lives, watching it from now on."""
        if not self._events.watched(pid) and pid in await self._kernel.processes(jid):
            self._events.watch(pid)
        return self._events.watched(pid) and not self._events.ended(pid)

    def take_status(self, pid: int) -> int | None:
        """Return how an ended first process ended, if that was seen, and watch it no longer."""
        status = self._events.status(pid) if self._events.watched(pid) else None
        self._events.forget(pid)
        return status

    async def end(self, run: RunSpec, pid: int) -> None:
        """End a watched first process: its signal, after its timeout SIGKILL."""
        self._events.send(pid, stop_signal(run.stop_signal))
        if not await self._ended_within(pid, run.stop_timeout):
            self._events.send(pid, signal.SIGKILL)
            await self.gone(run, (pid,))

    def watch(self, pids: Iterable[int]) -> None:
        """Watch processes, so that `gone` can wait for them."""
        for pid in pids:
            self._events.watch(pid)

    async def gone(self, run: RunSpec, pids: Iterable[int]) -> None:
        """Wait for processes that were sent SIGKILL: until then they keep files open, and mounts busy.

        Raises `InternalError` (RUN_UNKILLABLE).
        """
        for pid in pids:
            if not await self._ended_within(pid, _KILL_PATIENCE):
                raise InternalError(
                    "RUN_UNKILLABLE",
                    f"process {pid} of {run.name} did not end {_KILL_PATIENCE:g} s after SIGKILL",
                    hint=f"it waits in the kernel, for a disk most likely: see `procstat -kk {pid}`",
                    resource=run.name,
                    detail={"pid": str(pid)},
                )

    async def ended(self, pid: int) -> None:
        """Return when a watched process has ended."""
        await self._events.end(pid)

    async def none_left(self, jid: int) -> None:
        """Return when nothing runs in a jail any more."""
        pids: Collection[int] = [self._any[jid]] if self.sees(jid, 0) else await self._kernel.processes(jid)
        while pids:
            self.watch(pids)
            ends = {asyncio.ensure_future(self._events.end(pid)) for pid in pids}
            try:
                # After each end the list is asked for again: whoever ended may have started others before.
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                self.forget(pids)
            pids = await self._kernel.processes(jid)

    def forget(self, pids: Iterable[int]) -> None:
        """Watch processes no longer."""
        for pid in pids:
            self._events.forget(pid)

    async def _written(self, pid_file: Path) -> int | None:
        """Return the pid when daemon(8) has written it; None if the command, and so the file, is gone already.

        daemon(8) opens the file before it detaches, and its child writes into it after that (usr.sbin/daemon/daemon.c).
        """
        with contextlib.suppress(FileNotFoundError), self._events.file(pid_file) as news:
            while not (text := pid_file.read_text("ascii").strip()):
                await news.wait()
                news.clear()
            return int(text)
        return None

    async def _began(self, jid: int, pid: int) -> bool:
        """Tell whether the jail's program runs, when that is decided."""
        self._events.watch(pid)
        while True:
            seen = self._events.changes(pid)
            name = (await self._kernel.processes(jid)).get(pid)
            if self._events.ended(pid):
                self._events.forget(pid)
                return False
            if name is not None and name not in freebsd_command.SETUP:
                return True
            await self._events.changed(pid, seen)

    async def _ended_within(self, pid: int, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._events.end(pid)
        except TimeoutError:
            return False
        return True
