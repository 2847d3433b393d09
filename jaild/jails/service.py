"""The jails of this host, and templates of them: what callers may ask. Every mutation goes through the jail's queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.changes import Changes
from jaild.jails.datasets import Seed
from jaild.jails.lifecycle import Lifecycle
from jaild.jails.logs import Logs
from jaild.jails.runs import Runs
from jaild.jails.templates import Templates
from jaild.model import access, names
from jaild.model.errors import AbortedError, FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import (
    Axis,
    Change,
    Configure,
    Create,
    Deploy,
    Draft,
    Rollback,
    Upgrade,
    require_confirm_within,
    to_be_confirmed,
)
from jaild.model.jails.logtimes import LogPiece, LogQuery
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation, JailRecord
from jaild.model.operation import Operation
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.views import BackupStatus, Caller, JailView, SnapshotStatus, StandbyView
from jaild.ports.process import TerminalSize
from jaild.ports.runtime import Input, Output

Generations = list[Generation]  # `list` is a method's name below


class Replicas(Protocol):
    """What other hosts keep of jails."""

    def views(self, entry: JailEntry) -> tuple[StandbyView, ...]:
        """Return how a jail's replicas are."""

    async def forget(self, name: str, record: JailRecord) -> None:
        """Withdraw the replicas of a jail that its owner has deleted."""


class NoReplicas:
    """Implements `Replicas` where none are kept."""

    def views(self, entry: JailEntry) -> tuple[StandbyView, ...]:  # noqa: ARG002 -- the protocol's
        """Return none."""
        return ()

    async def forget(self, name: str, record: JailRecord) -> None:
        """Do nothing."""


class Kept(Protocol):
    """What is kept of jails' data, beside the data."""

    def view(self, entry: JailEntry) -> SnapshotStatus | None:
        """Return how far a jail's schedule of snapshots is; None for none."""

    def backups(self, entry: JailEntry) -> tuple[BackupStatus, ...]:
        """Return how far its backups are, by target."""


