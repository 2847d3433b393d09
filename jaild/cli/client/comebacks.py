"""Jails that an evacuation sent away, and their way back: each is asked of the host that has it now, by its context."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

from jaild.cli.client import contexts, waiting
from jaild.cli.client.connection import READ_SECONDS, Api, connect, pages
from jaild.cli.client.everywhere import within
from jaild.cli.client.mutation import failed
from jaild.cli.client.selection import ELSEWHERE
from jaild.cli.client.settings import Settings
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc
from jaild.v1 import common_pb2, evacuations_pb2, host_pb2, jails_pb2, migrations_pb2

_GONE = frozenset({evacuations_pb2.JailMove.STATE_MOVED, evacuations_pb2.JailMove.STATE_UNHEALTHY})
_DRAINING = "HOST_DRAINING"  # what a plan says as long as the host has not been undrained


@dataclass
class Comeback:
    """A jail that left, the host that has it, and how its way back went."""

    jail: str
    host: str
    plan: common_pb2.Plan | None = None
    operation: Any = None
    failure: Failure | None = None


def left(api: Api, host: host_pb2.HostInfo) -> list[Comeback]:
    """Return the jails that the evacuations of the present drain (or the last one, if there is none) took away.

    In the order in which they left; without those that are here again.
    """
    request = evacuations_pb2.ListEvacuationsRequest()
    found = pages(api.evacuations.ListEvacuations, request, "evacuations")
    if host.HasField("drain"):
        since = host.drain.since.ToNanoseconds()  # an evacuation is accepted before it drains
        found = [each for each in found if not each.HasField("end_time") or each.end_time.ToNanoseconds() >= since]
    else:
        found = found[:1]
    jails = pages(api.jails.ListJails, jails_pb2.ListJailsRequest(), "jails")
    here = {jail.name for jail in jails if jail.state not in ELSEWHERE}
    owner = {jail.name: jail.owner for jail in jails}
    away: dict[str, Comeback] = {}
    for evacuation in found[::-1]:
        for move in evacuation.moves:
            if move.state in _GONE and move.jail not in here:
                away[move.jail] = Comeback(move.jail, owner.get(move.jail) or move.target)
    return list(away.values())


@dataclass
class Comebacks:
    """The ways back of several jails to the host `home`, so many at once."""

    settings: Settings
    home: host_pb2.HostInfo
    request: migrations_pb2.MigrateJailRequest  # what all of them have in common
    _under_way: list[Comeback] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def plan(self, comebacks: Sequence[Comeback]) -> None:
        """Ask each host for the plan of its jail's way back."""
        self.request.validate_only = True
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._asked, comebacks))

    def carry_out(self, comebacks: Sequence[Comeback], parallel: int) -> None:
        """Bring them back, one that fails keeps no other. Ctrl-C cancels what can be, and begins no more."""
        with ThreadPoolExecutor(parallel) as pool:
            try:
                list(pool.map(self._asked, comebacks))
            except KeyboardInterrupt:
                self._over.set()
                for comeback in [*self._under_way]:
                    self._cancel(comeback)
                raise

    def _asked(self, comeback: Comeback) -> None:
        if self._over.is_set():
            comeback.failure = Failure("not begun", Exit.ABORTED)
            return
        if comeback.host not in contexts.load().known:
            address = next((peer.address for peer in self.home.peer_addresses if peer.name == comeback.host), "")
            hint = f"make it: {contexts.addition(comeback.host, address)}"
            comeback.failure = Failure(f"there is no context {comeback.host!r}", Exit.USAGE, hint=hint)
            return
        own = within(self.settings, comeback.host)
        try:
            with connect(own) as api:
                self._moved(api, comeback)
        except grpc.RpcError as error:
            comeback.failure = from_rpc(error, own.endpoint)
        if comeback.failure is not None and comeback.failure.reason == _DRAINING and self.request.validate_only:
            comeback.failure = None

    def _moved(self, api: Api, comeback: Comeback) -> None:
        request = migrations_pb2.MigrateJailRequest(name=comeback.jail, target=self.home.name)
        request.MergeFrom(self.request)
        if request.request_id:  # an id is for one request only
            request.request_id += f"/{comeback.jail}"
        comeback.operation = api.migrations.MigrateJail(request, timeout=READ_SECONDS)
        self._under_way.append(comeback)
        comeback.operation = api.end(comeback.operation)
        self._under_way.remove(comeback)
        plan = common_pb2.Plan()
        if comeback.operation.HasField("error"):
            comeback.failure = failed(comeback.operation)
        elif comeback.operation.response.Unpack(plan):
            problems = [problem for problem in plan.problems if problem.code != _DRAINING]
            del plan.problems[:]
            plan.problems.extend(problems)
            comeback.plan = plan

    def _cancel(self, comeback: Comeback) -> None:
        own = within(self.settings, comeback.host)
        try:
            with connect(own) as api:
                waiting.cancel(api, comeback.operation.name)
        except grpc.RpcError as error:  # past its commit point: it comes to its end there
            comeback.failure = from_rpc(error, own.endpoint)
