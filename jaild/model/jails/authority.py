"""What may be done with a jail on this host: the one place that decides it, for every command, peer and repair.

Asked are its record (who owns it, by which epoch), what the journals here saw in force, and whether the hosts that may
have taken it over while this one was away have been heard (docs/decisions/0280).

| | owned | unconfirmed | superseded | foreign | others |
|---|---|---|---|---|---|
| READ: show, exec, what it wrote here | yes | yes | yes | yes | yes |
| LOOK_INTO: logs, generations | yes | yes | yes | yes | frozen, claimed, deleting |
| RUN_ON: be left running, be told of as its owner's | yes | yes | no | no | no |
| TELL: tell those whom a failover by this host concerns | yes | yes | no | no | no |
| GIVE_UP: stop it for a host that proved a higher epoch | yes | yes | no | no | no |
| STOP | yes | yes | no | no | no |
| WRITE: write into its data from without | yes | no | no | no | no |
| START: start, restart | yes | no | no | no | no |
| CHANGE: deploy, upgrade, configure, rollback | yes | no | no | no | no |
| SETTLE: confirm or revert the last change | yes | no | no | no | no |
| COPY: clone, export | yes | yes | no | no | no |
| TEST MIGRATION | yes | no | no | no | no |
| REPLICATE: send rounds, name and withdraw standbys | yes | no | no | no | no |
| MIGRATE: migrate, evacuate, hand over | asked first | no | no | no | no |
| GIVE_AWAY: the same once it is under way, and salvage | asked first | no | no | no | no |
| COMMIT: hand over what is frozen for it | no | no | no | no | frozen |
| DELETE | yes | no | yes | yes | moved, standby, fenced, deleting |
| PROMOTE | no | no | no | no | standby |
| ADOPT | no | no | no | yes | incoming, prepared |

Unconfirmed is a jail of this host that did not run when its daemon started, to be started or stopped, until every
standby has said that it has not taken it over, or an operator has. A jail that ran on while its daemon was away is
owned: what else it did could not be undone by waiting. "Asked first": at the moment of giving any jail away its
standbys are asked once more, and one that is silent counts as unconfirmed for that (`jaild.transfer.sole_owner`).

A jail whose last change waits to be confirmed is neither changed nor migrated before that is settled: `_awaited`. A
salvage is not kept by that, since a pool that fails may not take the record that settles it.

Data of which a restore has replaced a part only is neither started nor sent anywhere: `_restoring`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.replication.policy import moment, vouching


class Intent(StrEnum):
    """What somebody wants to do with a jail. There is nothing else."""

    READ = "read"
    LOOK_INTO = "look into"
    RUN_ON = "run on"
    TELL = "tell"
    GIVE_UP = "give up"
    STOP = "stop"
    WRITE = "write into"
    START = "start"
    CHANGE = "change"
    SETTLE = "settle"
    COPY = "copy"
    TEST = "test migration"
    REPLICATE = "replicate"
    MIGRATE = "migrate"
    GIVE_AWAY = "give away"
    COMMIT = "commit"
    DELETE = "delete"
    PROMOTE = "promote"
    ADOPT = "adopt"


class Standing(StrEnum):
    """What a jail is to this host."""

    OWNED = "owned"  # active here, in force, and nobody can have taken it over unseen
    UNCONFIRMED = "unconfirmed"  # the same, but for hosts that have not said yet that they have not taken it over
    SUPERSEDED = "superseded"  # it says that it is this host's, and was handed on since: it comes from an old pool
    FOREIGN = "foreign"  # active, and another host's: its pool was imported here
    FROZEN = "frozen"
    DOUBTED = "frozen, in doubt"  # frozen, and somebody may have taken it over
    INCOMING = "incoming"
    PREPARED = "prepared"
    MOVED = "moved"
    STANDBY = "standby"
    CLAIMED = "claimed"
    FENCED = "fenced"
    DELETING = "deleting"


_OWNED = frozenset({Standing.OWNED})
_IN_FORCE = frozenset({Standing.OWNED, Standing.UNCONFIRMED})
_COPIES = frozenset({Standing.SUPERSEDED, Standing.FOREIGN, Standing.MOVED, Standing.STANDBY, Standing.FENCED})

_COMING = frozenset({Standing.INCOMING, Standing.PREPARED})

# Another host is the one to ask.
_ELSEWHERE = _COPIES - {Standing.SUPERSEDED} | _COMING
_SETTLED = frozenset({Intent.CHANGE, Intent.MIGRATE})  # not while the last change waits to be confirmed
_WHOLE = _SETTLED | {Intent.START, Intent.SETTLE, Intent.TEST, Intent.REPLICATE, Intent.GIVE_AWAY}  # not half restored

ALLOWED: Mapping[Intent, frozenset[Standing]] = {
    Intent.READ: frozenset(Standing),
    Intent.LOOK_INTO: frozenset(Standing) - _COPIES - _COMING | {Standing.SUPERSEDED, Standing.FOREIGN},
    Intent.RUN_ON: _IN_FORCE,
    Intent.TELL: _IN_FORCE,
    Intent.GIVE_UP: _IN_FORCE,
    Intent.STOP: _IN_FORCE,
    Intent.WRITE: _OWNED,
    Intent.START: _OWNED,
    Intent.CHANGE: _OWNED,
    Intent.SETTLE: _OWNED,
    Intent.COPY: _IN_FORCE,
    Intent.TEST: _OWNED,
    Intent.REPLICATE: _OWNED,
    Intent.MIGRATE: _OWNED,
    Intent.GIVE_AWAY: _OWNED,
    Intent.COMMIT: frozenset({Standing.FROZEN}),
    Intent.DELETE: _OWNED | _COPIES | {Standing.DELETING},
    Intent.PROMOTE: frozenset({Standing.STANDBY}),
    Intent.ADOPT: frozenset({Standing.FOREIGN, Standing.INCOMING, Standing.PREPARED}),
}

_WHY: Mapping[Standing, tuple[str, str, str]] = {
    Standing.OWNED: ("ILLEGAL_TRANSITION", "is active here, not frozen to be handed over", "migrate it again"),
    Standing.FOREIGN: ("JAIL_NOT_OWNED", "belongs to {owner}", "ask {owner}"),
    Standing.FROZEN: ("JAIL_MIGRATING", "is being migrated", "wait for the migration, or cancel its operation"),
    Standing.INCOMING: ("JAIL_INCOMING", "is being received from {owner}", "ask {owner}"),
    Standing.PREPARED: ("JAIL_INCOMING", "waits for the hand-over from {owner}", "ask {owner}"),
    Standing.MOVED: ("JAIL_MOVED", "moved to {owner}", "ask {owner}"),
    Standing.STANDBY: ("JAIL_STANDBY", "is a replica here of the one on {owner}", "ask {owner}, or promote this one"),
    Standing.CLAIMED: ("JAIL_STANDBY", "is being taken over", "wait for that operation"),
    Standing.FENCED: ("JAIL_FENCED", "was taken over by {owner}", "ask {owner}"),
    Standing.DELETING: ("JAIL_DELETING", "is being deleted", "wait until it is gone"),
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What there is to decide by: a jail as this host has it."""

    jail: str  # its name
    record: JailRecord
    host: str  # this host's id
    known_epoch: int = 0  # the highest that the journals here saw in force
    unconfirmed: frozenset[str] = frozenset()  # names of hosts that may have taken it over
    owner_name: str = ""  # of the host that owns it; empty if it is not known
    owner_address: str = ""  # where that is reached, host:port; empty if it is no peer of this host

    @property
    def standing(self) -> Standing:
        """What the jail is to this host."""
        return standing_of(self.record, self.host, self.known_epoch, self.unconfirmed)

    @property
    def names_this_host(self) -> bool:
        """Whether the jail is this host's own by its record, in force, also while it is being deleted."""
        return self.record.owner == self.host and self.record.epoch >= self.known_epoch


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why something may not be done, and what lets it be done."""

    reason: str
    message: str
    hint: str
    resource: str
    detail: Mapping[str, str] = field(default_factory=dict)

    def error(self) -> FailedPreconditionError:
        """Return it as it is raised."""
        return FailedPreconditionError(
            self.reason, self.message, hint=self.hint, resource=self.resource, detail=dict(self.detail)
        )


def standing_of(
    record: JailRecord, host: str, known_epoch: int = 0, unconfirmed: Iterable[str] = frozenset()
) -> Standing:
    """Return what a jail is to the host with this id."""
    if record.state is Ownership.FROZEN:
        return Standing.DOUBTED if unconfirmed else Standing.FROZEN
    if record.state is not Ownership.ACTIVE:
        return Standing(record.state.value)
    if record.owner != host:
        return Standing.FOREIGN
    if record.epoch < known_epoch:
        return Standing.SUPERSEDED
    return Standing.UNCONFIRMED if unconfirmed else Standing.OWNED


def refusal(intent: Intent, claim: Claim) -> Refusal | None:
    """Return why something may not be done with a jail; None if it may."""
    standing = claim.standing
    if standing in ALLOWED[intent]:
        halfway = _restoring(claim) if intent in _WHOLE else None
        return halfway or (_awaited(claim) if intent in _SETTLED else None)
    resource = f"jails/{claim.jail}"
    match intent, standing:
        case Intent.PROMOTE, _:
            return Refusal(
                reason="JAIL_NOT_STANDBY",
                message=f"jail {claim.jail} is {claim.record.state} here, no standby",
                hint="promote where `jailctl jail ls` says standby; for incoming or prepared: jailctl adopt --force",
                resource=resource,
            )
        case Intent.ADOPT, _:
            return Refusal(
                reason="NOT_ADOPTABLE",
                message=f"jail {claim.jail} is {claim.record.state} here",
                hint="adopt takes what an interrupted migration left (incoming, prepared), or a jail of another host "
                "on an imported pool; a standby is promoted",
                resource=resource,
            )
        case _, Standing.UNCONFIRMED | Standing.DOUBTED:
            return unconfirmed(claim)
        case _, Standing.SUPERSEDED:
            return Refusal(
                reason="JAIL_SUPERSEDED",
                message=f"jail {claim.jail} is here with epoch {claim.record.epoch}, but epoch {claim.known_epoch} of "
                "it was seen",
                hint="this is an old copy: look for the migration by which it left (jailctl migration ls); delete "
                "this copy when the jail is well where it went",
                resource=resource,
                detail={"epoch": str(claim.record.epoch), "known_epoch": str(claim.known_epoch)},
            )
    reason, message, hint = (text.format(owner=claim.owner_name or "another host") for text in _WHY[standing])
    detail = {}
    if claim.owner_name and standing in _ELSEWHERE:
        hint += f": jailctl --context {claim.owner_name} jail show {claim.jail}, or add --follow-owner"
        detail = {"owner": claim.owner_name}
        if claim.owner_address:
            detail["address"] = claim.owner_address
    message = f"jail {claim.jail} {message}"
    return Refusal(reason=reason, message=message, hint=hint, resource=resource, detail=detail)


def require_whole(claim: Claim) -> None:
    """Raise `FailedPreconditionError` (JAIL_RESTORING) if a restore has replaced a part of a jail's data only."""
    found = _restoring(claim)
    if found is not None:
        raise found.error()


