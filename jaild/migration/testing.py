"""A test migration: a migration up to the last round before the freeze, then a clone of what came is booted over there.

    source: preflight ─► connect ─► layers ─► seed ─► precopy … ─► test ─► given up, as any migration
    target: clone what came ─► boot it, in a network of its own ─► health checks ─► remove the clone

A trial: it is undone in any case, which a crash on either side leads to as well. Nothing is frozen, so the jail serves
all the time. On the target, received datasets stay untouched: their newest snapshots are cloned below `rehearsals/`.
The clone runs under a name of its own, in a network with nothing but a loopback interface that has the jail's
addresses. A crash leaves a run of nobody and datasets below `rehearsals/`: both are removed at the next start, whatever
else is found. What came is thrown away, unless the copy was asked to be kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.clones import make_room
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.engine.saga import Phase as Step
from jaild.engine.saga import Saga
from jaild.jails.build import JailParts
from jaild.jails.health import HealthChecks
from jaild.migration.precopy import Precopy
from jaild.migration.session import MigrationSession, Terms
from jaild.migration.source import SourceMigration
from jaild.model.errors import AbortedError, FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.spec import HttpCheck, Mode, Network, TcpCheck
from jaild.model.layers.records import Generation
from jaild.model.migration.budget import Parts, predict
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import Tested
from jaild.model.migration.received import offered_generation, require_same
from jaild.model.problems import Problem, Severity
from jaild.model.snapshots import of_migration
from jaild.ports.runtime import RunSpec, Runtime
from jaild.transfer.build import TransferParts

PREFIX = "migration-test-"  # of the names under which clones run


class MigrationTest:
    """Tries migrations, in the jail's queue; boots clones of what came from others, one at a time for each."""

    def __init__(
        self, engine: Engine, jails: JailParts, transfer: TransferParts, source: SourceMigration, precopy: Precopy
    ) -> None:
        self._inventory = engine.inventory
        self._journals = transfer.journals
        self._clock = engine.ports.clock
        self._source = source
        self._precopy = precopy
        self._sagas = engine.sagas
        self._zfs = engine.ports.zfs
        self._keys = engine.keys
        self._runtime = engine.ports.runtime
        self._files = engine.ports.files
        self._receiver = transfer.receiver
        self._runs = jails.runs
        self._supervisor = engine.supervisor
        self._log = structlog.get_logger("jaild.testing")
        self._saga = Saga(
            "test-migration",
            before=(
                *source.opening(),
                Step("seed", precopy.seed, message=Precopy.told),
                Step("precopy", precopy.until_it_fits, message=Precopy.told, when=lambda session: not session.fits),
                Step("test", self._ask_for_clone, message=_is_booting),
            ),
            pivot=None,
        )

    # -- the source's side

    async def carry_out(self, handle: Handle, name: str, target: str, *, max_downtime: float, keep_copy: bool) -> str:
        """Try a migration; return its id. `AbortedError` (TEST_MIGRATION_FAILED) if it would not be healthy there."""
        terms = Terms(
            jail=name,
            target=target,
            max_downtime=max_downtime,
            proceed_over_budget=True,
            intent=Intent.TEST,
            keep_copy=keep_copy,
        )
        session = self._source.session(handle, terms)
        await self._sagas.carry_out(self._saga, session)
        if not session.tested.healthy:
            raise _failed(session)
        return session.id

    async def _ask_for_clone(self, session: MigrationSession) -> None:
        if keep := session.terms.keep_copy:
            # Before the target keeps its copy: that can only be continued from the snapshots that stay here.
            await session.write(keep_copy=True)
        session.tested = await session.peer.boot_clone(session.id, keep_copy=keep)
        await session.write(parts=session.tested.parts)  # what the next prediction for this host goes by
        self._tell(session, session.tested)

    def _tell(self, session: MigrationSession, tested: Tested) -> None:
        """Put into the operation what was measured and found."""
        fixed, budget = self._precopy.fixed_cost(session), session.journal.max_downtime
        predicted, low = predict(session.rounds, fixed.seconds), "at least " if fixed.at_least else ""
        plan = session.handle.operation.plan
        if plan is not None and predicted > budget:
            problem = Problem(
                severity=Severity.WARNING,
                code="DOWNTIME_OVER_BUDGET",
                message=f"the downtime is predicted to be {low}{predicted:.1f} s, {budget:.1f} s are allowed; beside "
                f"the last increment it is {fixed.seconds:.1f} s: {fixed}",
                subject=session.target,
                hint=fixed.hint(predicted, budget),
            )
            plan = msgspec.structs.replace(plan, problems=(*plan.problems, problem))
        session.handle.note(
            plan=plan,
            predicted_downtime=predicted,
            predicted_at_least=fixed.at_least,
            message="the clone is gone again",
        )
        session.handle.facts(
            healthy=str(tested.healthy).lower(),
            predicted_downtime=f"{low}{predicted:.2f} s",
            start=f"{tested.parts.downtime:.2f} s",
            sent_bytes=session.journal.bytes,
            copy=f"kept on {session.peer_name}" if session.terms.keep_copy else "thrown away",
        )

    # -- the target's side

    async def boot_clone(self, migration: str, *, keep_copy: bool) -> Tested:
        """Boot a clone, wait for its health checks, throw it away; return when nothing of it is left.

        A caller that hangs up ends it. `FailedPreconditionError` (NOT_A_TEST_MIGRATION, TEST_MIGRATION_UNDER_WAY).
        """
        journal = self._journals.find(migration, outgoing=False)
        if journal is None or journal.phase is not Phase.RECEIVING or not journal.offer.test:
            raise FailedPreconditionError(
                "NOT_A_TEST_MIGRATION",
                f"migration {migration} is no test migration that is being received here",
                hint="begin a test migration from the source",
                resource=f"migrations/{migration}",
            )
        name = _task(migration)
        if self._supervisor.is_under_way(name):
            raise FailedPreconditionError(
                "TEST_MIGRATION_UNDER_WAY", f"a clone of {journal.jail} is being tried already", hint="wait for its end"
            )
        if keep_copy:
            await self._journals.put(msgspec.structs.replace(journal, keep_copy=True))
        task = self._supervisor.once(name, lambda: self._tried(journal), target=f"jails/{journal.jail}")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self.end(migration)
            raise

    async def end(self, migration: str) -> None:
        """End a test migration that is under way, and take away what one has left. No error if there is none."""
        await self._supervisor.end(_task(migration))
        await self._take_away(migration)

    async def sweep(self, clones: Sequence[str]) -> Sequence[str]:
        """Destroy what a crash left of clones, after their runs were ended; say what was, and what others keep."""
        told = []
        for name in clones:
            try:
                await OwnedSnapshots(self._zfs, name).require_unclaimed(f"destroying {name}")
                await self._zfs.destroy(name, recursive=True)
            except JaildError as error:  # one that cannot go keeps no other
                told.append(f"could not destroy {name}, left of a test migration: {error}")
            else:
                told.append(f"destroyed {name}, left of a test migration")
        return told

    async def _tried(self, journal: Journal) -> Tested:
        generation = offered_generation(journal.offer.jail)
        began = self._clock.monotonic()
        parts = Parts()
        try:
            run = await self._cloned(journal, generation)
            await self._runtime.create(run)
            mounted = self._clock.monotonic()
            await self._runtime.start(run.jail, run.generation)
            parts = Parts(mounts=mounted - began, start=self._clock.monotonic() - mounted)
            health_checks = HealthChecks(
                self._runtime, self._runs, _Inside(self._runtime, run), self._files, self._clock
            )
            await health_checks.require_healthy(run.jail, run.generation, generation.spec)
        except JaildError as error:
            self._log.warning("a test migration failed", jail=journal.jail, reason=error.reason)
            told = error.detail
            message = f"{error.message} ({error.reason})".replace(name_of(journal.id), journal.jail)
            return Tested(parts=parts, message=message, checks=told.get("checks", ""), log=told.get("log", ""))
        else:
            return Tested(healthy=True, parts=parts)
        finally:
            await asyncio.shield(self._take_away(journal.id))

    async def _cloned(self, journal: Journal, generation: Generation) -> RunSpec:
        """Clone the newest snapshot of each dataset, parents first, and return what would run in the clone."""
        where = self._inventory.where
        above = await make_room(where, self._zfs, self._files)
        await self._keys.load(where.jail(journal.jail), generation.spec)
        for offered in journal.offer.jail.datasets:
            # jaild's own: a clone of others' snapshot would stand in their way.
            dataset = where.part(journal.jail, offered.path)
            own = await OwnedSnapshots(self._zfs, dataset).of(of_migration(journal.id))
            newest = [snapshot for snapshot in own if snapshot.dataset == dataset][-1]
            clone = where.clone(journal.id, offered.path)
            await self._zfs.clone(newest.name, clone, {"readonly": "off"})
            await self._zfs.mount(clone)
        folder = above / where.clone(journal.id, "").rpartition("/")[2]
        _, record = self._inventory.permitted(journal.jail, Intent.READ)
        came = await self._receiver.read_copy(folder, journal.jail, generation.number)
        require_same(journal.jail, generation, came)
        # Another uid: no interface, MAC address or control group of it is the jail's.
        clone_of = JailEntry(
            name=name_of(journal.id),
            dataset=where.clone(journal.id, ""),
            folder=folder,
            record=msgspec.structs.replace(record, uid=journal.id),
        )
        spec = generation.spec
        return dataclasses.replace(
            self._runs.spec_of(clone_of, generation),
            hostname=spec.hostname or journal.jail,
            network=Network(mode=Mode.NONE, addresses=spec.network.addresses),
        )

    async def _take_away(self, migration: str) -> None:
        """Stop and remove the clone's run, destroy its datasets, remove its log."""
        name = name_of(migration)
        for run in await self._runtime.runs():
            if run.jail == name:
                await self._runtime.stop(run.jail, run.generation)
                await self._runtime.remove(run.jail, run.generation)
        try:
            await self._zfs.destroy(self._inventory.where.clone(migration, ""), recursive=True)
        except NotFoundError:
            return
        await self._files.remove(self._runs.log_path(name))


