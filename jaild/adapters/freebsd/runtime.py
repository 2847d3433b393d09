"""Jails on FreeBSD: the runtime port on jail(8), with trees of nullfs mounts.

A run's states are drawn in `freebsd_records`. `create` does all that takes time: mounts, epair, jail.conf. `start`
makes the jail and starts the command in it under daemon(8) on the host (docs/decisions/0101), so that both outlive this
daemon and are found again. The command's end is the run's: what else runs in the jail then is removed with it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from functools import cached_property
from pathlib import Path

import msgspec
import structlog

from jaild.adapters.freebsd import (
    command as freebsd_command,
)
from jaild.adapters.freebsd import (
    exec as freebsd_exec,
)
from jaild.adapters.freebsd import (
    facts as freebsd_facts,
)
from jaild.adapters.freebsd import (
    jailconf as freebsd_jailconf,
)
from jaild.adapters.freebsd import (
    mounts as freebsd_mounts,
)
from jaild.adapters.freebsd import (
    network as freebsd_network,
)
from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.first_process import FirstProcesses
from jaild.adapters.freebsd.jails import Jails
from jaild.adapters.freebsd.kernel import Jail, System
from jaild.adapters.freebsd.kqueue import Events
from jaild.adapters.freebsd.records import Record, boots, jail_name
from jaild.adapters.freebsd.surroundings import Surroundings
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.runtime import accounts, inside, refusals, treepaths, treeroot
from jaild.adapters.runtime.first_process import stop_signal
from jaild.adapters.runtime.records import Records, split
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.spec import HttpCheck, Mode, TcpCheck
from jaild.model.problems import Problem
from jaild.ports.process import Processes, TerminalSize
from jaild.ports.runtime import Demands, HostFacts, Input, Output, Run, RunSpec, Traffic, Usage

_log = structlog.get_logger("jaild.runtime")
_KILL_PATIENCE = 30.0  # seconds that jail(8) may take to remove a jail whose first process has ended


class FreebsdRuntime:
    """Implements `jaild.ports.runtime.Runtime`.

    Everything is in `run_folder`, which is this daemon's alone and has no blanks in its name; jails are called
    `<jail>_<generation>`. A run's exit status is known if this process saw its end.
    """

    def __init__(
        self,
        processes: Processes,
        run_folder: Path,
        *,
        network: HostNetwork,
        events: Events,
        system: System,
        etc: Path = Path("/etc"),  # of the host: devfs.rules(5)
    ) -> None:
        self._processes = processes
        self._given_folder = run_folder
        self._network = network
        self._events = events
        self._mounting = system.mounting
        self._kernel = system.kernel
        self._etc = etc
        self._tagged: bool | None = None  # whether the kernel keeps what jails are tagged with; None: not asked yet

    async def facts(self) -> HostFacts:
        """Return what the host offers."""
        return freebsd_facts.parse(await self._kernel.values(*freebsd_facts.NAMES))

    async def free_memory(self) -> int | None:
        """Return what is free, inactive, or ZFS's to give back."""
        return freebsd_facts.free(await self._kernel.values(*freebsd_facts.FREE_NAMES))

    async def prepare_host(self) -> None:
        """Make the run folder and the bridge, and load the kernel's modules."""
        if any(character.isspace() for character in str(self._folder)):
            raise InvalidArgumentError(
                "INVALID_CONFIG",
                f"run: {self._folder} has a blank in its name, and mount(8) tells mounts in columns",
                hint="choose another folder for `run`",
                resource=str(self._folder),
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        loaded = await self._processes.run(("kldload", "-n", "nullfs"), check=False)
        if loaded.status != 0:
            raise explain(loaded, "nullfs")
        await self._around.links.prepare()

    async def withdraw_host(self) -> list[str]:
        """Take away the bridge. The kernel's modules stay: whoever else uses them is not known."""
        return await self._around.links.withdraw()

    async def examine(self, demands: Demands, resource: str) -> tuple[Problem, ...]:
        """Return what of `demands` this host cannot carry out."""
        return refusals.as_problems(await self._around.problems(demands, resource))

    async def create(self, run: RunSpec) -> None:
        """Mount the tree, make the epair, write jail.conf. There is no jail yet."""
        tree = self._tree(run.jail, run.generation)
        table = await self._mounting.table()
        if self._records.folder(run.name).exists() or freebsd_mounts.below(tree, table):
            raise refusals.exists(run.name)
        stop_signal(run.stop_signal)
        ruleset = await self._around.prepare(run, self._records.held(run.jail))
        record = self._records.write(Record(spec=run))
        try:
            run.log.parent.mkdir(parents=True, exist_ok=True)
            await freebsd_mounts.mount_tree(self._mounting, tree, run.mounts, ruleset=ruleset, before=table)
            self._command(run, 0, run.command)  # raises now rather than while nothing serves
            await self._write_conf(run, jail_name(run))
            await self._around.links.create(run)
        except BaseException:
            await self._take_away(run.jail, run.generation, record, jails=None)  # it has made none
            raise

    async def start(self, jail: str, generation: int) -> Run:
        """Attach the network, make the jail, start the command in it."""
        record = self._known(jail, generation)
        run = record.spec
        table = await self._mounting.table()
        if not self._conf(run).exists() or not freebsd_mounts.below(self._tree(jail, generation), table):
            raise refusals.interrupted(run.name)
        jails = await self._kernel.jails()
        await self._clear_the_way(jail, jails)
        refusals.require_none(await self._around.links.taken(run))
        if freebsd_mounts.has_late(run.mounts):
            tree = self._tree(jail, generation)
            await self._jails.require_none_in(tree.parent, jails)  # not even one that no record tells of
            await freebsd_mounts.complete_tree(self._mounting, tree, run.mounts, before=table)
        self._dying(self._tree(jail, generation), jails)
        name = jail_name(run, {each.name for each in jails})  # dying ones keep theirs
        record = self._write(
            self._known(jail, generation), name=name, started=0.0, ended=False, exit_status=None, pid=0, attached=True
        )
        try:
            await self._write_conf(run, name)
            await self._around.attach(record)
            await self._jails.create(name, self._conf(run), run.name)
            record = self._write(record, jid=await self._jid(name))
            await self._around.rctl.bind(run, record.jid)
            pid = 0
            if not boots(run):
                command = self._command(run, record.jid, run.command)
                pid = await self._first.start(run, record.jid, command, self._records.folder(run.name) / "pid")
            record = self._write(record, pid=pid, started=time.time())
        except BaseException:
            await self._detach(await self._without_jail(record, await self._kernel.jails()))
            raise
        return record.run

    async def stop(self, jail: str, generation: int) -> float:
        """End its command, or let it shut down; remove the jail with all that still runs in it; detach its network."""
        begun = time.monotonic()
        record = self._records.read(f"{jail}.{generation}")
        if record is None:
            return 0.0
        seen = self._sees(record)
        jails = [] if seen else await self._kernel.jails()
        record = record if seen else await self._settled(record, jails)
        if record.running and record.pid:
            await self._first.end(record.spec, record.pid)
        if seen or (record.running and record.pid):  # not asked yet, or that took its time
            jails = await self._kernel.jails()
            record = await self._settled(record, jails)
        record = await self._without_jail(record, jails)
        await self._detach(record)
        return time.monotonic() - begun

    async def remove(self, jail: str, generation: int) -> None:
        """Take away what there is of a run that does not run."""
        jails = await self._kernel.jails()
        record = await self._current(f"{jail}.{generation}", jails)
        if record is not None and record.running:
            raise refusals.running(record.spec.name)
        await self._take_away(jail, generation, record, jails)

    async def runs(self) -> list[Run]:
        """Return every run that has a record, a jail or a mounted tree."""
        jails = await self._kernel.jails()
        places = [m.target for m in await self._mounting.table()] + [
            Path(jail.path) for jail in jails if not jail.dying
        ]
        inside = (place.relative_to(self._trees).parts for place in places if place.is_relative_to(self._trees))
        names = {*self._records.names(), *(".".join(parts[:2]) for parts in inside)}
        records = {name: self._records.read(name) for name in sorted(names)}
        await self._first.look({r.jid: r.pid for r in records.values() if r is not None and r.running})
        found = []
        for name, record in records.items():
            if record is not None:
                found.append((await self._settled(record, jails)).run)
            elif (which := split(name)) is not None:
                jail, generation = which
                found.append(Run(jail=jail, generation=generation, uid="", running=False, pid=0, started=0.0))
        return found

    async def find(self, jail: str, generation: int) -> Run | None:
        """Return one run; None if there is no record of it."""
        record = self._records.read(f"{jail}.{generation}")
        return (await self._as_it_is(record)).run if record is not None else None

    async def wait(self, jail: str, generation: int) -> Run:
        """Wait until a started run has ended; what its command left running in the jail is ended with it."""
        record = self._known(jail, generation)
        if not record.started:
            raise refusals.not_running(record.spec.name)
        record = await self._as_it_is(record)
        if record.running:
            await (self._first.ended(record.pid) if record.pid else self._first.none_left(record.jid))
            now = self._records.read(record.spec.name)
            if now is None or now.started != record.started:
                return msgspec.structs.replace(record, ended=True).run  # removed, or started again, before we were told
            record = self._over(now)
        if record.jid:
            record = await self._without_jail(record, await self._kernel.jails())
        return record.run

    async def exec(
        self,
        jail: str,
        generation: int,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        inputs: AsyncIterator[Input] | None = None,
        terminal: TerminalSize | None = None,
    ) -> AsyncGenerator[Output, None]:
        """Run a command in it, with the run's environment and user if none is named."""
        record = await self._started(jail, generation)
        program = self._command(record.spec, record.jid, command, environment, user)
        stream = freebsd_exec.stream(self._processes, program, inputs, terminal)
        async with contextlib.aclosing(stream):  # `async for` alone would leave the closing to the garbage collector
            async for output in stream:
                yield output

    async def probe(self, jail: str, generation: int, check: HttpCheck | TcpCheck, address: str) -> str:
        """Make a health check from a process that enters the jail."""
        jid = (await self._started(jail, generation)).jid
        return await inside.made(self._processes, check, address, jid=jid)

    async def usage(self, jail: str, generation: int) -> Usage:
        """Return what it uses."""
        record = await self._started(jail, generation)
        return await self._around.rctl.usage(record)

    async def traffic(self, runs: Collection[Run]) -> Mapping[str, Traffic]:
        """Return what went over the networks of runs that have their own."""
        return await self._around.links.traffic(runs)

    async def announce(self, jail: str, generation: int) -> None:
        """Send a gratuitous ARP request or an unsolicited neighbour advertisement for each address.

        The kernel does the former itself when an IPv4 address is set, and nothing of that kind for IPv6.
        """
        record = await self._started(jail, generation)
        await self._around.links.announce(record.spec, record.jid)

    @cached_property
    def _folder(self) -> Path:
        return self._given_folder.resolve()  # as mount(8) and jls(8) name it

    @cached_property
    def _trees(self) -> Path:
        return self._folder / "trees"

    @cached_property
    def _records(self) -> Records[Record]:
        return Records(self._folder / "runs", Record)

    @cached_property
    def _jails(self) -> Jails:
        return Jails(self._processes, self._kernel)

    @cached_property
    def _around(self) -> Surroundings:
        return Surroundings(self._processes, self._kernel, self._folder, self._network, self._etc)

    @cached_property
    def _first(self) -> FirstProcesses:
        return FirstProcesses(self._processes, self._kernel, self._events)

    def _tree(self, jail: str, generation: int) -> Path:
        return self._trees / jail / str(generation)

    def _conf(self, run: RunSpec) -> Path:
        return self._records.folder(run.name) / "jail.conf"

    async def _write_conf(self, run: RunSpec, name: str) -> None:
        if self._tagged is None:
            self._tagged = bool(await self._kernel.values(freebsd_jailconf.META))
        text = freebsd_jailconf.config(
            run,
            name,
            self._tree(run.jail, run.generation),
            freebsd_network.parameters(run, self._network, self._folder),
            freebsd_network.inside(run, self._folder),
            tagged=self._tagged,
        )
        self._conf(run).write_text(text, "utf-8", "surrogateescape")

    def _command(
        self,
        run: RunSpec,
        jid: int,
        command: tuple[str, ...],
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> freebsd_command.Program:
        tree = self._tree(run.jail, run.generation)
        who = run.user if user is None else user
        account = accounts.resolve(who, treepaths.text(tree, "/etc/passwd"), treepaths.text(tree, "/etc/group"))
        return freebsd_command.inside(jid, run, account, command, environment)

    def _write(self, record: Record, **changes: object) -> Record:
        return self._records.write(msgspec.structs.replace(record, **changes))

    async def _current(self, name: str, jails: list[Jail]) -> Record | None:
        """Return the record as the system bears it out now."""
        record = self._records.read(name)
        return record if record is None else await self._settled(record, jails)

    def _sees(self, record: Record) -> bool:
        """Tell whether it is known without asking that a run runs: what lives in a jail keeps the jail alive."""
        return record.running and self._first.sees(record.jid, record.pid)

    async def _as_it_is(self, record: Record) -> Record:
        """Return the record as the system bears it out, which is asked only if that is not known."""
        if not record.running or self._sees(record):
            return record
        return await self._settled(record, await self._kernel.jails())

    async def _settled(self, record: Record, jails: list[Jail]) -> Record:
        """Note that a run has ended, if it has."""
        if not record.running:
            return record
        there = any(jail.jid == record.jid and self._is_its(jail, record.spec) for jail in jails)
        if there and (not record.pid or await self._first.alive(record.jid, record.pid)):
            return record
        return self._over(record)

    def _over(self, record: Record) -> Record:
        """Note that a run has ended, with its status if it is known, unless that was noted."""
        if record.ended:
            return record
        return self._write(record, ended=True, exit_status=self._first.take_status(record.pid))

    def _known(self, jail: str, generation: int) -> Record:
        name = f"{jail}.{generation}"
        record = self._records.read(name)
        if record is None:
            raise refusals.missing(name)
        return record

    async def _started(self, jail: str, generation: int) -> Record:
        record = await self._as_it_is(self._known(jail, generation))
        if not record.running:
            raise refusals.not_running(record.spec.name)
        return record

    def _is_its(self, jail: Jail, run: RunSpec) -> bool:
        """Tell whether a jail that lives is in the run's tree, whoever made it."""
        return jail.path == str(self._tree(run.jail, run.generation)) and not jail.dying

    @staticmethod
    def _dying(tree: Path, jails: list[Jail]) -> bool:
        """Tell whether a jail of the tree is dying, and log it."""
        found = [jail for jail in jails if jail.dying and jail.path == str(tree)]
        for jail in found:
            _log.info("jail is dying", jail=jail.name, jid=jail.jid, why="a connection of it lingers", see="jls -d")
        return bool(found)

    async def _jid(self, name: str) -> int:
        return next(jail.jid for jail in await self._kernel.jails() if jail.name == name and not jail.dying)

    async def _clear_the_way(self, jail: str, jails: list[Jail]) -> None:
        """Remove and detach what ended generations of the jail left; refuse if one is running."""
        for name in self._records.names(jail):
            if (other := await self._current(name, jails)) is not None:
                if other.running:
                    raise refusals.running(other.spec.name)
                await self._detach(await self._without_jail(other, jails))

    async def _without_jail(self, record: Record, jails: list[Jail]) -> Record:
        """Remove a run's jail, if it has one, and wait until all that ran in it is gone.

        Raises `FailedPreconditionError` (RUN_CHANGED) if it is not the jail that was started: somebody started it anew,
        and it is not ours to clean up after.
        """
        run = record.spec
        jail = next((j for j in jails if self._is_its(j, run)), None)
        if jail is None:
            return self._write(record, jid=0) if record.jid else record
        if record.jid not in {0, jail.jid}:
            raise FailedPreconditionError(
                "RUN_CHANGED",
                f"the jail {jail.name} was started again by somebody else: its jid is {jail.jid}, not {record.jid}",
                hint=f"`jail -R {jail.jid}` removes it; then try again",
                resource=run.name,
                detail={"jid": str(jail.jid), "recorded": str(record.jid)},
            )
        pids = await self._kernel.processes(jail.jid)
        self._first.watch(pids)
        if boots(run):
            await self._around.rctl.lift(record)  # rc.shutdown needs processes of its own
            await self._jails.shut_down(jail, self._conf(run), run.stop_timeout)
        elif run.network.mode is Mode.SHARED_IP:
            await self._jails.shut_down(jail, self._conf(run), _KILL_PATIENCE)  # it takes the addresses away
        else:
            await self._jails.kill(jail.jid)
        await self._first.gone(run, pids)
        self._first.forget(pids)
        return self._write(record, jid=0)

    async def _detach(self, record: Record) -> None:
        if record.attached:
            await self._around.detach(record)
            # Read again: that it ended may have been noted meanwhile.
            self._write(self._records.read(record.spec.name) or record, attached=False)

    async def _take_away(self, jail: str, generation: int, record: Record | None, jails: list[Jail] | None) -> None:
        """Take away what there is of a run; `jails` as they are now, None: not known, and none of them is the run's."""
        tree, seen = self._tree(jail, generation), jails or []
        if record is not None:
            await self._detach(await self._without_jail(record, seen))
            if record.spec.network.mode is Mode.VNET:
                await self._around.links.delete(record.spec.uid, generation)
        else:
            for left in seen:
                if left.path == str(tree) and not left.dying:
                    await self._jails.kill(left.jid)
        if jails is None or any(left.path == str(tree) and not left.dying for left in seen):  # it was removed just now
            seen = await self._kernel.jails()
        dying = self._dying(tree, seen)
        await freebsd_mounts.unmount_tree(self._mounting, tree, dying=dying)
        treeroot.remove(tree)
        self._records.forget(f"{jail}.{generation}")
