"""What must hold after every step, and in the end when everything is well again. Read from datasets and runtimes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from jaild.model.errors import JaildError
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.views import JailState
from tests.fakes.host import ROOT, caller
from tests.model import verbs
from tests.model.world import ModelHost, Told, World

_MAY_RUN = frozenset({Ownership.ACTIVE, Ownership.FROZEN, Ownership.DELETING})
_RECOVERED = 400.0  # seconds in which hosts that are well again must have ended what they had begun
_TRIES = 4  # at removing what is left: a copy may have to be finalized, or told of, before


def wrong_now(world: World, jail: str) -> list[str]:
    """Return what must not be at any moment."""
    if seen := [problem for problem in world.seen if problem.startswith(f"{jail} ")]:
        return seen[:1]
    running = [host for host in world.hosts.values() if host.runs(jail)]
    world.account_failovers(jail)
    return [problem for host in running for problem in _wrong_with(world, host, jail)]


def _wrong_with(world: World, host: ModelHost, jail: str) -> list[str]:
    record = host.record(jail)
    if record is None or record.state not in _MAY_RUN or record.owner != host.id:
        return [f"{jail} runs where it may not: {host.told_of(jail)}"]
    told = world.told.setdefault(record.uid, Told())
    if record.epoch < told.epoch:
        return [f"{jail} runs with an epoch that is over: {host.told_of(jail)}, {told.epoch} was seen running"]
    told.epoch = record.epoch
    return _lost(host, jail, told)


def _lost(host: ModelHost, jail: str, told: Told) -> list[str]:
    place = host.log_of(jail)
    if place is None:  # in the middle of something
        return []
    have = set(place.read_text().split()) if place.exists() else set()
    missing = [write for write in told.writes if write.text not in have]
    if not missing:
        return []
    texts = ", ".join(f"{write.text} (at {write.at:.0f} s)" for write in missing)
    return [f"writes to {jail} are lost and nobody was told: {texts}; {host.told_of(jail)}"]


def defects(world: World) -> list[str]:
    """Return the operations that died of a defect."""
    return [
        f"{host.name}: {operation.kind} of {operation.target}: {operation.failure.message}"
        for host in world.hosts.values()
        if host.up
        for operation in host.core.use_cases.operations.list()
        if operation.failure is not None and operation.failure.reason == "INTERNAL"
    ]


async def recovered(world: World, jails: tuple[str, ...]) -> list[str]:
    """Make everything well: network, power, daemons. Wait, answer what asks; return what is still not well."""
    world.network.heal()
    world.network.at, world.network.counting = None, False
    for host in world.hosts.values():
        if not host.up:
            await host.die()
            host.powered = True
            if not await host.boot():
                return [f"{host.name} does not come up though nothing fails any more"]
    await asyncio.sleep(_RECOVERED)
    await _start_stopped(world, jails)
    wrong = [problem for jail in jails for problem in wrong_now(world, jail)]
    for host in world.hosts.values():
        wrong += [
            f"{host.name}: {op.kind} of {op.target} does not end: {op.phase} {op.message}"
            for op in host.core.use_cases.operations.list()
            if not op.done
        ]
    return wrong or [problem for jail in jails for problem in await _dead_ends(world, jail)]


async def _dead_ends(world: World, jail: str) -> list[str]:
    """Return why a jail neither serves on one host nor can be taken away."""
    records = {host: record for host in world.hosts.values() if (record := host.record(jail)) is not None}
    wrong: list[str] = []
    for uid in sorted({record.uid for record in records.values()}):
        mine = {host: record for host, record in records.items() if record.uid == uid}
        wrong += _unowned(world, jail, uid, mine)
    return wrong or await _not_removable(world, jail)


def _unowned(world: World, jail: str, uid: str, records: dict[ModelHost, JailRecord]) -> list[str]:
    owners = [host for host, record in records.items() if _says_it_owns(host, record)]
    known = world.told.get(uid)
    if known is None or (known.deleted and not owners):
        return []
    if len(owners) != 1:
        found = ", ".join(host.told_of(jail) for host in records)
        return [f"{jail} has {len(owners)} owners when everything is well: {found}"]
    view = owners[0].core.use_cases.jails.get(jail)
    wanted = JailState.RUNNING if records[owners[0]].desired is Desired.RUNNING else JailState.STOPPED
    if view.state is wanted or (wanted is JailState.STOPPED and view.state is JailState.FAILED):
        return []
    return [f"{jail} should be {wanted} on {owners[0].name}, is {view.state}: {view.message}"]


async def _not_removable(world: World, jail: str) -> list[str]:
    """Take the jail away, from its owner first, and return what is left of it."""
    said: dict[str, str] = {}
    for _ in range(_TRIES):
        holders = sorted(world.hosts.values(), key=lambda host: not host.runs(jail))
        for host in holders:
            if host.record(jail) is not None or jail in host.core.inventory.jails:
                said[host.name] = await _end_of(host, verbs.remove(world, host, jail))
        await asyncio.sleep(60)
    return [
        f"{jail} cannot be taken away from {host.told_of(jail)}: {said.get(host.name)}"
        for host in world.hosts.values()
        if f"{ROOT}/jails/{jail}" in host.zfs.pool.filesystems or jail in host.core.inventory.jails
    ]


async def _end_of(host: ModelHost, verb: verbs.Verb) -> str:
    """Carry it out and return why it failed; empty if it did not."""
    try:
        operation = await verb()
        if operation is not None:
            operation = await host.core.use_cases.operations.wait(operation.id, 60.0)
    except JaildError as error:
        return str(error)
    return "" if operation is None or operation.failure is None else operation.failure.message


def _says_it_owns(host: ModelHost, record: JailRecord) -> bool:
    return record.state is Ownership.ACTIVE and record.owner == host.id


async def _start_stopped(world: World, jails: tuple[str, ...]) -> None:
    """Start what is stopped, so that clients' data is looked at."""
    for host in world.hosts.values():
        for jail in jails:
            record = host.record(jail)
            if record is not None and _says_it_owns(host, record) and not host.runs(jail):
                with suppress(JaildError):
                    operation = await host.core.use_cases.jails.start(jail, caller=caller())
                    await host.core.use_cases.operations.wait(operation.id, 60.0)