def _restoring(claim: Claim) -> Refusal | None:
    """Return why a jail of which a restore has replaced a part only is left as it is; None for any other."""
    restoring = claim.record.restoring
    if restoring is None or restoring.whole:
        return None
    return Refusal(
        reason="JAIL_RESTORING",
        message=f"the data of jail {claim.jail} is being restored, and not whole",
        hint="wait for that operation; if none is under way, restart the daemon: it puts the data back as it was in "
        f"{restoring.before}",
        resource=f"jails/{claim.jail}",
    )


def _awaited(claim: Claim) -> Refusal | None:
    """Return why a jail is left as it is until its last change is confirmed or reverted; None if that is settled."""
    confirm = claim.record.confirm
    if confirm is None:
        return None
    return Refusal(
        reason="CHANGE_UNCONFIRMED",
        message=f"the last change of jail {claim.jail} ({confirm.kind}) waits for its confirmation until "
        f"{moment(confirm.until)}",
        hint=f"keep it: jailctl jail confirm-change {claim.jail}; or undo it now: jailctl jail revert-change "
        f"{claim.jail}; then ask again",
        resource=f"jails/{claim.jail}",
        detail={"back_to": str(confirm.back_to), "kind": confirm.kind},
    )


def unconfirmed(claim: Claim, *, asked: bool = False) -> Refusal:
    """Return the refusal for a jail that one of `claim.unconfirmed` may have taken over.

    `asked`: it was about to be given away, not held back since the host's start.
    """
    hosts = ", ".join(sorted(claim.unconfirmed))
    sentence = vouching(claim.jail, claim.unconfirmed)
    waits = not asked and claim.standing is Standing.UNCONFIRMED and claim.record.desired is Desired.RUNNING
    then = "it starts by itself" if waits else "ask again"
    return Refusal(
        reason="STANDBYS_UNCONFIRMED",
        message=f"jail {claim.jail} may have been taken over{'' if asked else ' while this host was away'}: "
        f"{hosts} has not answered",
        hint=f"{then} as soon as all have answered that they have not; if you know that: "
        f'jailctl jail force-start {claim.jail} --confirm "{sentence}"',
        resource=f"jails/{claim.jail}",
        detail={"confirm": sentence},
    )


def require(intent: Intent, claim: Claim) -> None:
    """Raise `FailedPreconditionError` unless something may be done with a jail."""
    found = refusal(intent, claim)
    if found is not None:
        raise found.error()
