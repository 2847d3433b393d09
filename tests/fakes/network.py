"""Hosts that speak to each other in one process: calls can be lost, answered in vain, doubled, or end in a crash.

What they say passes the real edge (`tests.fakes.edge`): what does not survive the wire does not survive this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import Context as Variables
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc

from jaild.adapters.peers import Connection, GrpcPeer
from jaild.model.errors import NotFoundError
from jaild.peer.v1 import peer_pb2
from jaild.ports.peer import Address
from tests.fakes.edge import CallContext, Channel, carried, failure, served_as
from tests.fakes.faults import At, Crash, Life, is_at

if TYPE_CHECKING:
    from tests.fakes.host import InProcessHost


class Fault(StrEnum):
    """What happens to the chosen call."""

    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    TWICE = "carried out twice"
    CUT = "network cut before"  # this call and all after it, until `Network.heal`
    CUT_AFTER = "network cut after"
    CALLER_DIES = "caller dies before"
    CALLER_DIES_AFTER = "caller dies after"
    CALLEE_DIES = "callee dies before"
    CALLEE_DIES_AFTER = "callee dies after"
    LATE = "request late"  # the caller is told that it was lost; it is carried out after the next call
    CUT_WITHIN = "network cut within"  # in the middle of a stream
    CALLER_DIES_WITHIN = "caller dies within"
    CALLEE_DIES_WITHIN = "callee dies within"


_WITHIN = frozenset({Fault.CUT_WITHIN, Fault.CALLER_DIES_WITHIN, Fault.CALLEE_DIES_WITHIN})


def applies(fault: Fault, call: str) -> bool:
    """Say whether a fault can happen to a call: only a stream has a middle, and none arrives after its sender left."""
    streams = " receive " in call
    return streams if fault in _WITHIN else not (streams and fault is Fault.LATE)


# What faults and tests call them: `alpha>beta hello`. A stream is told with what it brings: `alpha>beta receive data`.
_LABELS = {
    "OfferReplica": "offer replica",
    "RollBackReplica": "roll back",
    "CompleteRound": "complete round",
    "WithdrawReplica": "withdraw",
    "GetOwnership": "ownership",
    "HandOver": "hand over",
    "GetHandOver": "hand over?",
    "FinishFiles": "finish files",
    "ReceiveReplica": "receive replica",
    "ReceiveFiles": "receive files",
}
_TURNS = 30  # of the loop, in which what was sent arrives
_STREAMS = frozenset({"Receive", "ReceiveReplica", "ReceiveFiles"})


class Network:
    """What connects hosts. `at` and `fault` choose what goes wrong; `calls` lists what was asked while `counting`."""

    def __init__(self) -> None:
        self.hosts: dict[str, InProcessHost] = {}
        self.down = False
        self.cut = asyncio.Event()
        self.apart: set[frozenset[str]] = set()  # pairs of hosts that do not reach each other
        self.counting = False
        self.calls: list[str] = []
        self.at: At | None = None
        self.fault = Fault.REQUEST_LOST
        self.label: Callable[[str], str] = str
        self.hit = False  # the fault has struck
        self._late: list[Callable[[], Awaitable[object]]] = []
        self._lost = ""  # a request that is lost again when it is repeated: a connection asks twice

    def sever(self) -> None:
        """Let no call through any more."""
        self.down = True
        self.cut.set()

    def heal(self) -> None:
        """Let them through again, between all hosts."""
        self.down = False
        self.cut.clear()
        self.apart.clear()

    def separates(self, one: str, other: str) -> bool:
        """Say whether nothing gets through between two hosts."""
        return self.down or frozenset({one, other}) in self.apart

    def of(self, call: str) -> Fault | None:
        """Count a call and return what happens to it."""
        if not self.counting:
            return None
        if call == self._lost:
            self._lost = ""
            return Fault.REQUEST_LOST
        self.calls.append(self.label(call))
        if not is_at(self.calls, self.at):
            return None
        self.hit = True
        if self.fault is Fault.REQUEST_LOST:
            self._lost = call
        return self.fault

    def delay(self, carry_out: Callable[[], Awaitable[object]]) -> None:
        """Keep a request until `deliver`."""
        self._late.append(carry_out)

    async def deliver(self) -> None:
        """Carry out what is late. Nobody hears the answer."""
        while self._late:
            with suppress(grpc.aio.AioRpcError):
                await self._late.pop()()


class LinkedPeers:
    """Implements `jaild.ports.peer.Peers` for one daemon: all other hosts of the network."""

    def __init__(self, network: Network, source: InProcessHost) -> None:
        self._network = network
        self._source = source
        self._life = source.life  # its successor asks by peers of its own

    def names(self) -> tuple[str, ...]:
        """Return their names, sorted."""
        return tuple(sorted(name for name in self._network.hosts if name != self._source.name))

    def address(self, name: str) -> Address | None:
        """Return where one is; None if there is none of that name."""
        return Address(f"{name}.example:7070") if name in self.names() else None

    def get(self, name: str) -> GrpcPeer:
        """Return one."""
        if name not in self.names():
            raise NotFoundError("PEER_UNKNOWN", f"there is no peer {name!r}", hint=f"use one of {self.names()}")
        route = Route(self._network, self._source, self._life, self._network.hosts[name])
        connection = Connection(lambda: cast("grpc.aio.Channel", Channel(route)))
        return GrpcPeer(name, f"{name}.example:7070", connection)


@dataclass(frozen=True)
class Served:
    """A call that another host carries out."""

    task: asyncio.Task[bytes]
    context: CallContext

    def hang_up(self) -> None:
        """Let it know that nobody waits."""
        self.context.hung_up = True
        self.task.cancel()


class Route:
    """The way of calls from one daemon to another host, as far as the network's fault lets them."""

    def __init__(self, network: Network, source: InProcessHost, life: Life, target: InProcessHost) -> None:
        self._network = network
        self._source = source
        self._life = life
        self._target = target

    async def ask(self, method: str, request: bytes) -> bytes:
        """Carry out a call. Raises `AioRpcError`."""
        fault = await self.depart(method, request)
        if fault is Fault.LATE:

            async def late() -> bytes:
                return await self._outcome(self.serve(method, request))

            self._network.delay(late)
            raise self._timeout()
        return await self.answered(self.serve(method, request), fault, lambda: self.serve(method, request))

    async def answers(self, method: str, request: bytes, metadata: Any) -> AsyncIterator[bytes]:
        """Carry out a call that is answered with a stream, of which each message has to come through."""
        await self.depart(method, request)
        context, arrived = CallContext(self._source.name, metadata), asyncio.Queue[bytes]()

        async def carry_out() -> None:
            async for message in self._target.server.answers(method, request, context):
                arrived.put_nowait(message)
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(carry_out(), context=Variables())
        try:
            while not (task.done() and arrived.empty()):
                if arrived.empty():
                    await asyncio.sleep(0)
                    continue
                message = arrived.get_nowait()
                self._require_way()
                yield message
            await task
        finally:
            task.cancel()

    async def depart(self, method: str, first: bytes) -> Fault | None:
        """Count a call and return what happens to it, unless that is its end."""
        self._life.check()
        fault = self._network.of(f"{self._source.name}>{self._target.name} {_label(method, first)}")
        await asyncio.sleep(0)
        self._before(fault)
        if fault is Fault.REQUEST_LOST:
            raise self._unreachable()
        self._require_way()
        return fault

    def serve(self, method: str, given: bytes | AsyncIterator[bytes]) -> Served:
        """Let the other host carry out a call, in a task of its own that inherits nothing of its caller's."""
        context = CallContext(self._source.name, carried.get())

        async def carry_out() -> bytes:
            if (task := asyncio.current_task()) is not None:
                served_as.set(task)
            return await self._target.server.serve(method, given, context)

        name = f"served by {self._target.name}: {method}"
        task = asyncio.get_running_loop().create_task(carry_out(), name=name, context=Variables())
        self._target.serving.append(task)
        task.add_done_callback(self._served)
        return Served(task, context)

    def _served(self, task: asyncio.Task[bytes]) -> None:
        self._target.serving.remove(task)
        if not task.cancelled():
            task.exception()  # told to the caller, if there still is one

    async def pass_on(self, fault: Fault | None, message: bytes, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Let a later message of a stream through, or half of it. Raises `AioRpcError` when the stream breaks."""
        self._life.check()
        if fault in _WITHIN:
            chunk = peer_pb2.ReceiveRequest.FromString(message).chunk
            await send(peer_pb2.ReceiveRequest(chunk=chunk[: len(chunk) // 2]).SerializeToString())
            for _ in range(_TURNS):
                await asyncio.sleep(0)  # it arrives
            self._within(fault)
        self._require_way()
        await send(message)

    async def answered(self, served: Served, fault: Fault | None, again: Callable[[], Served]) -> bytes:
        """Return the answer, if it comes back. Raises `AioRpcError`."""
        try:
            try:
                answer = await self._outcome(served)
                if fault is Fault.TWICE:
                    answer = await self._outcome(again())
            finally:
                await self._network.deliver()
        except grpc.aio.AioRpcError:
            self._after(fault)
            raise
        self._after(fault)
        return answer

    async def _outcome(self, served: Served) -> bytes:
        died = asyncio.ensure_future(self._target.life.died.wait())
        try:
            await asyncio.wait({served.task, died}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            served.hang_up()
            raise
        finally:
            died.cancel()
        if not served.task.done():
            raise self._unreachable()
        try:
            return served.task.result()
        except Crash:
            self._life.check()
            raise self._unreachable() from None
        except asyncio.CancelledError:
            if not self._answers():
                raise self._unreachable() from None
            raise self._timeout() from None

    def _before(self, fault: Fault | None) -> None:
        match fault:
            case Fault.CALLER_DIES:
                self._life.die()
            case Fault.CALLEE_DIES:
                self._target.life.kill()
            case Fault.CUT:
                self._network.sever()
            case _:
                pass

    def _within(self, fault: Fault | None) -> NoReturn:
        match fault:
            case Fault.CALLER_DIES_WITHIN:
                self._life.die()
            case Fault.CALLEE_DIES_WITHIN:
                self._target.life.kill()
            case _:
                self._network.sever()
        raise self._unreachable()

    def _after(self, fault: Fault | None) -> None:
        match fault:
            case Fault.CALLER_DIES_AFTER:
                self._life.die()
            case Fault.CALLEE_DIES_AFTER:
                self._target.life.kill()
            case Fault.CUT_AFTER:
                self._network.sever()
            case _:
                pass
        self._life.check()
        if not self._answers():
            raise self._unreachable()
        if fault is Fault.ANSWER_LOST or self._network.separates(self._source.name, self._target.name):
            raise self._timeout()

    def _require_way(self) -> None:
        if self._network.separates(self._source.name, self._target.name) or not self._answers():
            raise self._unreachable()

    def _answers(self) -> bool:
        return self._target.reachable and not self._target.life.dead

    def _unreachable(self) -> grpc.aio.AioRpcError:
        return failure(grpc.StatusCode.UNAVAILABLE, f"failed to connect to {self._target.name}")

    def _timeout(self) -> grpc.aio.AioRpcError:
        return failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")


def _label(method: str, first: bytes) -> str:
    name = method.rpartition("/")[2]
    label = _LABELS.get(name, name.lower())
    if name not in _STREAMS:
        return label
    header = peer_pb2.ReceiveRequest.FromString(first).header
    return f"{label} {header.layer or header.dataset or '.'}"
