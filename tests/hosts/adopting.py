"""Taking over what a host that is gone for good left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaild.model.jails.spec import JailSpec
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts.migrating import SPEC, migrate, two_hosts

DOWN = "alpha is down"


async def adopt(host: FakeHost, confirm: str = "", *, plan: bool = False) -> Operation:
    asked = await host.core.use_cases.promotions.adopt("web", confirm=confirm, validate_only=plan, caller=caller())
    return await host.end_of(asked)


async def interrupted(
    folder: Path, before: str, meanwhile: Callable[[FakeHost], object] | None = None, spec: JailSpec = SPEC
) -> tuple[FakeHost, FakeHost]:
    """Return alpha, dead in the middle of a migration to beta just before it asked for something, and beta.

    `meanwhile` is done to alpha before the migration.
    """
    alpha, beta = await two_hosts(folder, back=False, spec=spec)
    if meanwhile is not None:
        meanwhile(alpha)
    network = alpha.network
    network.at, network.fault, network.counting = (before, 0), Fault.CALLER_DIES, True
    await alpha.end_of(await migrate(alpha, beta))
    network.counting = False
    assert alpha.life.dead
    return alpha, beta
