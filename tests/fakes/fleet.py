"""Hosts of a fleet that a rollout's driver speaks to: they live by a clock of their own, and nothing waits for it.

A host does what a real one does of a rollout: its own rollout takes time, ends well or not, and is begun once for a
request, however often it is told. Messages take time, and are lost while a host is cut off.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from jaild.model.rollouts.decision import RolloutState
from jaild.model.rollouts.fleet import Look
from jaild.salt.rollout.messages import BATCH, Answer, Call, HostPlan, JailPlan, JailRuns, Verb

LATENCY = 0.05  # seconds, one way
LINGER = 0.2
START = 1_000_000.0
OLD, NEW = "bases/old", "bases/new"


@dataclass
class Host:
    """One host. Times in seconds."""

    name: str
    site: str = ""
    group: str = ""
    jails: int = 20
    seconds: float = 60.0  # of its own rollout
    failing: int = 0  # jails whose change fails; its own rollout is paused by them
    sick_after: float | None = None  # so long after its change a jail crashes for good
    refuses: str = ""  # the reason
    away: tuple[tuple[float, float], ...] = ()  # it is cut off from its master; it goes on
    slow: float = 0.0  # until it does what it is told
    ahead: float = 0.0  # of the master's clock
    undoing: float = 10.0  # seconds that its undo takes
    began: float = 0.0
    back: float = 0.0  # when its undo began
    requests: set[str] = field(default_factory=set)
    begun: list[float] = field(default_factory=list)  # every beginning

    def answers(self, now: float) -> bool:
        return not any(begin <= now < end for begin, end in self.away)

    def changes(self, now: float) -> bool:
        """Whether its jails are being changed at that time."""
        return bool(self.began) and (
            self.began <= now < self.began + self.seconds or self.back <= now < self.back + self.undoing
        )

    def moved(self, now: float) -> bool:
        return bool(self.began) and not self.back and now >= self.began

    def do(self, call: Call, now: float) -> Any:
        match call.verb:
            case Verb.PLAN:
                return msgspec.to_builtins(self.plan())
            case Verb.RUNS:
                return msgspec.to_builtins(self.runs(now))
            case Verb.BEGIN if self.refuses:
                return msgspec.to_builtins(Look(state=RolloutState.REFUSED, reason=self.refuses))
            case Verb.BEGIN:
                if now + self.ahead > call.arguments["expires"] and not self.began:
                    return msgspec.to_builtins(Look(state=RolloutState.REFUSED, reason="ROLLOUT_EXPIRED"))
                request = f"{call.arguments['rollout']}-{call.arguments['attempt']}"
                if request not in self.requests and now + self.ahead <= call.arguments["expires"]:
                    self.requests.add(request)
                    self.began = now
                    self.begun.append(now)
            case Verb.BACK if self.began and not self.back:
                self.back = now
        return msgspec.to_builtins(self.look(now))

    def plan(self) -> HostPlan:
        jails = tuple(JailPlan(name=f"j{n}", wave=1, before=OLD, target=NEW) for n in range(self.jails))
        return HostPlan(target=NEW, guid=1, duration=self.seconds, jails=jails)

    def runs(self, now: float) -> list[JailRuns]:
        base = NEW if self.moved(now) else OLD
        return [JailRuns(name=f"j{n}", base=base, base_guid=1) for n in range(self.jails)]

    def look(self, now: float) -> Look:
        if not self.began:
            return Look()
        over = now >= self.began + self.seconds
        state = RolloutState.RUNNING if not over else RolloutState.PAUSED if self.failing else RolloutState.DONE
        back = None
        if self.back:
            back = RolloutState.UNDONE if now >= self.back + self.undoing else RolloutState.UNDOING
            state = back
        moved = 0 if back is RolloutState.UNDONE or not over else self.jails - self.failing
        sick = over and self.sick_after is not None and now >= self.began + self.seconds + self.sick_after
        return Look(
            state=state,
            back=back,
            rollout="r",
            jails=self.jails,
            moved=moved,
            failed=self.failing if over else 0,
            healthy=now - self.began - self.seconds if over and not sick else None,
            over="j0: crash-loop" if sick else "",
            reason="HEALTH_CHECK_FAILED" if over and self.failing else "",
        )


class Fleet:
    """The transport to hosts that are made up."""

    def __init__(self, hosts: Iterable[Host], now: float = START) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.jobs = self.answers = self.most_waiting = 0
        self.together: list[tuple[str, str]] = []  # two hosts of a group that were changed at once
        self._now = now
        self._due: list[tuple[float, int, Host, Call, int]] = []
        self._back: list[tuple[float, int, Answer]] = []
        self._count = 0
        self._groups: dict[str, list[Host]] = {}
        for host in self.hosts.values():
            self._groups.setdefault(host.group, []).append(host)

    def now(self) -> float:
        return self._now

    def send(self, call: Call, hosts: Sequence[str]) -> int:
        assert 0 < len(hosts) <= BATCH
        self.jobs += 1
        for name in hosts:
            host = self.hosts[name]
            self._count += 1
            heapq.heappush(self._due, (self._now + LATENCY + host.slow, self._count, host, call, self.jobs))
        self.most_waiting = max(self.most_waiting, len(self._due) + len(self._back))
        return self.jobs

    def receive(self, until: float) -> Sequence[Answer]:
        found: list[Answer] = []
        end = until
        while True:
            at = min(self._due[0][0] if self._due else end, self._back[0][0] if self._back else end)
            if at >= end:
                self._now = max(self._now, end)
                return found
            self._now = max(self._now, at)
            if self._back and self._back[0][0] <= at:
                found.append(heapq.heappop(self._back)[2])
                end = min(until, self._now + LINGER) if len(found) == 1 else end
                self.answers += 1
            else:
                self._deliver(*heapq.heappop(self._due)[2:])

    def _deliver(self, host: Host, call: Call, number: int) -> None:
        if not host.answers(self._now):
            return
        before = len(host.begun)
        told = host.do(call, self._now)
        if len(host.begun) > before and host.group:
            others = (other for other in self._groups[host.group] if other is not host and other.changes(self._now))
            self.together += ((host.name, other.name) for other in others)
        if host.answers(self._now + LATENCY):
            self._count += 1
            heapq.heappush(self._back, (self._now + LATENCY, self._count, Answer(number, host.name, data=told)))


def runs_new(hosts: Mapping[str, Host], now: float) -> set[str]:
    """The hosts that run the new base."""
    return {name for name, host in hosts.items() if host.moved(now)}
