"""Before a jail is given away, its standbys are asked whether one has taken it over: a jail has one owner to give.

    asked ─► all say that they have not ─► it may be given away
      │ ▲        └── one is silent ──► refused before anything is begun; later waited for, and the jail serves meanwhile
      │ └──── the operator's word counts for one that is silent, until it answers or the jail changes hands
      └──── one has, or knows who has ──► refused, and given up here by itself

Also of a jail that runs: what it gives away would be a second owner's if the host was cut off and the standby promoted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog

from jaild.engine.inventory import Inventory, JailEntry
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails import authority
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import JailRecord
from jaild.model.replication.policy import Clear, Superseded, to_be_confirmed, verdict
from jaild.model.replication.protocol import Known
from jaild.ports.peer import Peers
from jaild.transfer.journal import Journals


class SoleOwner:
    """Asks those who may have taken a jail of this host over, and remembers whom an operator vouched for."""

    def __init__(self, inventory: Inventory, peers: Peers, journals: Journals) -> None:
        self._inventory = inventory
        self._peers = peers
        self._journals = journals
        self._vouched: dict[str, tuple[int, frozenset[str]]] = {}  # by the jail's uid: for which epoch, and for whom
        self._when_in_doubt: list[Callable[[JailEntry], None]] = []
        self._log = structlog.get_logger("jaild.sole_owner")

    def when_in_doubt(self, hook: Callable[[JailEntry], None]) -> None:
        """Let `hook` see to a jail of which a new owner was heard."""
        self._when_in_doubt.append(hook)

    def standbys(self, entry: JailEntry, record: JailRecord) -> frozenset[str]:
        """Return the hosts that keep, or may keep, a replica of a jail, whatever the copy here is."""
        spec = entry.generation.spec if entry.generation is not None else None
        return to_be_confirmed(record, spec, self._inventory.host_name)

    def possible_owners(self, entry: JailEntry, record: JailRecord) -> frozenset[str]:
        """Return the hosts that may have taken a jail over while this host was away, on an operator's word.

        Its standbys, and the targets of its unfinished migrations: one may have adopted what had come.
        """
        return self.standbys(entry, record) | self._journals.possible_owners(record.uid, record.epoch)

    async def answers(self, name: str, uid: str, hosts: Iterable[str]) -> dict[str, Known | None]:
        """Return what each of these hosts has of a jail; None for one that does not answer."""
        asked = sorted(hosts)
        return dict(zip(asked, await asyncio.gather(*(self._ask(host, name, uid) for host in asked)), strict=True))

    async def _ask(self, host: str, name: str, uid: str) -> Known | None:
        try:
            return await self._peers.get(host).standby.ownership(name, uid)
        except JaildError as error:
            self._log.info("no answer", jail=name, host=host, reason=error.reason)
            return None

    async def silent(self, name: str) -> frozenset[str]:
        """Ask, and return the standbys that may have taken the jail over, but for those that were vouched for.

        `FailedPreconditionError` (OWNER_SUPERSEDED) if one has: the jail is then given up here, in its turn.
        """
        entry, record = self._inventory.permitted(name, Intent.GIVE_AWAY)
        needed = self.standbys(entry, record)
        # An owner that runs has not been away: of targets it asks, and does not wait for one that is silent.
        answers = await self.answers(name, record.uid, needed | self._journals.targets(record.uid))
        _, record = self._inventory.permitted(name, Intent.GIVE_AWAY)  # as it is by now
        self._forget(record, [host for host, known in answers.items() if known is not None])
        match verdict(record.epoch, answers):
            case Superseded(host, known):
                self.doubt(entry, host)
                raise FailedPreconditionError(
                    "OWNER_SUPERSEDED",
                    f"jail {name} is {known.owner_name or host}'s with epoch {known.epoch}, as {host} says",
                    hint=f"it is given up here by itself: work with {known.owner_name or host}",
                    resource=f"jails/{name}",
                    detail={"epoch": str(known.epoch), "owner": known.owner, "owner_name": known.owner_name},
                )
            case Clear():
                return frozenset()
            case found:
                epoch, vouched = self._vouched.get(record.uid, (0, frozenset()))
                return (needed & set(found.hosts)) - (vouched if epoch == record.epoch else frozenset())

    def doubt(self, entry: JailEntry, host: str) -> None:
        """Do nothing with a jail any more, not even what is under way, before this host has been heard about it."""
        entry.unconfirmed |= {host}
        for hook in self._when_in_doubt:
            hook(entry)

    def _forget(self, record: JailRecord, answered: Iterable[str]) -> None:
        """Let an answer count more than what somebody said for a host, now and later."""
        epoch, vouched = self._vouched.get(record.uid, (0, frozenset()))
        self._vouched[record.uid] = (epoch, vouched.difference(answered))

    async def require(self, name: str) -> None:
        """Raise `FailedPreconditionError` (STANDBYS_UNCONFIRMED, OWNER_SUPERSEDED) unless it can be given away."""
        if silent := await self.silent(name):
            entry, record = self._inventory.permitted(name, Intent.GIVE_AWAY)
            raise authority.unconfirmed(
                replace(self._inventory.claim(entry, record), unconfirmed=silent), asked=True
            ).error()

    def vouch(self, entry: JailEntry, record: JailRecord, hosts: Iterable[str]) -> None:
        """Take an operator's word that these have not taken a jail over."""
        epoch, vouched = self._vouched.get(record.uid, (0, frozenset()))
        self._vouched[record.uid] = (record.epoch, frozenset(hosts) | (vouched if epoch == record.epoch else set()))
        self._log.info("vouched for", jail=entry.name, hosts=sorted(hosts))
