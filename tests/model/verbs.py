"""What operators ask of hosts. They vouch for what is true only, as the words say that they are asked to repeat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec

from jaild.model.errors import JaildError
from jaild.model.layers.records import Ownership
from jaild.model.operation import Operation
from jaild.model.replication.policy import vouching
from jaild.model.rollouts.policy import OnBreach, RolloutPolicy
from jaild.model.rollouts.record import RolloutSpec
from tests.fakes.host import caller
from tests.model.world import ModelHost, Told, World

_TAKEN = frozenset({Ownership.ACTIVE, Ownership.FROZEN, Ownership.CLAIMED})

Verb: TypeAlias = Callable[[], Awaitable[Operation | None]]


def is_true(world: World, jail: str, clause: str) -> bool:
    """Say whether what an operator is asked to vouch for is so."""
    host = world.hosts.get(clause.split(" ", 1)[0])
    if host is None:
        return False
    said = clause.removeprefix(f"{host.name} ")
    record = host.record(jail)
    if said == "is down":
        return not host.powered or (not host.up and not host.runs(jail))
    if said == f"has lost {jail}":
        return record is None
    if said == f"has not taken over {jail}":
        return not _is_taking(world, host, jail) and not _has_taken(world, host, jail)
    return said == "has newer data"  # one knows, and takes the older


def _has_taken(world: World, host: ModelHost, jail: str) -> bool:
    record = host.record(jail)
    if record is None:
        return host.name in {name for told in world.told.values() for name in told.took}
    taken = record.owner == host.id and record.state in _TAKEN
    return taken or host.name in world.told.setdefault(record.uid, Told()).took


def _is_taking(world: World, host: ModelHost, jail: str) -> bool:
    """Say whether an operator has given the word for a failover there that may still come: the others know of it."""
    if world.ordered[host.name, jail]:
        return True
    return host.up and any(
        op.kind in {"promote", "adopt"} and op.target == f"jails/{jail}" and not op.done
        for op in host.core.use_cases.operations.list()
    )


@contextmanager
def _ordered(world: World, host: ModelHost, jail: str) -> Iterator[None]:
    world.ordered[host.name, jail] += 1
    try:
        yield
    finally:
        world.ordered[host.name, jail] -= 1


def _vouched(world: World, jail: str, words: str) -> bool:
    return bool(words) and all(is_true(world, jail, clause) for clause in words.split(", "))


def migrate(host: ModelHost, jail: str, target: str) -> Verb:
    """Move it."""
    return lambda: host.core.use_cases.migrations.migrate(
        jail, target, max_downtime=10.0, proceed_over_budget=True, etag="", validate_only=False, caller=caller()
    )


def evacuate(host: ModelHost, targets: tuple[str, ...]) -> Verb:
    """Empty the host."""
    return lambda: host.core.use_cases.evacuations.evacuate(
        targets,
        parallel=2,
        bandwidth=0,
        max_downtime=10.0,
        proceed_over_budget=True,
        validate_only=False,
        caller=caller(),
    )


def trial_move(host: ModelHost, jail: str, target: str, *, keep_copy: bool) -> Verb:
    """Try a move."""
    return lambda: host.core.use_cases.migrations.test(
        jail, target, max_downtime=10.0, keep_copy=keep_copy, etag="", caller=caller()
    )


def salvage(host: ModelHost, jail: str, target: str) -> Verb:
    """Move it file by file."""
    return lambda: host.core.use_cases.salvages.salvage(jail, target, validate_only=False, caller=caller())


def promote(host: ModelHost, jail: str) -> Verb:
    """Let its owner hand it over."""
    return lambda: host.core.use_cases.promotions.promote(
        jail, owner_is_down=False, confirm="", validate_only=False, caller=caller()
    )


def seize(world: World, host: ModelHost, jail: str) -> Verb:
    """Promote by force, if what is to be vouched for is true."""

    async def asked() -> Operation | None:
        promotions = host.core.use_cases.promotions
        try:
            return await promotions.promote(jail, owner_is_down=True, confirm="", validate_only=False, caller=caller())
        except JaildError as error:
            words = error.detail.get("confirm", "")
        if not _vouched(world, jail, words):
            return None
        with _ordered(world, host, jail):
            return await promotions.promote(
                jail, owner_is_down=True, confirm=words, validate_only=False, caller=caller()
            )

    return asked


def adopt(world: World, host: ModelHost, jail: str) -> Verb:
    """Adopt by force, if what is to be vouched for is true."""

    async def asked() -> Operation | None:
        promotions = host.core.use_cases.promotions
        try:
            return await promotions.adopt(jail, confirm="", validate_only=False, caller=caller())
        except JaildError as error:
            words = error.detail.get("confirm", "")
        if not _vouched(world, jail, words):
            return None
        with _ordered(world, host, jail):
            return await promotions.adopt(jail, confirm=words, validate_only=False, caller=caller())

    return asked


def confirm(world: World, host: ModelHost, jail: str) -> Verb:
    """Let a jail start that waits for its standbys, if none has taken it over."""

    async def asked() -> Operation | None:
        entry = host.core.inventory.jails.get(jail)
        words = vouching(jail, entry.unconfirmed) if entry is not None else ""
        if not _vouched(world, jail, words):
            return None
        return await host.core.use_cases.promotions.force_start(jail, words, caller=caller())

    return asked


def finalize(host: ModelHost, jail: str) -> Verb:
    """Free the copy that the newest move from here left."""

    async def asked() -> Operation | None:
        moved = [m for m in host.core.use_cases.migrations.list() if m.jail == jail and m.outgoing]
        if not moved:
            return None
        newest = max(moved, key=lambda m: m.created)
        return await host.core.use_cases.migrations.finalize(newest.id, caller=caller())

    return asked


def create(world: World, host: ModelHost, jail: str, standbys: tuple[str, ...]) -> Verb:
    """Make it."""
    return lambda: host.core.use_cases.jails.create(
        jail, world.spec(standbys), stopped=False, validate_only=False, caller=caller()
    )


def configure(world: World, host: ModelHost, jail: str, standbys: tuple[str, ...]) -> Verb:
    """Have its replicas elsewhere, or none."""

    async def asked() -> Operation | None:
        generation = host.core.use_cases.jails.get(jail).generation
        if generation is None:
            return None
        spec = world.spec(standbys, generation.release, generation.base)
        return await host.core.use_cases.jails.configure(jail, spec, etag="", validate_only=False, caller=caller())

    return asked


def stage(host: ModelHost, jail: str) -> Verb:
    """Stage another spec, with the same replicas."""

    async def asked() -> Operation | None:
        generation = host.core.use_cases.jails.get(jail).generation
        if generation is None:
            return None
        spec = msgspec.structs.replace(generation.spec, labels={"over": str(generation.number)})
        how: dict[str, Any] = {"etag": "", "validate_only": False, "caller": caller()}
        return await host.core.use_cases.jails.configure(jail, spec, stage=True, **how)

    return asked


def change(host: ModelHost, jail: str, what: str) -> Verb:
    """Deploy (for good, or to be confirmed), confirm, revert, cut over, unstage, upgrade, roll back, start, stop."""
    jails = host.core.use_cases.jails
    how: dict[str, Any] = {"etag": "", "validate_only": False, "caller": caller()}
    made: dict[str, Verb] = {
        "deploy": lambda: jails.deploy(jail, "web/2", **how),
        "trial": lambda: jails.deploy(jail, "web/2", confirm_within=30.0, force=True, **how),
        "confirm": lambda: host.core.use_cases.confirmations.confirm(jail, caller=caller()),
        "revert": lambda: host.core.use_cases.confirmations.revert(jail, validate_only=False, caller=caller()),
        "cutover": lambda: host.core.use_cases.staging.cutover(jail, validate_only=False, caller=caller()),
        "unstage": lambda: host.core.use_cases.staging.unstage(jail, caller=caller()),
        "upgrade": lambda: jails.upgrade(jail, "deb-2", force=True, **how),
        "rollback": lambda: jails.rollback(jail, generation=0, axis="", **how),
        "start": lambda: jails.start(jail, caller=caller()),
        "stop": lambda: jails.stop(jail, caller=caller()),
        "restart": lambda: jails.restart(jail, caller=caller()),
    }
    return made[what]


def roll_out(host: ModelHost, jails: tuple[str, ...], base: str) -> Verb:
    """Move their base by a rollout, the first as its canary.

    It takes them back if it does not go well, and ends by itself whatever happens.
    """
    policy = RolloutPolicy(
        canaries=1, min_healthy_time=5.0, healthy_deadline=30.0, on_breach=OnBreach.UNDO, deadline=120.0
    )
    spec = RolloutSpec(base=base, jails=jails, policy=policy)
    return lambda: host.core.use_cases.rollouts.start(spec, caller=caller())


def undo_rollout(host: ModelHost) -> Verb:
    """Take back what the newest rollout moved, on its axis."""

    async def asked() -> Operation | None:
        known = host.core.use_cases.rollouts.list()
        return await host.core.use_cases.rollouts.undo(known[0].id, caller=caller()) if known else None

    return asked


def remove(world: World, host: ModelHost, jail: str) -> Verb:
    """Delete it here."""

    async def asked() -> Operation | None:
        record = host.record(jail)
        operation = await host.core.use_cases.jails.delete(
            jail, force=True, etag="", validate_only=False, caller=caller()
        )
        if record is not None and record.uid in world.told and record.state in _TAKEN:
            world.told[record.uid].deleted = True
        return operation

    return asked


def cancel(host: ModelHost) -> Verb:
    """Withdraw the newest operation that is not done."""

    async def asked() -> Operation | None:
        under_way = [op for op in host.core.use_cases.operations.list() if not op.done]
        if under_way:
            await host.core.use_cases.operations.cancel(under_way[0].id, caller())
        return None

    return asked
