"""Three hosts, jails on the first of them, and evacuations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaild.model.evacuation.record import Evacuation
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts.fixtures import furnished


@dataclass(frozen=True)
class Fleet:
    alpha: FakeHost
    beta: FakeHost
    gamma: FakeHost

    @property
    def hosts(self) -> tuple[FakeHost, ...]:
        return self.alpha, self.beta, self.gamma

    async def stop(self) -> None:
        for host in self.hosts:
            await host.stop()


async def fleet(folder: Path) -> Fleet:
    network = Network()
    made = Fleet(*(FakeHost(folder / name, name, network) for name in ("alpha", "beta", "gamma")))
    await furnished(made.alpha)
    await made.beta.start()
    await made.gamma.start()
    return made


async def evacuate(
    host: FakeHost, targets: Sequence[str] = ("beta", "gamma"), request_id: str = "", **how: Any
) -> Operation:
    asked = {"parallel": 2, "bandwidth": 0, "max_downtime": 10.0, "proceed_over_budget": True, "validate_only": False}
    return await host.core.use_cases.evacuations.evacuate(
        targets, **{**asked, **how}, caller=caller(request_id=request_id)
    )


def outcome(host: FakeHost, operation: Operation) -> dict[str, tuple[str, str]]:
    """Return each jail's state and target, in the order of the plan."""
    return {move.jail: (move.state.value, move.target) for move in report(host, operation).moves}


def report(host: FakeHost, operation: Operation) -> Evacuation:
    return host.core.use_cases.evacuations.get(operation.id)


class Gate:
    """Holds back the streams that come to a host: `reached` is set by the first, and all wait for `open`."""

    def __init__(self, host: FakeHost, jail: str = "") -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self._jail = jail
        self._receive: Any = host.zfs.receive
        host.zfs.receive = self._held  # type: ignore[method-assign]

    async def _held(self, name: str, *args: Any, **kwargs: Any) -> None:
        if self._jail in name:
            self.reached.set()
            await self.open.wait()
        await self._receive(name, *args, **kwargs)


async def until(host: FakeHost, operation: Operation, condition: Callable[[], bool]) -> None:
    """Follow an operation until it holds."""
    async with asyncio.timeout(20):
        async for _ in host.core.use_cases.operations.watch(operation.id):
            if condition():
                return


async def dead(host: FakeHost) -> None:
    """Wait for the daemon's end, which a test has brought about."""
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            await host.life.died.wait()
