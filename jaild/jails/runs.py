"""Running generations: what a run is made of, its start and its end, finding it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from jaild.engine.events import Events
from jaild.engine.inventory import Inventory, JailEntry
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.model import layout
from jaild.model.errors import JaildError
from jaild.model.jails import mounts as layering
from jaild.model.jails.authority import Intent
from jaild.model.jails.mounts import Layers
from jaild.model.jails.restarts import told_end
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, Family, Generation
from jaild.ports.clock import Clock
from jaild.ports.runtime import Run, RunSpec, Runtime

_PAUSE = BackOff(first=1.0, longest=60.0)


class Runs:
    """The runs of this host's jails."""

    def __init__(
        self, inventory: Inventory, runtime: Runtime, supervisor: Supervisor, events: Events, clock: Clock, logs: Path
    ) -> None:
        self._inventory = inventory
        self._runtime = runtime
        self._supervisor = supervisor
        self._events = events
        self._clock = clock
        self._logs = logs
        self._log_starts: dict[str, int] = {}
        self._begin_checks: Callable[[], None] = lambda: None
        self._open: Callable[[JailEntry, JailSpec], Awaitable[None]] = _as_it_is
        self._see_to: Callable[[JailEntry, Run], Awaitable[None]] = _nobody
        self._log = structlog.get_logger("jaild.runs")

    def checked_by(self, begin: Callable[[], None]) -> None:
        """Take what begins the liveness checks of all jails: called when there is one that has some, again and again.

        Where no jail has any, nobody looks each second whether one runs.
        """
        self._begin_checks = begin

    def restarted_by(self, see_to: Callable[[JailEntry, Run], Awaitable[None]]) -> None:
        """Take what is to be done when a first process has ended by itself, and that was told."""
        self._see_to = see_to

    def opened_by(self, open_: Callable[[JailEntry, JailSpec], Awaitable[None]]) -> None:
        """Take what makes a jail's data ready to be read before a run of it is made."""
        self._open = open_

    def log_path(self, jail: str) -> Path:
        """Where a jail's output is appended."""
        return self._logs / f"{jail}.log"

    def log_start(self, jail: str) -> int:
        """Return where in the log the output of the run that was started last begins."""
        return self._log_starts.get(jail, 0)

    def spec_of(self, entry: JailEntry, generation: Generation) -> RunSpec:
        """Return all that the runtime needs to run a generation."""
        if entry.record is None:
            raise TypeError(entry.name)
        spec = generation.spec
        stack = self._inventory.stack(generation.base, generation.release)
        base, record, manifest = str(stack.base.tree), stack.base.record, stack.manifest
        release = str(stack.release.tree) if stack.release is not None else ""
        packages = {Family.LINUX: base, Family.FREEBSD: release}[record.family]
        has_packages = bool(packages) and Path(packages + layering.package_database(record.family)).is_dir()
        mounts = layering.tree_of(
            Layers(
                family=record.family,
                base=base,
                generation=str(layout.generation_folder(entry.folder, generation.number)),
                data=str(entry.folder / layout.DATA),
                release=release,
                mount_point=manifest.mount_point,
                packages=packages if has_packages else "",
                volumes={volume.path: str(entry.folder / name) for name, volume in spec.volumes.items()},
            )
        )
        return RunSpec(
            jail=entry.name,
            generation=generation.number,
            uid=entry.record.uid,
            mounts=mounts,
            command=spec.command or manifest.command,
            environment=manifest.environment | spec.environment,
            user=spec.user or manifest.user or "root",
            hostname=spec.hostname or entry.name,
            network=spec.network,
            limits=spec.limits,
            allow=spec.allow,
            devfs_ruleset=spec.devfs_ruleset,
            osrelease=record.version if record.family is Family.FREEBSD else "",
            osreldate=record.osreldate,
            linker_hints=bool(release) and record.family is Family.FREEBSD and _has_hints(entry, generation, base),
            log=self.log_path(entry.name),
            stop_signal=spec.stop.signal,
            stop_timeout=spec.stop.timeout,
        )

    async def create(self, entry: JailEntry, generation: Generation) -> None:
        """Mount a generation's tree and make its run ready, beside whatever serves."""
        if generation.spec.liveness is not None:
            self._begin_checks()
        began = self._clock.monotonic()
        await self._open(entry, generation.spec)
        await self._runtime.create(self.spec_of(entry, generation))
        entry.took = msgspec.structs.replace(entry.took, mounts=self._clock.monotonic() - began)

    async def start(self, entry: JailEntry, generation: int) -> float:
        """Start a created run and watch it; return the (monotonic) time at which it had started."""
        self._inventory.permitted(entry.name, Intent.START)  # whatever led here: there is no other way to start a jail
        self._log_starts[entry.name] = _size(self.log_path(entry.name))
        began = self._clock.monotonic()
        try:
            run = await self._runtime.start(entry.name, generation)
        except JaildError:
            await self._leave_none(entry.name, generation)
            raise
        started = self._clock.monotonic()
        entry.took = msgspec.structs.replace(entry.took, start=started - began)
        await self._announce(entry.name, generation)
        entry.message = ""
        entry.restarts = None  # who starts it begins anew
        self.adopt(entry, run)
        return started

    async def _leave_none(self, jail: str, generation: int) -> None:
        """Stop what runs although its start failed: its checks and hooks were not run, and nobody knows of it."""
        try:
            await self._runtime.stop(jail, generation)
        except JaildError as error:  # the start's own error is what is told; the next start stops it first
            self._log.warning("cannot stop what failed to start", jail=jail, reason=error.reason, message=error.message)

    async def _announce(self, jail: str, generation: int) -> None:
        try:
            await self._runtime.announce(jail, generation)
        except JaildError as error:  # neighbours find it by themselves, later: no reason to take a jail down
            self._log.warning("cannot announce", jail=jail, reason=error.reason, message=error.message)

    def adopt(self, entry: JailEntry, run: Run | None) -> None:
        """Take a run into the inventory as it was just found, and watch it if it runs."""
        entry.run, entry.health = run, None
        self.forget(entry.name)
        if run is not None and run.running:
            if entry.generation is not None and entry.generation.spec.liveness is not None:
                self._begin_checks()
            self._supervisor.retry(
                _watcher(entry.name),
                lambda: self._watch(entry, run.generation),
                pause=_PAUSE,
                target=f"jails/{entry.name}",
                lasting=True,
            )

    async def find(self, jail: str, generation: int) -> Run | None:
        """Return what the runtime knows of a run."""
        return await self._runtime.find(jail, generation)

    async def stop(self, entry: JailEntry, generation: int) -> None:
        """Stop a run; its end is not taken for a failure."""
        self.forget(entry.name)
        runs, began = entry.run is not None and entry.run.running, self._clock.monotonic()
        await self._runtime.stop(entry.name, generation)
        if runs:  # to stop one that has ended takes no time
            entry.took = msgspec.structs.replace(entry.took, stop=self._clock.monotonic() - began)
        entry.run = entry.restarts = None

    async def remove(self, entry: JailEntry, generation: int) -> None:
        """Take a stopped run away, mounts and all."""
        await self._runtime.remove(entry.name, generation)

    async def end_all(self, entry: JailEntry) -> list[int]:
        """Stop and take away every run of a jail; return of which generations there were some."""
        found = [run for run in await self._runtime.runs() if run.jail == entry.name]
        for run in found:
            if run.running:
                await self.stop(entry, run.generation)
            await self.remove(entry, run.generation)
        return [run.generation for run in found]

    def forget(self, jail: str) -> None:
        """Stop watching a jail."""
        self._supervisor.drop(_watcher(jail))

    async def _watch(self, entry: JailEntry, generation: int) -> None:
        try:
            ended = await self._runtime.wait(entry.name, generation)
        except JaildError as error:
            entry.message = f"its end cannot be watched: {error.message}"
            raise
        if entry.run is None or entry.run.generation != generation:
            return
        entry.run = ended
        how = told_end(ended.exit_status, out_of_memory=ended.out_of_memory)
        entry.message = f"its first process ended by itself with {how}; see its log: jailctl jail logs {entry.name}"
        detail = {} if ended.exit_status is None else {"status": str(ended.exit_status)}
        await self._events.emit(
            "jail.exited", f"jails/{entry.name}", entry.message, generation=str(generation), **detail
        )
        await self._see_to(entry, ended)

    async def boot(self, entry: JailEntry) -> None:
        """Bring a jail to what its record says: the boot rule, for this host's start and for repairs."""
        record = entry.record
        if record is None or entry.generation is None or record.desired is not Desired.RUNNING:
            return
        if not self._inventory.may(entry, Intent.START) or (entry.run is not None and entry.run.running):
            return
        await self.ensure(entry, entry.generation)

    async def ensure(self, entry: JailEntry, generation: Generation) -> float:
        """Start a generation from whatever is left of it: nothing, a leftover of a crash, or a stopped run.

        Returns the (monotonic) time at which it had started.
        """
        await self._runtime.stop(entry.name, generation.number)  # it may run although its start seemed to fail
        await self._runtime.remove(entry.name, generation.number)
        await self.create(entry, generation)
        return await self.start(entry, generation.number)


async def _nobody(_entry: JailEntry, _run: Run) -> None:
    """Leave it as it is."""


async def _as_it_is(_entry: JailEntry, _spec: JailSpec) -> None:
    """Find it ready."""


def _has_hints(entry: JailEntry, generation: Generation, base: str) -> bool:
    script = layout.generation_folder(entry.folder, generation.number) / layout.ETC / "rc.d/ldconfig"
    return script.is_file() and Path(f"{base}/sbin/ldconfig").is_file()


def _watcher(jail: str) -> str:
    return f"watch {jail}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
