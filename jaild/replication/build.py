"""The room of replicas and failover, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.engine.recovery import JailStage, Resume, Stage
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.replication.failover import Failover
from jaild.replication.fencing import Fencing
from jaild.replication.parties import Parties
from jaild.replication.replicas import ReplicaStore
from jaild.replication.round import ReplicationRound
from jaild.replication.rpc import PromotionsServicer, StandbyServicer
from jaild.replication.scheduler import ENDING, Standbys
from jaild.replication.service import Promotions
from jaild.replication.start_guard import StartGuard
from jaild.transfer.build import TransferParts


@dataclass(frozen=True, kw_only=True)
class ReplicationParts:
    """What the rooms above use, and the use cases."""

    fencing: Fencing
    start_guard: StartGuard
    replica_store: ReplicaStore
    standbys: Standbys
    failover: Failover
    promotions: Promotions
    parties: Parties


def build(engine: Engine, jails: JailParts, transfer: TransferParts, migration: MigrationParts) -> ReplicationParts:
    """Put the room together. Nothing is started."""
    fencing = Fencing(engine, jails, transfer, migration)
    engine.deleted.when_untold(fencing.tell_of_deleted)
    start_guard = StartGuard(engine, transfer.sole, fencing)
    transfer.sole.when_in_doubt(start_guard.look_into)
    replica_store = ReplicaStore(engine, jails, transfer)
    standbys = Standbys(engine, jails, ReplicationRound(engine, transfer, fencing), replica_store)
    engine.dispatcher.before(ENDING, standbys.give_way)
    jails.jails.replicated_by(standbys)
    parties = Parties(engine, transfer, replica_store)
    engine.services.parties.decided_by(parties)
    failover = Failover(engine, jails, transfer, migration, replica_store, fencing)
    promotions = Promotions(engine, jails, migration, failover, start_guard)
    engine.recovery.of_recordless(replica_store.clear_left)
    engine.recovery.of_jail(JailStage.FAILOVER, failover.recover)
    engine.recovery.at(Stage.HOLD_BACK, start_guard.hold_back)
    engine.recovery.resumes(Resume.TELL, fencing.tell_all)
    # Here, not in the room of migrations: a jail is not given away before those that may have it have been heard.
    engine.recovery.resumes(
        Resume.LEAVING, lambda: migration.source.recover(start_guard.until_it_serves, engine.recovery.tell)
    )
    engine.services.add(PromotionsServicer(promotions, engine.messages))
    engine.services.add(StandbyServicer(replica_store, fencing, promotions, engine.services.parties))
    return ReplicationParts(
        fencing=fencing,
        start_guard=start_guard,
        replica_store=replica_store,
        standbys=standbys,
        failover=failover,
        promotions=promotions,
        parties=parties,
    )
