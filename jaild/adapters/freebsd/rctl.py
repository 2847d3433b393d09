"""Keeps limits and counts usage by rctl(8) where the kernel has racct, by cpuset(1) and ps(1) where it has not."""

from __future__ import annotations

from jaild.adapters.freebsd import limits
from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Kernel
from jaild.adapters.freebsd.records import Record
from jaild.model.errors import JaildError
from jaild.model.jails.spec import Limits
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, RunSpec, Usage


class Rctl:
    """The limits of this host's jails."""

    def __init__(self, processes: Processes, kernel: Kernel) -> None:
        self._processes = processes
        self._kernel = kernel
        self._known: dict[str, str] = {}  # what does not change before the next boot

    async def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return LIMIT_UNSUPPORTED for each limit that this host cannot keep."""
        if demands.limits == Limits():
            return []
        racct, ncpu = await self._racct(), await self._ncpu()
        return list(limits.problems(demands.limits, resource, racct=racct, ncpu=ncpu))

    async def apply(self, record: Record) -> None:
        """Add the jail's rules, before there is a jail."""
        rules = limits.rules(record.spec, record.name)
        if rules and await self._racct():
            await self._run("rctl", "-a", *rules)

    async def bind(self, run: RunSpec, jid: int) -> None:
        """Bind a jail that exists to its CPUs."""
        if run.limits.cpus is None and run.limits.cpuset is None:
            return
        cpus = limits.cpus(run.limits, run.uid, await self._ncpu(), racct=await self._racct())
        if cpus:
            await self._run("cpuset", "-l", cpus, "-j", str(jid))

    async def lift(self, record: Record) -> None:
        """Remove the jail's rules: before exec.stop, since rc.shutdown needs processes. No error if there are none."""
        # Without a name `rctl -r jail:` would mean the rules of every jail.
        if not record.name or not limits.rules(record.spec, record.name) or not await self._racct():
            return
        completed = await self._processes.run(("rctl", "-r", f"jail:{record.name}"), check=False)
        if completed.status != 0 and "No such process" not in completed.error_text:  # what it says of no rules
            raise explain(completed, record.spec.name)

    async def usage(self, record: Record) -> Usage:
        """Return what a jail uses. It must exist: rctl(8) says zeros for one that does not."""
        if await self._racct():
            return limits.parse_rctl(await self._run("rctl", "-u", f"jail:{record.name}"))
        return limits.parse_ps(await self._run("ps", "-J", str(record.jid), "-o", "pid,rss,time"))

    async def _racct(self) -> bool:
        return await self._value("kern.racct.enable") == "1"

    async def _ncpu(self) -> int:
        return int(await self._value("hw.ncpu"))

    async def _value(self, name: str) -> str:
        if name not in self._known:
            self._known |= {name: "", **await self._kernel.values(name)}  # one without RACCT knows no kern.racct.enable
        return self._known[name]

    async def _run(self, *argv: str) -> str:
        completed = await self._processes.run(argv, check=False)
        if completed.status != 0:
            raise explain(completed, argv[-1])
        return completed.text
