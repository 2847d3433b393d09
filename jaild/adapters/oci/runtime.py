"""Jails on Linux: the runtime port on an OCI runtime, with trees of bind mounts and networks of namespaces.

A run's states are drawn in `oci_records`. `create` does all that takes time, up to the container whose command waits to
begin; `start` attaches the network and lets it. The container is nobody's child but the system's (or, while this daemon
lives, its adopted one), so it outlives the daemon and is found again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from jaild.adapters.oci import bundle as oci_bundle
from jaild.adapters.oci import cgroup as oci_cgroup
from jaild.adapters.oci import exec as oci_exec
from jaild.adapters.oci import meminfo, mounts, run_folder
from jaild.adapters.oci.links import Links, within
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.ports import Redirects
from jaild.adapters.oci.records import Record, Records, split
from jaild.adapters.oci.tool import Tool
from jaild.adapters.runtime import accounts, first_process, inside, orphans, refusals, treepaths, treeroot
from jaild.adapters.runtime.records import write_secret
from jaild.model.errors import InternalError, JaildError
from jaild.model.jails.spec import HttpCheck, TcpCheck
from jaild.model.layers.records import Family
from jaild.model.problems import Problem
from jaild.ports.process import Processes, TerminalSize
from jaild.ports.runtime import Demands, HostFacts, Input, Output, Run, RunSpec, Traffic, Usage

_KILL_PATIENCE = 30.0  # seconds that SIGKILL may take: a process in the kernel's uninterruptible sleep delays it
_SETUP_PATIENCE = 5.0  # seconds between `runc start` and the command's begin or failure


class OciRuntime:
    """Implements `jaild.ports.runtime.Runtime`.

    Everything is in `run_folder`, which is this daemon's alone; the cgroups are `/<cgroup_parent>/<jail>.<generation>`.
    A run's exit status is known if this process saw its end; after a restart of the daemon it is None.
    """

    def __init__(
        self,
        processes: Processes,
        run_folder: Path,
        *,
        network: HostNetwork,
        cgroup_parent: str,
        sysctls: Path = Path("/proc/sys"),
    ) -> None:
        self._processes = processes
        self._given_folder = run_folder
        self._network = network
        self._cgroup_parent = cgroup_parent
        self._sysctls = sysctls

    async def facts(self) -> HostFacts:
        """Return what the host offers."""
        host = os.uname()
        return HostFacts(
            runtime=" ".join(await self._tool.version()),
            family=Family.LINUX,
            kernel=host.release,
            osreldate=0,
            machine={"x86_64": "amd64", "aarch64": "arm64"}.get(host.machine, host.machine),
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            cpus=os.cpu_count() or 1,
        )

    async def free_memory(self) -> int | None:
        """Return what the kernel takes to be available."""
        return meminfo.available(await asyncio.to_thread(meminfo.FILE.read_text))

    async def prepare_host(self) -> None:
        """Make the run folder and the bridge, and ask whether there is a runtime at all."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        orphans.adopt()
        first_process.make_room()
        await self._tool.version()
        await self._links.prepare()

    async def withdraw_host(self) -> list[str]:
        """Take away the bridge and the parent of the control groups."""
        groups = await asyncio.to_thread(oci_cgroup.remove, mounts.control_groups(), self._cgroup_parent)
        return [*await self._links.withdraw(), *groups]

    async def examine(self, demands: Demands, resource: str) -> tuple[Problem, ...]:
        """Return what of `demands` this host cannot carry out."""
        return refusals.as_problems(await self._problems(demands, resource))

    async def _problems(self, demands: Demands, resource: str) -> list[JaildError]:
        return [
            *self._links.problems(demands, resource),
            *await self._ports.problems(demands, resource),
            *oci_cgroup.problems(demands.limits, self._controllers, oci_cgroup.online(), resource),
            *oci_bundle.problems(demands, resource),
        ]

    async def create(self, run: RunSpec) -> None:
        """Mount the tree and make the container, its command not yet begun."""
        tree = self._tree(run.jail, run.generation)
        if self._records.bundle(run.name).exists() or mounts.below(tree, mounts.mounted(tree)):
            raise refusals.exists(run.name)
        first_process.stop_signal(run.stop_signal)
        refusals.require_none(await self._problems(run, run.name))
        refusals.require_none(await self._links.taken(run, self._records.held(run.jail)))
        record = self._records.write(Record(spec=run))
        try:
            await mounts.mount_tree(tree, run.mounts)
            self._write_config(run, tree)
            await self._links.create(run)
            await self._make_container(record)
        except BaseException:
            await self._take_away(run.jail, run.generation, record)
            raise

    async def start(self, jail: str, generation: int) -> Run:
        """Attach the network and let the command begin."""
        record = self._known(jail, generation)
        tree = self._tree(jail, generation)
        await self._clear_the_way(jail)
        there = mounts.mounted(tree)  # now that nothing of the jail runs
        if record.process is None or not there:
            raise refusals.interrupted(record.spec.name)
        mounts.require_whole(tree, record.spec.mounts, there)
        refusals.require_none(await self._links.taken(record.spec))
        if record.started or not first_process.alive(record.process):
            await self._delete_container(record.spec.name, record)
            record = await self._make_container(record)
        record = self._write(record, started=time.time(), ended=False, exit_status=None, attached=True)
        try:
            await self._links.attach(record.spec, record.run.pid)
            await self._ports.load(record.spec)
            await self._tool.start(record.spec.name)
            await self._came_up(record)
        except BaseException:
            await self._delete_container(record.spec.name, record)
            await self._detach(self._write(record, ended=True))
            raise
        return record.run

    async def stop(self, jail: str, generation: int) -> float:
        """End it by its signal, or by SIGKILL, and detach its network."""
        begun = time.monotonic()
        record = self._current(f"{jail}.{generation}")
        if record is None:
            return 0.0
        if record.running and record.process is not None:
            await self._end(record.process, record.spec)
            record = self._settled(record)
        await self._detach(record)
        return time.monotonic() - begun

    async def remove(self, jail: str, generation: int) -> None:
        """Take away what there is of a run that does not run."""
        record = self._current(f"{jail}.{generation}")
        if record is not None and record.running:
            raise refusals.running(record.spec.name)
        await self._take_away(jail, generation, record)

    async def runs(self) -> list[Run]:
        """Return every run that has a record, a container, a mounted tree or a network namespace."""
        found = await asyncio.to_thread(self._look, await self._tool.names())
        runs = []
        for name, (jail, generation), seen, is_so in found:
            record = seen if seen is None or is_so else self._current(name)  # here, where records are written
            left = Run(jail=jail, generation=generation, uid="", running=False, pid=0, started=0.0)
            runs.append(left if record is None else record.run)
        return runs

    def _look(self, containers: Collection[str]) -> list[tuple[str, tuple[str, int], Record | None, bool]]:
        """Return what there is of each run: its name, its parts, its record, whether that is so still. Blocks."""
        trees = (target.relative_to(self._trees).parts for target in mounts.below(self._trees, mounts.mounted()))
        names = {*self._records.names(), *containers, *self._links.names(), *(".".join(parts[:2]) for parts in trees)}
        read = ((name, which, self._records.read(name)) for name in sorted(names) if (which := split(name)) is not None)
        return [(*each, each[2] is not None and _is_so(each[2])) for each in read]

    async def find(self, jail: str, generation: int) -> Run | None:
        """Return one run; None if there is no record of it."""
        record = self._current(f"{jail}.{generation}")
        return record.run if record is not None else None

    async def wait(self, jail: str, generation: int) -> Run:
        """Wait until a started run has ended."""
        record = self._known(jail, generation)
        if not record.started or record.process is None:
            raise refusals.not_running(record.spec.name)
        if record.running:
            await first_process.ended(record.process)
        now = self._current(record.spec.name)
        if now is not None and now.process == record.process:
            return now.run
        return msgspec.structs.replace(record, ended=True).run  # started again, or removed, before we were told

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
        run = self._started(jail, generation).spec
        account = self._account(run.user if user is None else user, self._tree(jail, generation))
        process = oci_bundle.process(run, account, command, environment)
        bundle = self._records.bundle(run.name)
        stream = oci_exec.stream(self._processes, self._tool, run.name, bundle, process, inputs, terminal)
        async with contextlib.aclosing(stream):  # `async for` alone would leave the closing to the garbage collector
            async for output in stream:
                yield output

    async def probe(self, jail: str, generation: int, check: HttpCheck | TcpCheck, address: str) -> str:
        """Make a health check from a process in the run's network namespace."""
        enter = within(self._started(jail, generation).run.pid)
        return await inside.made(self._processes, check, address, enter=enter)

    async def usage(self, jail: str, generation: int) -> Usage:
        """Return what it uses; 0 where the host has no cgroup controller that counts it."""
        run = self._started(jail, generation).spec
        return oci_cgroup.usage(self._controllers, self._cgroup(run))

    async def traffic(self, runs: Collection[Run]) -> Mapping[str, Traffic]:
        """Return what went over the networks of runs that have their own."""
        return self._links.traffic(runs)

    async def announce(self, jail: str, generation: int) -> None:
        """Send a gratuitous ARP request or an unsolicited neighbour advertisement for each address."""
        await self._links.announce(self._started(jail, generation).spec)

    @cached_property
    def _folder(self) -> Path:
        return self._given_folder.resolve()  # as mountinfo names it

    @cached_property
    def _trees(self) -> Path:
        return self._folder / "trees"

    @cached_property
    def _records(self) -> Records:
        return Records(self._folder / "runs")

    @cached_property
    def _tool(self) -> Tool:
        return Tool(self._processes, self._folder / "containers")

    @cached_property
    def _links(self) -> Links:
        return Links(self._processes, self._folder, self._network)

    @cached_property
    def _ports(self) -> Redirects:
        return Redirects(self._processes, self._folder, self._sysctls)

    @cached_property
    def _controllers(self) -> Mapping[str, Path]:
        return oci_cgroup.controllers(mounts.control_groups())  # the boot mounts them, and they stay

    def _tree(self, jail: str, generation: int) -> Path:
        return self._trees / jail / str(generation)

    def _cgroup(self, run: RunSpec) -> str:
        return f"/{self._cgroup_parent.strip('/')}/{run.name}"

    @staticmethod
    def _account(user: str, tree: Path) -> accounts.Account:
        return accounts.resolve(user, treepaths.text(tree, "/etc/passwd"), treepaths.text(tree, "/etc/group"))

    def _current(self, name: str) -> Record | None:
        """Return the record as the system bears it out now."""
        record = self._records.read(name)
        return record if record is None else self._settled(record)

    def _settled(self, record: Record) -> Record:
        """Note that a run has ended, if it has, with its status while that can still be had."""
        if _is_so(record) or record.process is None:
            return record
        killed = oci_cgroup.killed(self._controllers, self._cgroup(record.spec))
        status = first_process.reap(record.process)
        return self._write(record, ended=True, exit_status=status, out_of_memory=killed > 0)

    def _write(self, record: Record, **changes: object) -> Record:
        return self._records.write(msgspec.structs.replace(record, **changes))

    def _known(self, jail: str, generation: int) -> Record:
        name = f"{jail}.{generation}"
        record = self._current(name)
        if record is None:
            raise refusals.missing(name)
        return record

    def _started(self, jail: str, generation: int) -> Record:
        record = self._known(jail, generation)
        if not record.running:
            raise refusals.not_running(record.spec.name)
        return record

    def _write_config(self, run: RunSpec, tree: Path) -> None:
        config = oci_bundle.config(
            run,
            root=tree,
            account=self._account(run.user, tree),
            cgroup=self._cgroup(run),
            namespace=self._links.namespace(run),
            hidden=frozenset({"cgroup"} if Path("/proc/self/ns/cgroup").exists() else ()),
        )
        if run_folder.is_there(tree):
            config["mounts"] += run_folder.mounts(run.mounts)
        write_secret(self._records.bundle(run.name) / "config.json", msgspec.json.encode(config))

    async def _make_container(self, record: Record) -> Record:
        run = record.spec
        orphans.adopt()
        run.log.parent.mkdir(parents=True, exist_ok=True)
        pid = await self._tool.create(run.name, self._records.bundle(run.name), run.log)
        process = first_process.identify(pid)
        if process is None:
            raise InternalError(
                "COMMAND_FAILED", f"the first process of {run.name} was gone at once", resource=run.name
            )
        tree = self._tree(run.jail, run.generation)
        if run_folder.is_there(tree):
            run_folder.fill(Path(f"/proc/{pid}/root"), tree, run.mounts)
        return self._write(record, process=process, started=0.0, ended=False, exit_status=None, out_of_memory=False)

    async def _delete_container(self, name: str, record: Record | None) -> None:
        if record is not None and record.process is not None:
            # Not left to the tool, which looks only every 100 ms whether it is gone.
            first_process.send(record.process, signal.SIGKILL)
            await _ended_within(record.process, _KILL_PATIENCE)
            first_process.reap(record.process)
        await self._tool.delete(name)

    async def _clear_the_way(self, jail: str) -> None:
        """Detach what ended generations of the jail left attached; refuse if one is running."""
        for name in self._records.names(jail):
            if (other := self._current(name)) is not None:
                if other.running:
                    raise refusals.running(other.spec.name)
                await self._detach(other)

    async def _came_up(self, record: Record) -> None:
        """Raise if the command could not begin: the runtime's setup is then all that the process ever was."""
        process, run = record.process, record.spec
        deadline = time.monotonic() + _SETUP_PATIENCE
        # That a program was executed is told by no event, that it failed is.
        while process is not None and first_process.is_setup(process):
            ended = await _ended_within(process, 0.005)
            # Asked again: it may have begun and ended in between. An ended one keeps its name until it is reaped.
            if (ended and first_process.is_setup(process)) or time.monotonic() > deadline:
                raise InternalError(
                    "COMMAND_FAILED",
                    f"the command of {run.name} could not be executed: {' '.join(run.command)}",
                    hint=f"see the end of {run.log}; is it a program for this machine, its interpreter in the jail?",
                    resource=run.name,
                )

    async def _end(self, process: first_process.FirstProcess, run: RunSpec) -> None:
        number = first_process.stop_signal(run.stop_signal)
        if first_process.heeds(process, number):
            first_process.send(process, number)
            if await _ended_within(process, run.stop_timeout):
                return
        first_process.send(process, signal.SIGKILL)
        if not await _ended_within(process, _KILL_PATIENCE):
            raise InternalError(
                "RUN_UNKILLABLE",
                f"process {process.pid} of {run.name} did not end {_KILL_PATIENCE:g} s after SIGKILL",
                hint="it waits in the kernel, for a disk most likely: see /proc/PID/stack",
                resource=run.name,
                detail={"pid": str(process.pid)},
            )

    async def _detach(self, record: Record) -> None:
        if record.attached:
            await self._links.detach(record.spec)
            await self._ports.clear(record.spec)
            # Read again: that it ended may have been noted meanwhile.
            self._write(self._records.read(record.spec.name) or record, attached=False)

    async def _take_away(self, jail: str, generation: int, record: Record | None) -> None:
        name = f"{jail}.{generation}"
        await self._delete_container(name, record)
        if record is not None:
            await self._detach(record)
        await self._links.delete(jail, generation, record.spec.uid if record else "")
        tree = self._tree(jail, generation)
        await mounts.unmount_tree(tree)
        treeroot.remove(tree)
        self._records.forget(name)


def _is_so(record: Record) -> bool:
    return not record.running or record.process is None or first_process.alive(record.process)


async def _ended_within(process: first_process.FirstProcess, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await first_process.ended(process)
    except TimeoutError:
        return False
    return True
