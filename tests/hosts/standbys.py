"""Hosts of which one has a jail and the others keep replicas of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from jaild.model.jails.spec import JailSpec, Standby
from jaild.model.layers.records import JailRecord
from jaild.model.operation import Operation
from jaild.model.views import StandbyView
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts import invariants

INTERVAL = 60.0


async def hosts_with(folder: Path, *standbys: str) -> tuple[FakeHost, ...]:
    """Return alpha, which has the jail `web`, and its standbys, each with one whole round."""
    network = Network()
    hosts = [FakeHost(folder / name, name, network) for name in ("alpha", *standbys)]
    for host in hosts:
        host.folder.mkdir(exist_ok=True)
        await host.start()
    alpha = hosts[0]
    await alpha.add_base("deb-1")
    await alpha.add_release("web/1")
    spec = JailSpec(base="deb-1", app="web/1", standby=Standby(peers=standbys, interval=INTERVAL))
    made = await alpha.core.use_cases.jails.create("web", spec, stopped=False, validate_only=False, caller=caller())
    assert (await alpha.end_of(made)).failure is None
    write(alpha, "first")
    await rounds(alpha)
    for host in hosts[1:]:
        assert (await record(host)).replica is not None, alpha.core.use_cases.jails.get("web").standbys
    return tuple(hosts)


def write(host: FakeHost, text: str) -> None:
    """Let the jail write."""
    (host.core.inventory.jails["web"].folder / "data" / "var" / "mark").write_text(text)


def written(host: FakeHost) -> str:
    """Return what the jail's data has on a host that owns it."""
    return (host.core.inventory.jails["web"].folder / "data" / "var" / "mark").read_text()


async def rounds(host: FakeHost, *, later: float = INTERVAL) -> None:
    """Let time go by, and carry out the rounds that are due then."""
    host.clock.time += later
    await host.core.standbys.tick()
    await host.core.standbys.settled()
    await host.core.standbys.tick()  # looks at how old they are now
    await host.core.standbys.settled()


async def record(host: FakeHost) -> JailRecord:
    return (await invariants.records(host))["web"]


def view(host: FakeHost, other: str) -> StandbyView:
    """Return how a host shows the replica that it shares with another one."""
    return next(v for v in host.core.use_cases.jails.get("web").standbys if v.host == other)


async def promote(host: FakeHost, *, down: bool = False, confirm: str = "", request: str = "") -> Operation:
    asked = await host.core.use_cases.promotions.promote(
        "web", owner_is_down=down, confirm=confirm, validate_only=False, caller=caller(request)
    )
    return await host.end_of(asked)


async def events(host: FakeHost, *kinds: str) -> list[str]:
    """Return a host's events of some kinds, as `kind message`."""
    found = [event async for event in host.core.use_cases.events.watch(0, "", False)]
    return [f"{event.kind} {event.message}" for event in found if event.kind in kinds]


async def happened(host: FakeHost, kind: str) -> str:
    """Wait for an event and return its message."""
    async with asyncio.timeout(20):
        async for event in host.core.use_cases.events.watch(0, "", True):
            if event.kind == kind:
                return event.message
    raise AssertionError(kind)


async def booted(host: FakeHost) -> None:
    """Wait until a host has started what it may, though others are never told what they should know."""
    await host.core.supervisor.over("boot")
    await host.core.start_guard.settled()


async def stop(hosts: Sequence[FakeHost]) -> None:
    for host in hosts:
        await host.stop()
