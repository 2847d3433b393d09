"""Making this host the owner of a jail: what operators may ask of it, and both sides of a promotion as planned.

ask all peers ──► one owns it: it hands over, as by a planned migration (nothing is lost)
    │ none does: the operator vouches, in words, for those who do not answer
    ▼
by force (failover.py)
"""

from __future__ import annotations

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.model.errors import AbortedError, DeadlineExceededError, FailedPreconditionError, UnavailableError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Desired, JailRecord
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.replication.policy import Elsewhere, Orphaned, Owned, moment
from jaild.model.replication.protocol import HandingOver
from jaild.model.views import Caller
from jaild.replication.failover import Failover, elsewhere, unhealthy
from jaild.replication.start_guard import StartGuard

_DOWNTIME = 60.0  # seconds that a hand-over asked for by a standby may take; it goes on over that, too
_DEADLINE = 600.0  # seconds: somebody waits for it, and may say that the owner is down
_HAND_OVER = "handover"  # the only phase of a promotion as planned: what it waits for is the owner's migration
_SILENCE = 30.0  # seconds without an answer in the middle of a hand-over
_PAUSE = 0.5  # seconds between questions how one goes


class Promotions:
    """Promote, adopt, force the start; and the owner's side of a promotion."""

    def __init__(
        self,
        engine: Engine,
        jails: JailParts,
        migration: MigrationParts,
        failover: Failover,
        start_guard: StartGuard,
    ) -> None:
        self._inventory = engine.inventory
        self._peers = engine.ports.peers
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._lifecycle = jails.lifecycle
        self._migrations = migration.migrations
        self._failover = failover
        self._start_guard = start_guard

    async def promote(
        self, name: str, *, owner_is_down: bool, confirm: str, validate_only: bool, caller: Caller
    ) -> Operation:
        """Make a standby the owner: handed over by the one that it has, or taken on the operator's word."""
        duplicate = await self._operations.duplicate(caller, "promote", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, record = self._standby(name)
        found = await self._failover.examine(name, record)
        since = 0.0 if isinstance(found, Owned) else await self._failover.taken(name, record)
        plan = self._plan(name, "promote", found, since)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)
        if isinstance(found, Owned):
            if owner_is_down:
                raise elsewhere(name, found)
        else:
            flag = f"jailctl promote {name} --owner-is-down"
            self._require_word(record, found, confirm if owner_is_down else "", since, flag)

        async def work(handle: Handle) -> str:
            entry, record = self._standby(name)
            if isinstance(found, Owned):
                await self._take_over(handle, name, found.host)
            else:
                await self._failover.promote(handle, entry, record, confirm)
            return f"jails/{name}"

        return await self._dispatcher.submit(
            f"jails/{name}", "promote", caller, work, plan=plan, exclusive=not isinstance(found, Owned)
        )

    async def adopt(self, name: str, *, confirm: str, validate_only: bool, caller: Caller) -> Operation:
        """Take over what an interrupted migration or another host's pool left here, on the operator's word."""
        duplicate = await self._operations.duplicate(caller, "adopt", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, record = self._adoptable(name)
        found = await self._failover.examine(name, record)
        if isinstance(found, Owned):
            raise elsewhere(name, found)
        since = await self._failover.taken(name, record)
        plan = self._plan(name, "adopt", found, since)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)
        self._require_word(record, found, confirm, since, f"jailctl adopt {name} --force")

        async def work(handle: Handle) -> str:
            await self._failover.promote(handle, *self._adoptable(name), confirm)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "adopt", caller, work, plan=plan)

    def _standby(self, name: str) -> tuple[JailEntry, JailRecord]:
        """Return a standby. `FailedPreconditionError` (JAIL_NOT_STANDBY) for anything else."""
        return self._inventory.permitted(name, Intent.PROMOTE)

    def _adoptable(self, name: str) -> tuple[JailEntry, JailRecord]:
        """Return a jail that another host owns. `FailedPreconditionError` (NOT_ADOPTABLE) for anything else."""
        entry, record = self._inventory.permitted(name, Intent.ADOPT)
        if not record.peer:
            record = msgspec.structs.replace(record, peer=self._inventory.host_names.get(record.owner, record.owner))
        return entry, record

    def _plan(self, name: str, kind: str, found: Owned | Elsewhere | Orphaned, since: float) -> Plan:
        """Say what would be done. `FailedPreconditionError` (JAIL_OWNED_ELSEWHERE)."""
        match found:
            case Owned(host):
                steps: tuple[str, ...] = (f"ask {host} to hand it over: last increment, stop there, start here",)
            case Orphaned(words):
                age = f", {self._clock.now() - since:.0f} s ago" if since else ""
                steps = (
                    f'take your word that "{words}"',
                    f"lose what was written after {moment(since) if since else 'the last hand-over'}{age}",
                    "own it with a higher epoch, start it here, tell the former owner until it knows",
                )
            case Elsewhere():
                raise elsewhere(name, found)
        return Plan(kind=kind, target=f"jails/{name}", steps=steps)

    def _require_word(
        self, record: JailRecord, found: Elsewhere | Orphaned, confirm: str, since: float, command: str
    ) -> None:
        if not isinstance(found, Orphaned) or found.is_said_in(confirm):
            return
        lost = f"what was written after {moment(since)} ({self._clock.now() - since:.0f} s ago) is lost here"
        raise FailedPreconditionError(
            "CONFIRMATION_NEEDED",
            f"{record.peer} does not answer that it has it; {lost if since else 'what is lost is not known'}",
            hint=f'be sure that it cannot come back unnoticed, then say so: {command} --confirm "{found.words}"',
            detail={"confirm": found.words, "lost_since": moment(since) if since else ""},
        )

    async def force_start(self, name: str, sentence: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Take the operator's word that no silent standby has taken a jail over; it is started if it is to run.

        It lets a jail go on that waits since its host's start, and one that runs be given away.
        """
        if validate_only:
            return await self._dispatcher.planned(await self._confirmation(name), caller)
        await self._start_guard.confirm(name, sentence)

        async def work(handle: Handle) -> str:
            if self._inventory.permitted(name, Intent.START)[1].desired is Desired.RUNNING:
                await self._lifecycle.start(handle, name)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "start", caller, work)

    async def _confirmation(self, name: str) -> Plan:
        words = await self._start_guard.words(name)
        entry, record = self._inventory.permitted(name, Intent.RUN_ON)
        starts = record.desired is Desired.RUNNING and not (entry.run is not None and entry.run.running)
        vouch = (f'take your word that "{words}"',) if words else ()
        steps = (*vouch, *(("start it",) if starts else ()))
        return Plan(kind="start", target=f"jails/{name}", steps=steps, unchanged=not steps)

    # -- handed over by its owner

    async def _take_over(self, handle: Handle, name: str, host: str) -> None:
        """Let the owner migrate the jail here."""
        _, record = self._inventory.permitted(name, Intent.READ)
        await handle.phase(_HAND_OVER, f"{host} hands it over")
        told = await self._handed_over(handle, name, record.uid, host)
        if told.reason == "ACTIVATED_UNHEALTHY":
            raise unhealthy(name, told.message)
        if told.reason:
            raise AbortedError(
                "HAND_OVER_FAILED",
                f"{host} did not hand {name} over: {told.message} ({told.reason})",
                hint=f"it has it as before: look at jailctl jail show {name} there",
                resource=f"jails/{name}",
            )
        handle.facts(from_host=host, lost="nothing")

    async def _handed_over(self, handle: Handle, name: str, uid: str, host: str) -> HandingOver:
        """Ask for it, and then how it goes, until it is over. `UnavailableError` (OWNER_UNREACHABLE)."""
        peer = self._peers.get(host).standby
        ask, answered = peer.hand_over, self._clock.monotonic()
        while True:
            try:
                told = await ask(name, uid, self._inventory.host_name, f"promote-{handle.id}")
            except (UnavailableError, DeadlineExceededError) as error:
                if self._serves(name):  # it fell silent after the commit
                    return HandingOver(done=True)
                if self._clock.monotonic() - answered > _SILENCE:
                    raise UnavailableError(
                        "OWNER_UNREACHABLE",
                        f"{host} does not answer any more: {error.message}",
                        hint="the hand-over ends by itself, as every migration does; look at the jail in a minute",
                        resource=f"jails/{name}",
                    ) from error
            else:
                if told.done:
                    return told
                ask, answered = peer.handing_over, self._clock.monotonic()
                handle.note(message=f"{host}: {told.message}")
            await self._clock.sleep(_PAUSE)

    def _serves(self, name: str) -> bool:
        entry = self._inventory.jails.get(name)
        record = entry.record if entry is not None else None
        if entry is None or record is None or not self._inventory.may(entry, Intent.RUN_ON):
            return False
        return record.desired is Desired.STOPPED or (entry.run is not None and entry.run.running)

    # -- asked by a standby

    async def hand_over(self, name: str, uid: str, target: str, request_id: str) -> HandingOver:
        """Migrate a jail to the standby that asks, once for each request, and tell how that goes."""
        _, record = self._inventory.permitted(name, Intent.READ)
        if record.uid != uid:
            raise FailedPreconditionError("JAIL_NOT_OWNED", f"{name} is another jail here", hint="ask its owner")
        operation = await self._migrations.migrate(
            name,
            target,
            max_downtime=_DOWNTIME,
            proceed_over_budget=True,
            etag="",
            validate_only=False,
            caller=_standby(target, request_id),
            deadline=_DEADLINE,
        )
        return _told(operation)

    def handing_over(self, target: str, name: str, request_id: str) -> HandingOver:
        """Tell how the hand-over goes that a request has led to."""
        operation = self._operations.known(_standby(target, request_id), "migrate", f"jails/{name}")
        if operation is None:
            message = "nothing is known of it: what was begun has been undone or finished"
            return HandingOver(done=True, reason="OPERATION_NOT_FOUND", message=message)
        return _told(operation)


def _standby(target: str, request_id: str) -> Caller:
    return Caller(actor=f"standby {target}", request_id=request_id)


def _told(operation: Operation) -> HandingOver:
    failure = operation.failure
    return HandingOver(
        done=operation.done,
        reason=failure.reason if failure is not None else "",
        message=failure.message if failure is not None else f"{operation.phase} {operation.message}".strip(),
    )
