"""Hosts that speak to each other without a wire: calls can be lost, answered in vain, doubled, or end in a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, TypeVar

from jaild.api.use_cases import Incoming, IncomingFiles, Replicas
from jaild.domain.errors import (
    DataLossError,
    DeadlineExceededError,
    JaildError,
    NotFoundError,
    UnavailableError,
)
from jaild.domain.peering import (
    Acceptance,
    Activation,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Rehearsed,
    Resolution,
)
from tests.fakes.faults import At, Crash, is_at
from tests.fakes.network_standby import SalvageLink, StandbyLink

if TYPE_CHECKING:
    from tests.fakes.host import InProcessHost

_T = TypeVar("_T")


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


class Network:
    """What connects hosts. `at` and `fault` choose what goes wrong; `calls` lists what was asked while `counting`."""

    def __init__(self) -> None:
        self.hosts: dict[str, InProcessHost] = {}
        self.down = False
        self.cut = asyncio.Event()
        self.counting = False
        self.calls: list[str] = []
        self.at: At | None = None
        self.fault = Fault.REQUEST_LOST
        self.label: Callable[[str], str] = str
        self.hit = False  # the fault has struck
        self._late: list[Callable[[], Awaitable[object]]] = []

    def sever(self) -> None:
        """Let no call through any more."""
        self.down = True
        self.cut.set()

    def heal(self) -> None:
        """Let them through again."""
        self.down = False
        self.cut.clear()

    def of(self, call: str) -> Fault | None:
        """Count a call and return what happens to it."""
        if not self.counting:
            return None
        self.calls.append(self.label(call))
        if not is_at(self.calls, self.at):
            return None
        self.hit = True
        return self.fault

    def delay(self, carry_out: Callable[[], Awaitable[object]]) -> None:
        """Keep a request until `deliver`."""
        self._late.append(carry_out)

    async def deliver(self) -> None:
        """Carry out what is late. Nobody hears the answer."""
        while self._late:
            with suppress(JaildError):
                await self._late.pop()()


class LinkedPeers:
    """Implements `jaild.ports.peer.Peers`: all other hosts of the network."""

    def __init__(self, network: Network, source: InProcessHost) -> None:
        self._network = network
        self._source = source

    def names(self) -> tuple[str, ...]:
        """Return their names, sorted."""
        return tuple(sorted(name for name in self._network.hosts if name != self._source.name))

    def get(self, name: str) -> Link:
        """Return one."""
        if name not in self.names():
            raise NotFoundError("PEER_UNKNOWN", f"there is no peer {name!r}", remedy=f"use one of {self.names()}")
        return Link(self._network, self._source, self._network.hosts[name])


class Link:
    """Implements `jaild.ports.peer.Peer`: one host as another one's daemon sees it."""

    def __init__(self, network: Network, source: InProcessHost, target: InProcessHost) -> None:
        self._network = network
        self._source = source
        self._life = source.life  # of the daemon that asks; its successor asks by a link of its own
        self._target = target

    @property
    def standby(self) -> StandbyLink:
        """The same host, as far as replicas and take-overs go."""
        return StandbyLink(self)

    async def hello(self, host_id: str, host_name: str, protocol: int) -> HostHello:
        """Introduce ourselves."""
        return await self.call("hello", lambda there, _: there.hello(host_id, host_name, protocol))

    async def preflight(self, offer: Offer) -> Acceptance:
        """Ask whether it takes the jail."""
        return await self.call("preflight", lambda there, _: there.preflight(offer))

    async def begin(self, offer: Offer) -> Acceptance:
        """Make it begin."""
        return await self.call("begin", lambda there, _: there.begin(offer))

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream."""
        what = f"receive {header.layer or header.dataset or '.'}"
        return await self.stream(what, chunks, lambda there, arriving: there.receive(header, arriving))

    async def stream(
        self, what: str, chunks: AsyncIterator[bytes], make: Callable[[Incoming, AsyncIterator[bytes]], Awaitable[_T]]
    ) -> _T:
        """Send a stream. One that broke off here is one that ends too early there."""
        broken: list[BaseException] = []

        async def arriving(fault: Fault | None) -> AsyncIterator[bytes]:
            try:
                async for chunk in chunks:
                    if fault in _WITHIN:
                        yield chunk[: len(chunk) // 2]
                        self._within(fault)
                    yield chunk
            except BaseException as error:
                broken.append(error)
                raise DataLossError(
                    "STREAM_TRUNCATED", "the caller hung up before the end of its stream", remedy="send it again"
                ) from error

        try:
            return await self.call(what, lambda there, fault: make(there, arriving(fault)))
        except DataLossError:
            if broken:
                raise broken[0] from None
            raise

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int]) -> str:
        """First half of the hand-over."""
        return await self.call("prepare", lambda there, _: there.prepare(migration, epoch, guids))

    async def activate(self, migration: str, epoch: int) -> Activation:
        """Second half of the hand-over."""
        return await self.call("activate", lambda there, _: there.activate(migration, epoch))

    async def abort(self, migration: str) -> str:
        """Make it throw away what it received."""
        return await self.call("abort", lambda there, _: there.abort(migration))

    async def rehearse(self, migration: str, *, keep_copy: bool) -> Rehearsed:
        """Make it boot a clone."""
        return await self.call("rehearse", lambda there, _: there.rehearse(migration, keep_copy=keep_copy))

    async def resolve(self, migration: str) -> Resolution:
        """Ask how the hand-over ended."""
        return await self.call("resolve", lambda there, _: there.resolve(migration))

    @property
    def salvage(self) -> SalvageLink:
        """The same host, as far as files go that are salvaged."""
        return SalvageLink(self)

    @property
    def files(self) -> IncomingFiles:
        """What the other host answers about salvaged files."""
        return self._target.core.use_cases.files

    @property
    def replicas(self) -> Replicas:
        """What the other host answers about replicas."""
        return self._target.core.use_cases.replicas

    async def call(self, what: str, make: Callable[[Incoming, Fault | None], Awaitable[_T]]) -> _T:
        """Let the other host carry out a call, as far as the network's fault lets it."""
        self._life.check()
        fault = self._network.of(f"{self._source.name}>{self._target.name} {what}")
        await asyncio.sleep(0)
        self._before(fault)
        if self._network.down or fault is Fault.REQUEST_LOST or not self._answers():
            raise self._unreachable()
        if fault is Fault.LATE:
            self._network.delay(lambda: self._carried_out(make, None))
            raise self._timeout()
        try:
            answer = await self._carried_out(make, fault)
            if fault is Fault.TWICE:
                answer = await self._carried_out(make, fault)
        finally:
            await self._network.deliver()
        self._after(fault)
        return answer

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
        if self._network.down or fault is Fault.ANSWER_LOST:
            raise self._timeout()

    async def _carried_out(self, make: Callable[[Incoming, Fault | None], Awaitable[_T]], fault: Fault | None) -> _T:
        async def serve() -> _T:
            return await make(self._target.core.use_cases.incoming, fault)

        task = asyncio.create_task(serve(), name=f"served by {self._target.name}")
        self._target.serving.append(task)
        try:
            return await task
        except Crash:
            self._life.check()
            raise self._unreachable() from None
        except asyncio.CancelledError:
            if task in self._target.hung_up:
                raise self._timeout() from None
            caller = asyncio.current_task()
            if not self._answers() and caller is not None and not caller.cancelling():
                raise self._unreachable() from None  # its death ended what it was doing, not this caller
            raise
        finally:
            self._target.serving.remove(task)

    def _answers(self) -> bool:
        return self._target.reachable and not self._target.life.dead

    def _unreachable(self) -> UnavailableError:
        return UnavailableError("PEER_UNREACHABLE", f"{self._target.name} cannot be reached", remedy="try again")

    def _timeout(self) -> DeadlineExceededError:
        return DeadlineExceededError("PEER_TIMEOUT", f"{self._target.name} did not answer in time", remedy="ask again")