class _Inside:
    """Implements `jaild.ports.probe.Probe`: checks are made from inside the run's own network."""

    def __init__(self, runtime: Runtime, run: RunSpec) -> None:
        self._runtime = runtime
        self._run = run

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Open a connection there."""
        return await self._made(TcpCheck(port=port, timeout=timeout), address)

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:
        """GET a path there."""
        return await self._made(HttpCheck(port=port, path=path, timeout=timeout), address)

    async def _made(self, check: HttpCheck | TcpCheck, address: str) -> str:
        try:
            return await self._runtime.probe(self._run.jail, self._run.generation, check, address)
        except JaildError as error:
            return f"{address}:{check.port}: {error.message}"


def _task(migration: str) -> str:
    return f"test of {migration}"


def name_of(migration: str) -> str:
    """Return the name under which the clone of a migration runs."""
    return f"{PREFIX}{migration[:12]}"


def _is_booting(session: MigrationSession) -> str:
    return f"{session.peer_name} boots a clone and checks its health"


def _failed(session: MigrationSession) -> AbortedError:
    plan, tested = session.handle.operation.plan, session.tested
    return AbortedError(
        "TEST_MIGRATION_FAILED",
        f"jail {session.jail} would not have become healthy on {session.peer_name}: {tested.message}",
        hint=f"fix what the checks and the log say before you migrate; the jail goes on here, nothing of it is left "
        f"on {session.peer_name} but bases and releases",
        resource=session.target,
        detail={"checks": tested.checks, "log": tested.log},
        problems=plan.problems if plan is not None else (),
    )
