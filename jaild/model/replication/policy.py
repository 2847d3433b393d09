"""Replicas and failovers, decided purely: what is kept, who may start a jail, what an operator has to say in words."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.replication.protocol import DELETED, Known

# Whole rounds on both sides: a standby that is one or two behind has a snapshot in common with a new owner.
KEPT = 3
# A failover by force raises the epoch by this at least: the former owner may have handed over a few times since the
# standby heard of it last, each time by one.
LEAP = 1000
_OWNING = frozenset({Ownership.ACTIVE, Ownership.FROZEN})
_AND = ", "  # between the clauses of an operator's sentence


def tag_of(epoch: int, now: float) -> str:
    """Return the tag of a round that is begun now: no other owner, and no other round, has the same."""
    return f"standby-{epoch}-{int(now * 1000)}"


def wanted(spec: JailSpec | None, host: str) -> tuple[str, ...]:
    """Return the hosts that are to keep a replica of a jail that `host` owns."""
    return () if spec is None or spec.standby is None else tuple(p for p in spec.standby.peers if p != host)


def to_be_confirmed(record: JailRecord, spec: JailSpec | None, host: str) -> frozenset[str]:
    """Return the hosts, but for `host`, that keep or may keep a replica: each may have taken the jail over unnoticed.

    By what the record says of them as its owner's, or as a replica's, and what the spec says.
    """
    others = record.replica.others if record.replica is not None else ()
    return frozenset({*record.standbys, *others, *wanted(spec, host)} - {host})


def leap(epoch: int, host_id: str) -> int:
    """Return the epoch of a failover by force: two hosts that take over at once get different ones."""
    return epoch + LEAP + int(host_id[:4] or "0", 16) % LEAP


def due(age: float, tried: float, interval: float) -> bool:
    """Say whether a round is to begin: after half the interval, so that one that takes as long is still in time.

    `age`: seconds since the last whole round was taken; `tried`: since one was begun last.
    """
    return age >= interval / 2 and tried >= min(interval / 2, 10.0)


def dropped(rounds: Sequence[tuple[str, int]], having: Iterable[Collection[int]]) -> list[str]:
    """Return which of jaild's rounds of a dataset (tag and guid, oldest first) may go.

    The newest few stay, and of each standby (`having`: the guids that it has, or may have) the newest that it has too.
    """
    keep = {next((guid for _, guid in reversed(rounds) if guid in there), 0) for there in having}
    return [tag for tag, guid in rounds[:-KEPT] if guid not in keep]


@dataclass(frozen=True)
class Clear:
    """Nobody has taken the jail over."""


@dataclass(frozen=True)
class Unconfirmed:
    """These hosts may have: they have not answered, or are just deciding."""

    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Superseded:
    """One has, or knows who has."""

    host: str
    known: Known


def verdict(epoch: int, answers: Mapping[str, Known | None]) -> Clear | Unconfirmed | Superseded:
    """Decide whether an owner with `epoch` is still the owner, by what its standbys answered (None: nothing)."""
    higher = {host: known for host, known in answers.items() if known is not None and known.epoch > epoch}
    if higher:
        host = max(higher, key=lambda name: higher[name].epoch)
        return Superseded(host, higher[host])
    silent = [host for host, known in answers.items() if known is None or known.state == Ownership.CLAIMED]
    return Unconfirmed(tuple(sorted(silent))) if silent else Clear()


@dataclass(frozen=True)
class Owned:
    """A host answers that the jail is its own: it can hand it over."""

    host: str


@dataclass(frozen=True)
class Elsewhere:
    """Another host has it, claims it, or has seen a higher epoch: there is nothing to take over."""

    host: str
    known: Known


@dataclass(frozen=True)
class Orphaned:
    """Nobody answers that it has the jail. `words`: what the operator has to vouch for.

    `epoch`: the highest that was heard of. Who takes the jail over gets a higher one, or it would be stopped later by
    whoever remembers that one.
    """

    words: str
    epoch: int

    def is_said_in(self, sentence: str) -> bool:
        """Say whether an operator's sentence vouches for all of it."""
        return set(self.words.split(_AND)) <= set(sentence.split(_AND))


def claimable(name: str, record: JailRecord, answers: Mapping[str, Known | None]) -> Owned | Elsewhere | Orphaned:
    """Decide what a failover of `record` can be, by what each host answered that may have the jail (None: nothing).

    Each that is silent may have become its owner since this host heard of it last: promoted as a standby, or the target
    of a migration. That it has not is vouched for, whatever the state of the copy here.
    """
    answered = {
        host: known for host, known in answers.items() if known is not None and known.state not in {"", DELETED}
    }
    gone = {host: known for host, known in answers.items() if known is not None and known.state == DELETED}
    for host, known in sorted(answered.items(), key=lambda item: -item[1].epoch):
        if known.state in _OWNING and known.epoch >= record.epoch:
            return Owned(host)
        if known.epoch > record.epoch or known.state == Ownership.CLAIMED:
            return Elsewhere(host, known)
    replica = record.replica
    lost = f"{record.peer} has lost {name}" if answers.get(record.peer) is not None else f"{record.peer} is down"
    silent = sorted(host for host, known in answers.items() if known is None and host != record.peer)
    taken = replica.taken if replica is not None else 0.0
    newer = [f"{host} has newer data" for host, known in sorted(answered.items()) if known.taken > taken]
    deleted = [
        f"{name} is wanted again, though {host} has deleted it"
        for host, known in sorted(gone.items())
        if known.owner_name == host and known.epoch >= record.epoch
    ]
    epoch = max([record.epoch, *(known.epoch for known in gone.values())])
    return Orphaned(_AND.join([lost, *_vouched_for(name, silent), *newer, *deleted]), epoch)


def vouching(name: str, hosts: Iterable[str]) -> str:
    """Return the sentence that lets a jail start although these standbys have not answered."""
    return _AND.join(_vouched_for(name, sorted(hosts)))


def _vouched_for(name: str, hosts: Iterable[str]) -> list[str]:
    return [f"{host} has not taken over {name}" for host in hosts]


def lasting(record: JailRecord, host: str) -> str:
    """Return what this host (its id) is to tell of a jail for as long as its record says so.

    What waits, who has it, what it lost.
    """
    if record.state is Ownership.ACTIVE and record.owner != host:
        return "another host's, brought here with its dataset: if that host is gone for good, jailctl adopt --force"
    if (confirm := record.confirm) is not None and record.state is Ownership.ACTIVE:
        return (
            f"generation {confirm.back_to} comes back at {moment(confirm.until)} unless its {confirm.kind} is confirmed"
        )
    failover = record.failover
    if record.state is not Ownership.FENCED or failover is None:
        return record.salvaged
    when = f" at {moment(failover.at)}" if failover.at else ""
    lost = f"; what was written here after {moment(failover.since)} is in this copy only" if failover.since else ""
    return f"{failover.host} took it over{when}{lost}"


def moment(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
