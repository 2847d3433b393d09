"""Who may speak about a jail: its parties, and nobody else, whatever a host's certificate lets it ask.

    owner     of the copy that is kept here, or whom the jail was handed to
    standbys  hosts that keep, or are to keep, a replica: one of them may have taken the jail over, or asks for it
    targets   of migrations from here that are under way, or whose copy was adopted by force

All of it is what this host's own records say. A host that has it from another one that it is the owner (a jail moves on
to a third host, and comes back from there) is a party by the word of a party: that one is asked, and never the speaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.migration.protocol import Offer
from jaild.model.replication.policy import to_be_confirmed
from jaild.model.replication.protocol import Known, ReplicaOffer, Supersession

_OWNING = frozenset({Ownership.ACTIVE, Ownership.FROZEN, Ownership.DELETING})


@dataclass(frozen=True)
class Introduction:
    """A host says who it is."""

    host_id: str
    host_name: str


@dataclass(frozen=True)
class Arriving:
    """A call of a source about its migration to this host."""

    migration: str


@dataclass(frozen=True)
class Leaving:
    """A question of a target about its migration from this host."""

    migration: str


@dataclass(frozen=True)
class Replicated:
    """A call of an owner about the replica that is kept here."""

    jail: str


@dataclass(frozen=True)
class Wanted:
    """A standby asks for the jail."""

    jail: str
    uid: str
    target: str  # who asks


# What is said, as far as it decides who may say it.
About = Introduction | Offer | Arriving | Leaving | ReplicaOffer | Replicated | Wanted | Supersession


@dataclass(frozen=True)
class Ties:
    """The hosts that have to do with a jail, by name. `owner` is empty where this host owns it."""

    owner: str
    standbys: frozenset[str]
    targets: frozenset[str]

    def may_own(self, speaker: str) -> bool:
        """Say whether a host is believed that it owns the jail."""
        return speaker in self.parties

    def may_ask_for_it(self, speaker: str) -> bool:
        """Say whether this host hands the jail over to a host that asks for it."""
        return not self.owner and speaker in self.standbys

    @property
    def parties(self) -> frozenset[str]:
        """All of them."""
        return (self.standbys | self.targets | {self.owner}) - {""}


def ties_of(record: JailRecord, spec: JailSpec | None, *, host_id: str, host: str, targets: frozenset[str]) -> Ties:
    """Return who has to do with a jail, by its record, its active spec and `targets` of the journal."""
    mine = record.state in _OWNING and record.owner == host_id
    return Ties(
        owner="" if mine else record.peer,
        standbys=to_be_confirmed(record, spec, host),
        targets=targets - {host},
    )


def witnesses(ties: Ties, speaker: str) -> frozenset[str]:
    """Return whose word makes a host a party that is none by this host's own records."""
    return ties.parties - {speaker}


def vouched(speaker: str, epoch: int, answers: Mapping[str, Known | None]) -> bool:
    """Say whether a witness answered that the speaker owns the jail, with an epoch not older than what is here."""
    return any(k is not None and k.state and k.owner_name == speaker and k.epoch >= epoch for k in answers.values())


def next_witnesses(epoch: int, answers: Mapping[str, Known | None]) -> frozenset[str]:
    """Return whom the witnesses name as owners after what is here: each of them can tell whom it was handed on to."""
    return frozenset(
        k.owner_name for k in answers.values() if k is not None and k.state and k.owner_name and k.epoch >= epoch
    )


def require_itself(speaker: str, name: str) -> None:
    """Raise `PermissionDeniedError` (PEER_MISMATCH) unless the speaker's certificate is that of the host `name`."""
    if speaker != name:
        raise PermissionDeniedError(
            "PEER_MISMATCH",
            f"{speaker} speaks in the name of {name or 'no host'}",
            hint="give each host a certificate with its own configured name",
            detail={"actor": speaker, "peer": name},
        )


def stranger(speaker: str, what: str, here: str, hint: str) -> PermissionDeniedError:
    """Return the refusal for a host that has nothing to do with what it speaks about."""
    return PermissionDeniedError(
        "NOT_A_PARTY",
        f"{speaker} has nothing to do with {what}, as far as {here} knows",
        hint=hint,
        resource=what,
        detail={"actor": speaker},
    )