class Jails:
    """The use cases of product teams and the source team."""

    def __init__(
        self,
        engine: Engine,
        changes: Changes,
        lifecycle: Lifecycle,
        runs: Runs,
        logs: Logs,
        templates: Templates,
    ) -> None:
        self._inventory = engine.inventory
        self._changes = changes
        self._lifecycle = lifecycle
        self._runs = runs
        self._runtime = engine.ports.runtime
        self._logs = logs
        self._templates = templates
        self._replicas: Replicas = NoReplicas()
        self._kept: Kept | None = None
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._draining = engine.draining

    def replicated_by(self, replicas: Replicas) -> None:
        """Take what keeps the jails' replicas."""
        self._replicas = replicas

    def kept_by(self, kept: Kept) -> None:
        """Take what keeps snapshots of the jails."""
        self._kept = kept

    def get(self, name: str) -> JailView:
        """Return one. `NotFoundError` (JAIL_NOT_FOUND)."""
        pending = self._dispatcher.pending(f"jails/{name}")
        view = self._inventory.jail_view(name, pending[0] if pending else None)
        entry = self._inventory.jail(name)
        standbys, snapshots = self._replicas.views(entry), self._kept.view(entry) if self._kept is not None else None
        backups = self._kept.backups(entry) if self._kept is not None else ()
        if not standbys and snapshots is None and not backups:
            return view
        return msgspec.structs.replace(view, standbys=standbys, snapshots=snapshots, backups=backups)

    def names(self) -> list[str]:
        """Return the names of all, in order."""
        return sorted(self._inventory.jails)

    def list(self, names: Sequence[str] | None = None) -> list[JailView]:
        """Return all, by name; or those of `names` that are (still) there."""
        return [self.get(name) for name in (self.names() if names is None else names) if name in self._inventory.jails]

    async def create(
        self, name: str, spec: JailSpec, *, stopped: bool, validate_only: bool, caller: Caller
    ) -> Operation:
        """Create a jail and start it unless `stopped`."""
        return await self.make(name, Create(spec, stopped), validate_only=validate_only, caller=caller)

    async def make(
        self, name: str, creation: Create, *, seed: Seed | None = None, validate_only: bool, caller: Caller
    ) -> Operation:
        """Create a jail; a copy of another one with the data that `seed` brings."""
        names.jail(name)
        duplicate = await self._operations.duplicate(caller, creation.kind, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        self._draining.require_open(f"jails/{name}")
        plan = (await self._changes.plan(name, creation, caller)).plan
        if validate_only:
            return await self._dispatcher.planned(plan, caller)
        plan.require_clean()

        async def work(handle: Handle) -> str:
            await self._changes.carry_out(handle, name, creation, caller, seed=seed)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", creation.kind, caller, work, plan=plan)

    async def delete(self, name: str, *, force: bool, etag: str, validate_only: bool, caller: Caller) -> Operation:
        """Delete a jail with its data; refused while it runs unless `force`."""
        duplicate = await self._operations.duplicate(caller, "delete", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        self._require_etag(name, etag)
        self._lifecycle.require_deletable(name, force=force)
        target = f"jails/{name}"
        if validate_only:
            steps = ("stop it",) if self.get(name).started else ()
            steps = (*steps, self._lifecycle.destruction(name))
            problems = (*self._loss(name), *await self._lifecycle.deletion(name))
            plan = Plan(kind="delete", target=target, steps=steps, problems=problems)
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            self._require_etag(name, etag)
            entry, record = self._inventory.permitted(name, Intent.DELETE)
            owned = self._inventory.may(entry, Intent.REPLICATE)  # else what others have of it is not of this copy
            await self._lifecycle.delete(handle, name, force=force)
            if owned:
                await self._replicas.forget(name, record)
            return ""

        return await self._dispatcher.submit(target, "delete", caller, work)

    def _loss(self, name: str) -> tuple[Problem, ...]:
        """Return what a plan says of a jail whose data no other host is known to have."""
        entry = self._inventory.jail(name)
        if not self._inventory.may(entry, Intent.REPLICATE) or any(view.taken for view in self._replicas.views(entry)):
            return ()
        return (
            Problem(
                severity=Severity.WARNING,
                code="ONLY_COPY",
                message="no standby has its data: what is deleted here is gone",
                subject=f"jails/{name}",
                hint="if it may still be wanted, stop it instead, or give it a standby first",
            ),
        )

    async def start(self, name: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Start the active generation; no error if it runs."""
        plan = self._lifecycle.start_plan(name) if validate_only else None
        return await self._simple(name, "start", self._lifecycle.start, plan, caller)

    async def stop(self, name: str, *, validate_only: bool = False, caller: Caller, force: bool = False) -> Operation:
        """Stop it, also for the next boot; no error if it is stopped. `force`: its hooks are not waited for."""
        plan = self._lifecycle.stop_plan(name, force=force) if validate_only else None
        stop = partial(self._lifecycle.stop, force=True) if force else self._lifecycle.stop
        asked = await self._simple(name, "stop", stop, plan, caller)
        if force and plan is None:
            self._lifecycle.hurry(name)  # those of what is under way before it
        return asked

    async def restart(self, name: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Stop and start the active generation."""
        plan = self._lifecycle.restart_plan(name) if validate_only else None
        return await self._simple(name, "restart", self._lifecycle.restart, plan, caller)

    async def _simple(
        self, name: str, kind: str, act: Callable[[Handle, str], Awaitable[None]], plan: Plan | None, caller: Caller
    ) -> Operation:
        """Let `act` be done in the jail's queue; or answer with `plan`, where only that was asked for."""
        duplicate = await self._operations.duplicate(caller, kind, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        # Before it is queued, too: what waits there is not without effect, health checks give way to a stop.
        access.require_own(caller, name, self._inventory.jail(name).generation)
        if plan is not None:
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            access.require_own(caller, name, self._inventory.jail(name).generation)  # as it is by now
            await act(handle, name)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", kind, caller, work)

    async def deploy(
        self,
        name: str,
        release: str,
        *,
        etag: str,
        validate_only: bool,
        caller: Caller,
        confirm_within: float = 0.0,
        stage: bool = False,
        force: bool = False,
    ) -> Operation:
        """Move the jail to another release. `confirm_within`: seconds; it is undone then unless confirmed; 0: not.

        `stage`: only make its generation, and keep that to be cut over to later. `force`: also if nothing changes.
        """
        return await self.change(
            name,
            Deploy(release, force),
            etag,
            validate_only=validate_only,
            caller=caller,
            confirm_within=confirm_within,
            stage=stage,
        )

    async def upgrade(
        self,
        name: str,
        base: str,
        channel: str = "",
        *,
        etag: str,
        validate_only: bool,
        caller: Caller,
        confirm_within: float = 0.0,
        stage: bool = False,
        force: bool = False,
    ) -> Operation:
        """Move the jail to another base, or to what `channel` names: it then follows that one.

        `confirm_within`, `stage` and `force` as in `deploy`.
        """
        return await self.change(
            name,
            Upgrade(base, channel, force),
            etag,
            validate_only=validate_only,
            caller=caller,
            confirm_within=confirm_within,
            stage=stage,
        )

    async def configure(
        self,
        name: str,
        spec: JailSpec,
        *,
        etag: str,
        validate_only: bool,
        caller: Caller,
        confirm_within: float = 0.0,
        stage: bool = False,
        force: bool = False,
    ) -> Operation:
        """Change the rest of the spec. `confirm_within`, `stage` and `force` as in `deploy`."""
        return await self.change(
            name,
            Configure(spec, force),
            etag,
            validate_only=validate_only,
            caller=caller,
            confirm_within=confirm_within,
            stage=stage,
        )

    async def rollback(
        self,
        name: str,
        *,
        generation: int,
        axis: str,
        etag: str,
        validate_only: bool,
        caller: Caller,
        stage: bool = False,
    ) -> Operation:
        """Go back to an older generation, whole or on one axis. `stage`: as in `deploy`; one like it is made then."""
        entry = self._inventory.jail(name)
        change = Rollback(generation, Axis(axis), anew=stage)
        current, number = entry.generation, generation or await self._last(entry)
        if number and (generation or change.axis is Axis.ALL):
            target = await self._inventory.generation(entry, number)
            if current is not None and change.axis is Axis.ALL:  # to refuse at once what is refused in its queue, too
                draft = Draft(change.kind, target.spec, target.base, cut_to=number)
                access.require_outcome(caller, name, current, draft)
        return await self.change(name, change, etag, validate_only=validate_only, caller=caller, stage=stage)

    async def _last(self, entry: JailEntry) -> int:
        numbers = await self._inventory.committed(entry)
        return max((n for n in numbers if entry.generation is not None and n < entry.generation.number), default=0)

    async def plan(self, name: str, change: Change, *, caller: Caller) -> Plan:
        """Return what a change would come to now. Raises what the request is refused with, whatever its plan says."""
        return (await self._changes.plan(name, change, caller)).plan

    async def change(
        self,
        name: str,
        change: Change,
        etag: str = "",
        *,
        validate_only: bool = False,
        caller: Caller,
        confirm_within: float = 0.0,
        stage: bool = False,
    ) -> Operation:
        """Carry out any change; `stage`, which is for those that make a generation: as in `deploy`."""
        if confirm_within:
            require_confirm_within(confirm_within)
        kind = "stage" if stage else change.kind
        duplicate = await self._operations.duplicate(caller, kind, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        self._require_etag(name, etag)
        if validate_only:
            plan = (await self._changes.plan(name, change, caller, stage=stage)).plan
            plan = to_be_confirmed(plan, confirm_within) if confirm_within else plan
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            self._require_etag(name, etag)
            await self._changes.carry_out(handle, name, change, caller, confirm_within=confirm_within, stage=stage)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", kind, caller, work)

    def _require_etag(self, name: str, etag: str) -> None:
        current = self._inventory.etag(name)
        if etag and etag != current:
            raise AbortedError(
                "ETAG_MISMATCH",
                f"jail {name} was changed since you read it",
                hint="read it again, look whether your change still makes sense, and ask with the new etag",
                resource=f"jails/{name}",
                detail={"expected": etag, "current": current},
            )

    async def generations(self, name: str) -> Generations:
        """Return a jail's generations, newest first. JAIL_MOVED and the like: ask its owner."""
        entry = self._look_into(name)
        return list((await self._inventory.generations(entry)).values())[::-1]

    async def render_template(self, name: str, values: Mapping[str, str]) -> str:
        """Return a template's YAML with its variables filled in."""
        return await self._templates.render(name, values)

    def exec(
        self,
        name: str,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        user: str | None,
        inputs: AsyncIterator[Input],
        terminal: TerminalSize | None,
    ) -> AsyncIterator[Output]:
        """Run a command in the running jail; `FailedPreconditionError` (JAIL_NOT_RUNNING)."""
        entry, _ = self._inventory.permitted(name, Intent.READ)
        if entry.run is None or not entry.run.running or entry.generation is None:
            self._inventory.permitted(name, Intent.START)  # or that is why it does not run
            raise FailedPreconditionError(
                "JAIL_NOT_RUNNING",
                f"jail {name} is not running",
                hint=f"start it: jailctl jail start {name}",
                resource=f"jails/{name}",
            )
        spec = self._runs.spec_of(entry, entry.generation)
        return self._runtime.exec(
            name,
            entry.run.generation,
            command,
            environment={**spec.environment, **environment},
            user=user or spec.user,
            inputs=inputs,
            terminal=terminal,
        )

    def logs(self, name: str, asked: LogQuery, *, here: bool = False) -> AsyncIterator[LogPiece]:
        """Yield what a jail wrote. JAIL_MOVED and the like, unless `here`: what it wrote when it was on this host."""
        if here:
            self._inventory.jail(name)
        else:
            self._look_into(name)
        return self._logs.read(name, asked)

    def _look_into(self, name: str) -> JailEntry:
        """Return a jail whose insides are here, or ought to be: also one whose record cannot be read."""
        entry = self._inventory.jail(name)
        if entry.record is not None:
            self._inventory.permitted(name, Intent.LOOK_INTO)
        return entry
