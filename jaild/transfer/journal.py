"""The journal of migrations, in memory and in the store."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import structlog

from jaild.model.errors import NotFoundError
from jaild.model.migration.journal import Journal, Phase, counted, epoch_in_force, is_target, may_have_taken, time_left
from jaild.model.migration.stats import MigrationStats, stats
from jaild.model.views import MigrationView
from jaild.ports.clock import Clock
from jaild.ports.store import Store


class Journals:
    """What this host remembers of its migrations, as source (`outgoing`) and as target."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._log = structlog.get_logger("jaild.migrations")
        self._all: dict[tuple[str, bool], Journal] = {}
        self._of_jail: defaultdict[str, dict[tuple[str, bool], Journal]] = defaultdict(dict)  # the same, by jail's uid
        self._coming: defaultdict[str, dict[str, Journal]] = defaultdict(dict)  # those that came here, by jail's name
        self.needed: dict[str, tuple[str, ...]] = {}  # migrations/<id> that comes here -> paths of the layers it needs
        self._unread: dict[str, set[str]] = {}  # jail's uid -> targets named by journals that cannot be read
        self.epochs: dict[str, int] = {}  # jail's uid -> the highest epoch that was in force, as far as is known here

    async def load(self) -> None:
        """Read the store."""
        for journal in await self._store.journals():
            self._remember(counted(journal, self._clock.monotonic()))
        for trace in await self._store.traces():
            self._in_force(trace.uid, trace.epoch)
            if trace.is_target:
                self._unread.setdefault(trace.uid, set()).add(trace.peer)

    async def put(self, journal: Journal) -> None:
        """Remember; on disk when this returns."""
        journal = msgspec.structs.replace(counted(journal, self._clock.monotonic()), updated=self._clock.now())
        known = self._all.get((journal.id, journal.outgoing))
        self._remember(journal)
        if known is None or known.phase is not journal.phase:
            old, new = "absent" if known is None else known.phase.value, journal.phase.value
            self._log.info(
                f"{old} -> {new}",
                of="migration",
                old=old,
                new=new,
                migration=journal.id,
                jail=journal.jail,
                peer=journal.peer,
                side="source" if journal.outgoing else "target",
                epoch=journal.epoch,
            )
        await self._store.put_journal(journal)

    def _remember(self, journal: Journal) -> None:
        self._all[journal.id, journal.outgoing] = journal
        self._of_jail[journal.offer.jail.uid][journal.id, journal.outgoing] = journal
        if not journal.outgoing:
            self._coming[journal.jail][journal.id] = journal
            layers = journal.offer.jail.layers if journal.phase in {Phase.RECEIVING, Phase.PREPARED} else ()
            self.needed[f"migrations/{journal.id}"] = tuple(layer.path for layer in layers)
        self._in_force(journal.offer.jail.uid, epoch_in_force(journal))

    def _in_force(self, uid: str, epoch: int) -> None:
        self.epochs[uid] = max(self.epochs.get(uid, 0), epoch)

    def find(self, migration: str, *, outgoing: bool) -> Journal | None:
        """Return a migration as one of its sides, if this host was that."""
        return self._all.get((migration, outgoing))

    def outgoing(self) -> list[Journal]:
        """Return those that this host drives or drove."""
        return [journal for journal in self._all.values() if journal.outgoing]

    def incoming(self) -> list[Journal]:
        """Return those that came here."""
        return [journal for journal in self._all.values() if not journal.outgoing]

    def coming(self, jail: str) -> list[Journal]:
        """Return those of them that brought, or bring, a jail of that name."""
        return list(self._coming[jail].values()) if jail in self._coming else []

    def _left(self, uid: str) -> list[Journal]:
        """Return the migrations of a jail from here."""
        return [j for j in self._of_jail[uid].values() if j.outgoing] if uid in self._of_jail else []

    def targets(self, uid: str) -> frozenset[str]:
        """Return the hosts that migrations of a jail from here were on their way to: one may have it."""
        return frozenset(j.peer for j in self._left(uid) if is_target(j)) | self._unread.get(uid, set())

    def possible_owners(self, uid: str, epoch: int) -> frozenset[str]:
        """Return those of them that may have adopted a jail, which is here with `epoch`, while this host was away."""
        return frozenset(j.peer for j in self._left(uid) if may_have_taken(j, epoch)) | self._unread.get(uid, set())

    def time_left(self, journal: Journal) -> float | None:
        """Return the seconds until a migration is given up; None for never."""
        return time_left(journal, self._clock.monotonic())

    def layers(self, uid: str) -> tuple[str, ...]:
        """Return the paths of the layers that a jail needed when it moved from here last."""
        newest = max(self._left(uid), key=lambda journal: journal.created, default=None)
        return tuple(layer.path for layer in newest.offer.jail.layers) if newest is not None else ()

    def stats(self) -> MigrationStats:
        """Return how the migrations from this host went."""
        return stats(self._all.values())

    def view(self, migration: str, host_name: str) -> MigrationView:
        """Return one as readers see it. `NotFoundError` (MIGRATION_NOT_FOUND)."""
        journal = self.find(migration, outgoing=True) or self.find(migration, outgoing=False)
        if journal is None:
            raise NotFoundError(
                "MIGRATION_NOT_FOUND",
                f"this host knows of no migration {migration}",
                hint="list them, on the source or the target: jailctl migration ls",
                resource=f"migrations/{migration}",
            )
        return _view(journal, host_name)

    def views(self, host_name: str) -> list[MigrationView]:
        """Return all, newest first."""
        ordered = sorted(self._all.values(), key=lambda journal: journal.created, reverse=True)
        return [_view(journal, host_name) for journal in ordered]


def _view(journal: Journal, host_name: str) -> MigrationView:
    return MigrationView(
        id=journal.id,
        jail=journal.jail,
        outgoing=journal.outgoing,
        source=host_name if journal.outgoing else journal.peer,
        target=journal.peer if journal.outgoing else host_name,
        phase="tested" if journal.offer.test and journal.phase is Phase.ABORTED else journal.phase.value,
        created=journal.created,
        updated=journal.updated,
        epoch=journal.epoch,
        bytes=journal.bytes,
        rounds=journal.rounds,
        predicted=journal.predicted,
        predicted_at_least=journal.predicted_at_least,
        bandwidth=journal.bandwidth,
        downtime=journal.downtime,
        parts=journal.parts,
        message=journal.message,
        finalized=journal.phase is Phase.FINALIZED,
    )
