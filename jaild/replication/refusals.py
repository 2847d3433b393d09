"""Why a host keeps no replica of a jail."""

from __future__ import annotations

from jaild.engine.inventory import Inventory, JailEntry
from jaild.model.errors import FailedPreconditionError
from jaild.model.findings import Finding, Severity
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.replication.protocol import Known, ReplicaOffer
from jaild.transfer.acceptance import fenced_copy


def superseded(inventory: Inventory, jail: str, record: JailRecord) -> FailedPreconditionError:
    """Return the error for who believes to own a jail that this host knows a later owner of."""
    owner = inventory.host_names.get(record.owner, record.peer)
    failover = record.failover
    return FailedPreconditionError(
        "OWNER_SUPERSEDED",
        f"jail {jail} is {owner}'s with epoch {record.epoch}",
        remedy="stop it: the higher epoch is right",
        resource=f"jails/{jail}",
        detail={
            "epoch": str(record.epoch),
            "owner": record.owner,
            "owner_name": owner,
            "since": str(failover.since if failover is not None else 0.0),
            "at": str(failover.at if failover is not None else 0.0),
        },
    )


def superseded_by(jail: str, known: Known) -> FailedPreconditionError:
    """Return the error for who believes to own a jail of which this host remembers a later owner, and no more."""
    return FailedPreconditionError(
        "OWNER_SUPERSEDED",
        f"jail {jail} was {known.owner_name}'s with epoch {known.epoch}; its copy here was deleted",
        remedy="stop it: the higher epoch is right",
        resource=f"jails/{jail}",
        detail={
            "epoch": str(known.epoch),
            "owner": known.owner,
            "owner_name": known.owner_name,
            "since": str(known.since),
            "at": str(known.at),
        },
    )


def refusal_of(inventory: Inventory, entry: JailEntry | None, offer: ReplicaOffer) -> tuple[Finding, ...]:
    """Return what people have to do something about before a replica can be kept here."""
    if entry is None:
        return ()
    record, here = entry.record, inventory.host_name
    if record is None or record.uid != offer.jail.uid:
        return (
            _error("NAME_TAKEN", f"there is another jail {entry.name} on {here}", "rename or delete one of the two"),
        )
    if record.state is Ownership.FENCED:
        return (fenced_copy(inventory, entry),)
    return ()


def _error(code: str, message: str, remedy: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=code, message=message, remedy=remedy)
