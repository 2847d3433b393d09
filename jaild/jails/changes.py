"""One shape for all that makes another generation the active one: deploy, upgrade, configure, rollback, and creation.

plan ── problems ──► refused, nothing touched
  │
stage ── error ──► undone, the old generation never stopped
  │
drain: hooks before_stop           ◄── the old one serves; if it goes on after all, its hooks after_start say so
  │
cutover: stop old, start new       ◄── the downtime is this and nothing else
  │ error
check ── unhealthy ──► stop new, start old: rolled back
  │
hooks after_start of the new
  │
commit: one `zfs set`              ◄── a crash before it: the old generation; after it: the new one
  │
settle ── error ──► told, and repaired at the next start

A stopped jail's change is the same without cutover and health check. A creation is the same without an older
generation: its first one is started instead of cut over to, and on the way back nothing of the jail is left. A jail
whose first generation was never committed is what a crash left, and is destroyed at the next start.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.saga import Completion, Phase, Pivot, Saga
from jaild.jails.attempt import Attempt, Wanted
from jaild.jails.configuration import Configuration, Trees
from jaild.jails.datasets import JailDatasets, Seed
from jaild.jails.hooks import Serving
from jaild.jails.planner import Planner, Prepared
from jaild.jails.runs import Runs
from jaild.model import access, maintenance
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import (
    AxisChange,
    Change,
    Create,
    Cutover,
    Draft,
    Revert,
    Rollback,
    require_replaceable,
    to_be_confirmed,
    to_be_staged,
)
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import ConfirmWithin, Desired, Generation, JailRecord, Ownership, Staged
from jaild.model.operation import Stop
from jaild.model.problems import Problem, errors
from jaild.model.views import Caller


class Changes:
    """Plans changes and carries them out. Runs in the jail's queue only."""

    def __init__(
        self,
        engine: Engine,
        planner: Planner,
        datasets: JailDatasets,
        configuration: Configuration,
        runs: Runs,
        serving: Serving,
    ) -> None:
        self._inventory = engine.inventory
        self._planner = planner
        self._datasets = datasets
        self._configuration = configuration
        self._runs = runs
        self._health_checks = serving.health_checks
        self._hooks = serving.hooks
        self._sagas = engine.sagas
        self._events = engine.events
        self._clock = engine.ports.clock
        self._stagings = asyncio.Semaphore(engine.place.stagings_at_once)
        self._log = structlog.get_logger("jaild.changes")
        self._saga = Saga(
            "change",
            before=(
                Phase("plan", self._plan),
                Phase("stage", self._stage, undo=self._unstage, message="writing and mounting the new generation"),
                Phase("drain", self._drain, undo=self._serves_on, message="hooks before_stop", when=Attempt.drains),
                Phase("start", self._start, undo=self._stop, when=Attempt.starts_first),
                Phase(
                    "cutover",
                    self._cut_over,
                    undo=self._cut_back,
                    stop=Stop.NEVER,
                    message="stopping the old generation, starting the new one",
                    when=Attempt.cuts_over,
                ),
                # A caller who sees that it will not get well need not wait for the deadline.
                Phase(
                    "health-check",
                    self._check_health,
                    message="waiting for the health checks",
                    when=Attempt.is_checked,
                ),
                Phase("after-start", self._after_start, message="hooks after_start", when=Attempt.says_it_serves),
            ),
            pivot=Pivot("commit", self._commit, happened=self._is_committed),
            after=(Completion("settle", self._settle),),
        )

    async def plan(
        self, name: str, change: Change | Create, caller: Caller, *, stage: bool = False, wanted: Wanted | None = None
    ) -> Prepared:
        """Plan a change against the jail as it is now; `stage`: up to where its generation is whole.

        `wanted`: what `_draft` has said of it, of which something is to be changed.
        `PermissionDeniedError` if it is not the caller's to make, `AlreadyExistsError` (JAIL_EXISTS) for a creation.
        `FailedPreconditionError` (OTHER_CHANGE_STAGED, STAGED_OUTDATED).
        """
        if isinstance(change, Create):
            self.require_new(name)
            return await self._planner.prepare(name, None, change.draft(), 1, caller)
        if isinstance(change, Revert):
            return await self._planner.prepare_revert(name, self._inventory.owned(name, Intent.SETTLE), change)
        owned, draft = wanted or await self._draft(name, change, caller)
        entry = owned.entry
        if not wanted and isinstance(change, AxisChange) and (met := self._planner.met(name, draft, owned.generation)):
            return Prepared(met, draft, None)
        if stage:
            require_replaceable(name, entry.staged, change.kind)
        if isinstance(change, Cutover):
            prepared = await self._planner.prepare_staged(name, owned, change, draft, caller)
        else:
            number = await self._datasets.next_number(entry)
            prepared = await self._planner.prepare(name, entry, draft, number, caller)
        if stage:
            return replace(prepared, plan=to_be_staged(prepared.plan))
        windows, plan = owned.generation.spec.maintenance, prepared.plan
        if windows and owned.record.desired is Desired.RUNNING:
            outside = maintenance.outside(windows, self._clock.now(), f"jails/{name}")
            return replace(prepared, plan=msgspec.structs.replace(plan, problems=(*plan.problems, *outside)))
        return prepared

    async def _draft(self, name: str, change: AxisChange | Rollback | Cutover, caller: Caller) -> Wanted:
        """Return what is wanted of a jail, if it is the caller's to want."""
        owned = self._inventory.owned(name, Intent.CHANGE)
        older = await self._inventory.generations(owned.entry) if isinstance(change, Rollback | Cutover) else {}
        access.require_change(caller, name, owned.generation, change)
        draft: Draft = change.apply(owned.generation, older)
        access.require_outcome(caller, name, owned.generation, draft)
        return owned, draft

    async def carry_out(
        self,
        handle: Handle,
        name: str,
        change: Change | Create,
        caller: Caller,
        *,
        confirm_within: float = 0.0,
        stage: bool = False,
        seed: Seed | None = None,
    ) -> None:
        """Do it, unless what is wanted is there. Raises with the old generation active, and running if it ran before.

        Of a creation that failed nothing is left.

        `confirm_within`: seconds after which it is undone unless it is confirmed, counted from its commit; 0: for good.
        `stage`: up to where its generation is whole, which is then kept. `seed`: what brings the data of a copy.
        """
        attempt = Attempt(
            handle=handle,
            name=name,
            change=change,
            caller=caller,
            confirm_within=confirm_within,
            only_staged=stage,
            seed=seed,
        )
        if isinstance(change, AxisChange):
            owned, draft = attempt.wanted = await self._draft(name, change, caller)
            if met := self._planner.met(name, draft, owned.generation):
                handle.note(plan=met)
                handle.facts(generation=met.to_generation)
                return
        await self._sagas.carry_out(self._saga, attempt)
        new, target = attempt.new, f"jails/{name}"
        handle.facts(generation=new.number)
        layers = f"{new.base} {new.release}".rstrip()
        if attempt.is_creation:
            await self._events.emit("jail.created", target, layers)
        elif stage:
            message = f"generation {new.number} ({new.reason}): {layers}"
            await self._events.emit("generation.staged", target, message, actor=caller.actor)
        else:
            message = f"generation {attempt.old.number} -> {new.number}: {layers}"
            await self._events.emit("generation.committed", target, message, change=change.kind)

    def conflicts(self, name: str, spec: JailSpec) -> tuple[Problem, ...]:
        """Return what a new jail's spec takes that another jail of this host has already."""
        return self._planner.conflicts(name, spec)

    def require_new(self, name: str) -> None:
        """Raise `AlreadyExistsError` (JAIL_EXISTS) if there is a jail of this name."""
        if name in self._inventory.jails:
            raise AlreadyExistsError(
                "JAIL_EXISTS",
                f"there is a jail {name} on this host already",
                hint="choose another name, or change the one that is there",
                resource=f"jails/{name}",
            )

    # -- plan

    async def _plan(self, attempt: Attempt) -> None:
        prepared = await self.plan(
            attempt.name, attempt.change, attempt.caller, stage=attempt.only_staged, wanted=attempt.wanted
        )
        plan, within = prepared.plan, attempt.confirm_within
        attempt.handle.note(plan=to_be_confirmed(plan, within) if within else plan)
        prepared.plan.require_clean()
        attempt.trees = prepared.trees
        if isinstance(attempt.change, Create):
            attempt.record = self._first_record(attempt.change)
            attempt.entry = JailEntry(
                name=attempt.name,
                dataset=self._inventory.where.jail(attempt.name),
                folder=self._inventory.folder_of_jails / attempt.name,
                record=attempt.record,
            )
            attempt.new = attempt.entry.generation = self._generation(attempt, prepared)
        else:
            owned = self._inventory.owned(attempt.name, attempt.intent)
            attempt.entry, attempt.record, attempt.old = owned.entry, owned.record, owned.generation
            attempt.is_there = bool(prepared.draft.cut_to) or prepared.draft.staged
            attempt.new = (
                await self._inventory.generation(attempt.entry, prepared.plan.to_generation)
                if attempt.is_there
                else self._generation(attempt, prepared)
            )
        attempt.committed = self._committed(attempt)

    @staticmethod
    def _committed(attempt: Attempt) -> JailRecord:
        """Return the record that makes the change."""
        record, number, trees = attempt.record, attempt.new.number, attempt.trees
        if attempt.only_staged:
            if trees is None:
                raise TypeError(attempt.change.kind)  # it makes no generation
            staged = Staged(
                number=number,
                etc_state=trees.etc_state,
                local_etc_state=trees.local_etc_state,
                confirm_within=attempt.confirm_within,
            )
            return msgspec.structs.replace(record, staged=staged)
        staged_still = None if isinstance(attempt.change, Cutover) else record.staged
        return msgspec.structs.replace(record, generation=number, confirm=None, staged=staged_still)

    def _first_record(self, creation: Create) -> JailRecord:
        return JailRecord(
            uid=uuid.uuid4().hex,
            owner=self._inventory.host_id,
            epoch=1,
            state=Ownership.ACTIVE,
            generation=0,
            desired=Desired.STOPPED if creation.stopped else Desired.RUNNING,
            created=self._clock.now(),
            cloned_from=creation.origin.cloned_from if creation.origin is not None else "",
        )

    def _generation(self, attempt: Attempt, prepared: Prepared) -> Generation:
        spec = prepared.draft.spec
        return Generation(
            number=prepared.plan.to_generation,
            spec=spec,
            base=prepared.draft.base,
            release=spec.app or "",
            created=self._clock.now(),
            reason=prepared.draft.kind,
            parent=prepared.plan.from_generation,
            actor=attempt.handle.operation.actor,
            accepted=prepared.plan.accepted,
        )

    # -- stage

    async def _stage(self, attempt: Attempt) -> None:
        async with self._stagings:  # forty at once would slow each other down, and with them those that are down
            await self._make(attempt)

    async def _make(self, attempt: Attempt) -> None:
        self._reserve(attempt)
        entry, new = attempt.entry, attempt.new
        if attempt.is_creation:
            await self._datasets.make(entry, attempt.record, new, attempt.seed)
        if attempt.trees is not None and not attempt.is_there:
            await self._datasets.stage(entry, new)
            await self._configuration.write(attempt.handle.id, entry, new, attempt.trees)
        await self._datasets.fit(entry, new.spec, attempt.stack.manifest, new_quotas=not attempt.only_staged)
        if not attempt.is_creation and not attempt.only_staged:
            await self._datasets.safety_snapshot(entry, new.number, anew=attempt.trees is not None)
        if not attempt.is_creation:
            await self._runs.remove(entry, new.number)  # what a crash may have left of an earlier try
        await self._runs.create(entry, new)
        if not attempt.starts():
            await self._runs.remove(entry, new.number)  # it was mounted to see that it can be
        if (staged := attempt.committed.staged) is not None and attempt.only_staged:
            whole = msgspec.structs.replace(staged, state=await self._datasets.state_of(entry, new.number))
            attempt.committed = msgspec.structs.replace(attempt.committed, staged=whole)

    def _reserve(self, attempt: Attempt) -> None:
        """Take the name, the addresses and the layers. Nothing is awaited between the look and the entry."""
        attempt.stack = self._planner.require_still_free(attempt.name, attempt.new)
        if attempt.is_creation:
            self.require_new(attempt.name)
            self._inventory.jails[attempt.name] = attempt.entry
        attempt.entry.references[attempt.new.number] = (attempt.new.base, attempt.new.release)

    async def _unstage(self, attempt: Attempt) -> None:
        entry, number = attempt.entry, attempt.new.number
        if attempt.is_creation:
            await self._undo_creation(entry)
            return
        await self._runs.remove(entry, number)
        if not attempt.is_there:
            await self._datasets.drop(entry, number)  # and with it what it refers to

    async def _undo_creation(self, entry: JailEntry) -> None:
        if self._inventory.jails.get(entry.name) is not entry:
            return  # its name was not free any more: nothing was made
        try:
            await self._runs.remove(entry, 1)
            await self._datasets.destroy_if_there(entry)
        except JaildError as error:  # what is left stays in sight and can be deleted
            entry.message = f"its creation failed, and so did its removal: {error}"
            raise
        del self._inventory.jails[entry.name]

    # -- hooks

    async def _drain(self, attempt: Attempt) -> None:
        await self._hooks.before_stop(attempt.name, attempt.old, may_abort=attempt.may_abort)

    async def _serves_on(self, attempt: Attempt) -> None:
        await self._hooks.serves_on(attempt.name, attempt.old)

    async def _after_start(self, attempt: Attempt) -> None:
        await self._hooks.after_start(attempt.name, attempt.new, may_abort=attempt.may_abort)

    # -- start, of a creation

    async def _start(self, attempt: Attempt) -> None:
        await self._runs.start(attempt.entry, attempt.new.number)

    async def _stop(self, attempt: Attempt) -> None:
        await self._runs.stop(attempt.entry, attempt.new.number)

    # -- cutover

    async def _cut_over(self, attempt: Attempt) -> None:
        attempt.stopping_since = self._clock.monotonic()
        await self._runs.stop(attempt.entry, attempt.old.number)
        if attempt.trees is not None and await self._configuration.is_outdated(attempt.trees):
            await self._merge_again(attempt, attempt.trees)
        started = await self._runs.start(attempt.entry, attempt.new.number)
        attempt.handle.note(downtime=started - attempt.stopping_since)

    async def _merge_again(self, attempt: Attempt, staged: Trees) -> None:
        # The jail wrote to its own configuration while the new one was being staged: that must not be lost.
        entry, new = attempt.entry, attempt.new
        trees, problems = await self._configuration.merge(entry, attempt.stack, base=new.base, planning=False)
        if errors(tuple(problems)):
            raise FailedPreconditionError(
                "MERGE_CONFLICT",
                f"jail {entry.name} changed its configuration during the change, in conflict with the new one",
                hint="resolve the conflict in the jail's /etc or /usr/local/etc and try again",
                resource=f"jails/{entry.name}",
                problems=problems,
            )
        await self._configuration.write_again(attempt.handle.id, entry, new, trees, staged)

    async def _cut_back(self, attempt: Attempt) -> None:
        entry, old, new = attempt.entry, attempt.old, attempt.new
        try:
            await self._runs.stop(entry, new.number)
        except JaildError as error:  # the old one must serve again whatever becomes of the new one
            self._log.warning("cannot stop", jail=entry.name, generation=new.number, reason=error.reason)
        found = await self._runs.find(entry.name, old.number)
        if found is not None and found.running:  # it was its stop that failed
            self._runs.adopt(entry, found)
            started = self._clock.monotonic()
        else:
            started = await self._start_again(entry, old)
        attempt.handle.note(downtime=started - attempt.stopping_since)
        attempt.handle.facts(generation=old.number, rolled_back="true")
        reason = attempt.error.reason if isinstance(attempt.error, JaildError) else type(attempt.error).__name__
        message = f"generation {new.number} failed ({reason}); generation {old.number} is back"
        await self._events.emit("generation.rolled_back", f"jails/{entry.name}", message)

    async def _start_again(self, entry: JailEntry, old: Generation) -> float:
        try:
            return await self._runs.start(entry, old.number)
        except JaildError as error:
            self._log.warning("cannot start again as it is, building it anew", jail=entry.name, reason=error.reason)
            return await self._runs.ensure(entry, old)

    # -- health check, commit, settle

    async def _check_health(self, attempt: Attempt) -> None:
        await self._health_checks.require_healthy(attempt.name, attempt.new.number, attempt.new.spec)

    async def _commit(self, attempt: Attempt) -> None:
        if attempt.confirm_within and not attempt.only_staged:
            until = self._clock.now() + attempt.confirm_within
            confirm = ConfirmWithin(back_to=attempt.old.number, until=until, kind=attempt.new.reason)
            attempt.committed = msgspec.structs.replace(attempt.committed, confirm=confirm)
            attempt.entry.fallback = attempt.old  # before: nobody takes its addresses between
        await self._datasets.commit(attempt.entry, attempt.committed, attempt.new)

    async def _is_committed(self, attempt: Attempt) -> bool:
        try:
            recorded = await self._datasets.recorded(attempt.entry)
        except NotFoundError:  # the dataset of a creation is gone again
            return False
        if recorded != attempt.committed:
            return False
        self._datasets.committed(attempt.entry, attempt.committed, attempt.new)
        return True

    async def _settle(self, attempt: Attempt) -> None:
        entry, before = attempt.entry, attempt.record.staged
        if attempt.committed.confirm is None:
            entry.fallback = None
        if not attempt.only_staged:  # first: what fails next cannot make it look uncommitted
            await self._datasets.settle(entry, attempt.new.number)
        replaced = before is not None and before != attempt.committed.staged
        if before is not None and replaced and before.number != attempt.new.number:
            await self._datasets.drop(entry, before.number)
        if not attempt.is_creation and not attempt.only_staged:
            await self._runs.remove(entry, attempt.old.number)
            await self._datasets.prune(entry)
        await self._datasets.measure(entry)
