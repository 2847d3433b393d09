"""What a master tells hosts about a rollout, what they answer, and the way between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from jaild.model.rollouts.fleet import Look

BATCH = 200  # hosts that one job is for


class Verb(StrEnum):
    """The functions of the execution module `jaild_rollout`."""

    PLAN = "plan"
    BEGIN = "begin"
    LOOK = "look"
    BACK = "back"
    RUNS = "runs"


@dataclass(frozen=True)
class Call:
    """What many hosts are told by one job."""

    verb: Verb
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a host answered to a call, by the call's number; `error` if it could not do it."""

    call: int
    host: str
    data: Any = None
    error: str = ""


class Transport(Protocol):
    """The way to hosts. Times are seconds since the epoch."""

    def now(self) -> float:
        """Return the time."""

    def send(self, call: Call, hosts: Sequence[str]) -> int:
        """Tell hosts, `BATCH` at most; return the call's number. Who of them has heard it is not known."""

    def receive(self, until: float) -> Sequence[Answer]:
        """Wait for answers, or for somebody's word, but no longer than until then; return what came."""


class JailPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One jail in a host's plan."""

    name: str
    wave: int = 0
    before: str = ""
    target: str = ""
    refused: bool = False
    problems: tuple[str, ...] = ()  # severity, code and message of each
    hint: str = ""


class HostPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a host's own rollout would do."""

    target: str = ""  # base or release
    guid: int = 0  # of its sealed snapshot there
    sha256: str = ""  # of the archive that it came from; empty if from none
    duration: float = 0.0  # seconds
    downtime: float = 0.0  # seconds, of all its jails in sum
    jails: tuple[JailPlan, ...] = ()
    ailing: tuple[str, ...] = ()  # all jails of the host that are not well
    refused: Look | None = None  # why it would not begin
    error: str = ""  # why there is no plan: it did not answer, or its daemon did not


class JailRuns(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a jail runs: names, and guids of the sealed snapshots."""

    name: str
    generation: int = 0
    base: str = ""
    base_guid: int = 0
    release: str = ""
    release_guid: int = 0
