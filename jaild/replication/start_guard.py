"""Before a jail is started at boot, its standbys and the targets of its migrations are asked who has taken it over.

Every one must answer, or the operator must vouch for it: a host that was away cannot know by itself, and one that is
silent may be the owner by now (promoted, or by an adoption of what had come). A jail that ran on while only its daemon
was away does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import Found, JailEntry
from jaild.engine.recovery import BOOT
from jaild.migration.source import Wait
from jaild.model.errors import JaildError
from jaild.model.jails import authority
from jaild.model.jails.authority import Intent, Refusal
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.replication.policy import Superseded, Unconfirmed, verdict, vouching
from jaild.model.replication.protocol import Known
from jaild.replication.fencing import Fencing
from jaild.transfer.sole_owner import SoleOwner

PATIENCE = 60.0  # seconds without an answer after which people are told
_FIRST_PAUSE = 0.5  # seconds, doubled up to the longest
_LONGEST_PAUSE = 5.0


class StartGuard:
    """Asks who may have taken a jail over."""

    def __init__(self, engine: Engine, sole: SoleOwner, fencing: Fencing) -> None:
        self._inventory = engine.inventory
        self._sole = sole
        self._fencing = fencing
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._start: Callable[[JailEntry], Awaitable[None]] | None = None
        self._log = structlog.get_logger("jaild.start_guard")

    async def hold_back(self, _: Found) -> None:
        """Let no jail start, from now on, that is not running and that others may have taken over unnoticed."""
        for entry in self._inventory.jails.values():
            record = entry.record
            if record is not None and (self._is_owned(entry) or record.state is Ownership.FROZEN) and not _runs(entry):
                entry.unconfirmed = self._sole.possible_owners(entry, record)

    def go_on(self, start: Callable[[JailEntry], Awaitable[None]]) -> None:
        """Ask, in the background, about every jail that is held back; `start` those that may."""
        self._start = start
        for entry in self._inventory.jails.values():
            self.look_into(entry)

    def look_into(self, entry: JailEntry) -> None:
        """Ask, in the background, about a jail that is held back, until it may be started or was given up."""
        if entry.unconfirmed:
            name = _task(entry.name)
            self._supervisor.retry(name, lambda: self._start_when_confirmed(entry), target=f"jails/{entry.name}")

    def until_it_serves(self, jail: str, within: Callable[[], float | None]) -> Wait | None:
        """Return what waits until a jail has been started; None if it serves. See `SourceMigration.recover`."""
        entry = self._inventory.jails[jail]
        if _is_to_start(entry) or not self._inventory.may(entry, Intent.GIVE_AWAY):
            return partial(self._started, jail, within)
        return None

    async def _started(self, jail: str, within: Callable[[], float | None]) -> bool:
        """Wait until a jail has been started (the task `boot`) and its standbys have been heard, at most `within`.

        Returns whether it may be moved now: not if the host goes down meanwhile, whose next start goes on.
        """
        await self._supervisor.over(BOOT)
        # Past its deadline it is given up, also while the jail waits.
        await self.over(jail, within=within())
        return not self._inventory.shut_down

    async def _start_when_confirmed(self, entry: JailEntry) -> None:
        if await self.confirmed(entry) and self._start is not None:
            await self._start(entry)

    async def over(self, jail: str, within: float | None = None) -> None:
        """Wait until a jail that is held back was started, or is known to be another's; at most `within` seconds."""
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(self._supervisor.over(_task(jail)))]
            if within is not None:
                waits.append(group.create_task(self._clock.sleep(within)))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def settled(self) -> None:
        """Wait until all have been heard."""
        for jail in list(self._inventory.jails):
            await self.over(jail)

    async def confirmed(self, entry: JailEntry) -> bool:
        """Ask until the jail may start (True), or is known to be another host's (False)."""
        began, pause, told = self._clock.monotonic(), _FIRST_PAUSE, False
        while asked := entry.unconfirmed:
            record = entry.record
            if record is not None and record.state is Ownership.FROZEN:  # it is started again here, or given away
                await self._clock.sleep(_LONGEST_PAUSE)
                continue
            if record is None or not self._is_owned(entry):
                return False
            found = verdict(record.epoch, await self._sole.answers(entry.name, record.uid, asked))
            if isinstance(found, Superseded):
                self._log.warning("superseded", jail=entry.name, by=found.known.owner_name, told_by=found.host)
                await self._fence(entry, found.known)
                continue
            silent = found.hosts if isinstance(found, Unconfirmed) else ()
            # What an operator said meanwhile, and what else came up, stands: only who was heard now is taken away.
            entry.unconfirmed -= asked - set(silent)
            if not entry.unconfirmed:
                entry.message = ""
                break
            entry.message = f"waits for {', '.join(sorted(entry.unconfirmed))}: has it been taken over?"
            if not told and self._clock.monotonic() - began >= PATIENCE:
                told = True
                await self._events.emit("jail.waiting", f"jails/{entry.name}", self._refusal(entry, record).hint)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return self._is_owned(entry)

    def _refusal(self, entry: JailEntry, record: JailRecord) -> Refusal:
        return authority.unconfirmed(self._inventory.claim(entry, record))

    def _is_owned(self, entry: JailEntry) -> bool:
        return self._inventory.may(entry, Intent.RUN_ON)

    async def _fence(self, entry: JailEntry, known: Known) -> None:
        try:
            await self._fencing.fence(entry.name, known)
        except JaildError as error:  # it does not start all the same
            self._log.warning("cannot fence yet", jail=entry.name, error=str(error))
            await self._clock.sleep(_LONGEST_PAUSE)

    async def confirm(self, name: str, sentence: str) -> None:
        """Take the operator's word. `FailedPreconditionError` (STANDBYS_UNCONFIRMED) unless it is the right sentence.

        Of a jail that is not held back it is about whoever is silent now: it may be given away then.
        """
        entry, record, hosts = await self._unheard(name)
        if hosts and sentence != vouching(name, hosts):
            claim = replace(self._inventory.claim(entry, record), unconfirmed=hosts)
            raise authority.unconfirmed(claim, asked=not entry.unconfirmed).error()
        self._sole.vouch(entry, record, hosts)
        if entry.unconfirmed:
            entry.unconfirmed, entry.message = entry.unconfirmed - hosts, ""

    async def words(self, name: str) -> str:
        """Return the sentence that `confirm` needs; '' if it needs none."""
        _, _, hosts = await self._unheard(name)
        return vouching(name, hosts) if hosts else ""

    async def _unheard(self, name: str) -> tuple[JailEntry, JailRecord, frozenset[str]]:
        """Return a jail, with those that it is held back for; of one that is not: who is silent now."""
        entry, record = self._inventory.permitted(name, Intent.RUN_ON)
        return entry, record, entry.unconfirmed or await self._sole.silent(name)


def _runs(entry: JailEntry) -> bool:
    return entry.run is not None and entry.run.running


def _is_to_start(entry: JailEntry) -> bool:
    return entry.record is not None and entry.record.desired is Desired.RUNNING and not _runs(entry)


def _task(jail: str) -> str:
    return f"ask about {jail}"
