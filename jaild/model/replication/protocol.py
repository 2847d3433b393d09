"""What two hosts say to each other about replicas and owners. Mirrors `proto/jaild/peer/v1/standby.proto`."""

from __future__ import annotations

import msgspec

from jaild.model.migration.protocol import DatasetState, JailOffer
from jaild.model.problems import Problem

DELETED = "deleted"  # state of a jail whose copy a host had and has deleted: it remembers the epoch and the owner


class ReplicaOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An owner asks a host to keep a replica."""

    source_id: str  # host id
    source_name: str
    jail: JailOffer
    interval: float  # seconds
    others: tuple[str, ...] = ()  # names of the other hosts that keep one


class ReplicaState(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: what is there already. An error among the problems is a refusal."""

    problems: tuple[Problem, ...] = msgspec.field(name="findings", default=())
    missing_layers: tuple[str, ...] = ()
    datasets: tuple[DatasetState, ...] = ()
    round: str = ""  # the newest whole one
    taken: float = 0.0  # when that was taken, by the owner's clock


class RollBack(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset of a replica, and the newest snapshot that both sides have."""

    jail: str
    uid: str
    epoch: int
    dataset: str = ""
    guid: int


class WholeRound(msgspec.Struct, frozen=True, kw_only=True):
    """A round of which every dataset's snapshot has arrived."""

    jail: str
    uid: str
    epoch: int
    round: str
    taken: float
    guids: dict[str, int]  # by the dataset's path


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has of a jail."""

    state: str = ""  # as its record has it, or DELETED; empty for nothing of that name and uid
    owner: str = ""  # host id
    owner_name: str = ""
    epoch: int = 0
    taken: float = 0.0  # of a replica's newest whole round
    since: float = 0.0  # of a failover: what the former owner wrote later is not in it
    at: float = 0.0  # when it was taken over


class HandingOver(msgspec.Struct, frozen=True, kw_only=True):
    """How a planned hand-over goes that a standby has asked for."""

    done: bool = False
    reason: str = ""  # why it failed
    message: str = ""


class Supersession(msgspec.Struct, frozen=True, kw_only=True):
    """A jail was taken over."""

    jail: str
    uid: str
    epoch: int
    owner: str  # host id
    owner_name: str
    since: float = 0.0
    at: float = 0.0
