"""A host that comes back cut off from the standby which was promoted meanwhile, and what may be asked of it then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from jaild.model.errors import JaildError
from jaild.model.layers.records import Desired
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts.asking import configure, delete, deploy, ended, reason_of, roll_back, upgrade
from tests.hosts.fleet import evacuate
from tests.hosts.migrating import migrate
from tests.hosts.standbys import hosts_with, promote, record, rounds

Ask = Callable[[FakeHost, FakeHost], Awaitable[str]]  # of a host (with another as target): why it was refused


def cut(network: Network, one: FakeHost, other: FakeHost) -> None:
    """Let nothing through between two hosts."""
    network.apart.add(frozenset({one.name, other.name}))


def fix(network: Network, one: FakeHost, other: FakeHost) -> None:
    """Let them reach each other again."""
    network.apart.discard(frozenset({one.name, other.name}))


async def joined(host: FakeHost, name: str = "gamma") -> FakeHost:
    """Return another host of its network, which has nothing to do with its jails."""
    other = FakeHost(host.folder.parent / name, name, host.network)
    other.folder.mkdir(exist_ok=True)
    await other.start()
    return other


async def replaced(folder: Path, *, stopped: bool = False) -> tuple[FakeHost, FakeHost, FakeHost]:
    """Return alpha, dead, with its jail; its standby beta, which was promoted by force; and gamma, an empty host."""
    alpha, beta = await hosts_with(folder, "beta")
    gamma = await joined(alpha)
    if stopped:
        await ended(alpha, alpha.core.use_cases.jails.stop("web", caller=caller()))
        await rounds(alpha)
    await alpha.stop()
    taken = await promote(beta, down=True, confirm="alpha is down")
    assert reason_of(taken) == ""
    assert (await record(alpha)).desired is (Desired.STOPPED if stopped else Desired.RUNNING)
    return alpha, beta, gamma


async def back(alpha: FakeHost) -> None:
    """Boot a host that was dead."""
    await alpha.lose_power()
    alpha.boots += 1
    await alpha.start()
    await alpha.core.supervisor.over("boot")


async def _asked(host: FakeHost, asking: Awaitable[Operation]) -> str:
    try:
        return reason_of(await host.end_of(await asking))
    except JaildError as error:
        return error.reason


async def migration(host: FakeHost, other: FakeHost) -> str:
    return await _asked(host, migrate(host, other))


async def migration_plan(host: FakeHost, other: FakeHost) -> str:
    return await _asked(
        host,
        host.core.use_cases.migrations.migrate(
            "web",
            other.name,
            max_downtime=10.0,
            proceed_over_budget=True,
            etag="",
            validate_only=True,
            caller=caller(),
        ),
    )


async def evacuation(host: FakeHost, other: FakeHost) -> str:
    """Return why the jail was left here; 'nothing stayed' if it was not."""
    operation = await host.end_of(await evacuate(host, [other.name]))
    moves = host.core.use_cases.evacuations.get(operation.id).moves
    return next((move.reason for move in moves if move.stays), "nothing stayed")


async def trial_migration(host: FakeHost, other: FakeHost) -> str:
    ask = host.core.use_cases.migrations.test
    return await _asked(host, ask("web", other.name, max_downtime=10.0, keep_copy=False, etag="", caller=caller()))


async def salvage(host: FakeHost, other: FakeHost) -> str:
    return await _asked(
        host, host.core.use_cases.salvages.salvage("web", other.name, validate_only=False, caller=caller())
    )


async def hand_over(host: FakeHost, other: FakeHost) -> str:
    """Let another host ask for the jail, as one does whose standby is promoted."""
    try:
        uid = (await record(host)).uid
        told = await host.core.use_cases.promotions.hand_over("web", uid, other.name, "r-1")
    except JaildError as error:
        return error.reason
    while not told.done:
        await asyncio.sleep(0)
        told = host.core.use_cases.promotions.handing_over(other.name, "web", "r-1")
    return told.reason


async def deletion(host: FakeHost, _: FakeHost) -> str:
    try:
        return reason_of(await delete(host, force=True))
    except JaildError as error:
        return error.reason


async def deployment(host: FakeHost, _: FakeHost) -> str:
    return await _changed(deploy(host, "web/1"))


async def upgrading(host: FakeHost, _: FakeHost) -> str:
    return await _changed(upgrade(host, "deb-1"))


async def configuration(host: FakeHost, _: FakeHost) -> str:
    generation = host.core.inventory.jails["web"].generation
    assert generation is not None
    return await _changed(configure(host, msgspec.structs.replace(generation.spec, labels={"a": "b"})))


async def rollback(host: FakeHost, _: FakeHost) -> str:
    return await _changed(roll_back(host, 1))


async def _changed(change: Awaitable[Operation]) -> str:
    try:
        return reason_of(await change)
    except JaildError as error:
        return error.reason


async def starting(host: FakeHost, _: FakeHost) -> str:
    return await _asked(host, host.core.use_cases.jails.start("web", caller=caller()))


async def restarting(host: FakeHost, _: FakeHost) -> str:
    return await _asked(host, host.core.use_cases.jails.restart("web", caller=caller()))


# Everything that changes a jail, or gives it away.
EVERYTHING: tuple[Ask, ...] = (
    migration,
    migration_plan,
    evacuation,
    trial_migration,
    salvage,
    hand_over,
    deletion,
    deployment,
    upgrading,
    configuration,
    rollback,
    starting,
    restarting,
)
