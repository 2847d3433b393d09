"""Two hosts, of which one has a jail, and moving it to the other."""

from __future__ import annotations

from pathlib import Path

from jaild.model.jails.spec import JailSpec
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network

SPEC = JailSpec(base="deb-1", app="web/1")
MARK = "written by the jail"


async def migrate(
    source: FakeHost, target: FakeHost, *, deadline: float | None = None, validate_only: bool = False
) -> Operation:
    return await source.core.use_cases.migrations.migrate(
        "web",
        target.name,
        max_downtime=10.0,
        proceed_over_budget=True,
        etag="",
        validate_only=validate_only,
        caller=caller(),
        deadline=deadline,
    )


async def two_hosts(folder: Path, *, back: bool, spec: JailSpec = SPEC) -> tuple[FakeHost, FakeHost]:
    """Return the host that has the jail, and the other one: empty, or (`back`) with the copy that it kept."""
    network = Network()
    first, second = FakeHost(folder / "alpha", "alpha", network), FakeHost(folder / "beta", "beta", network)
    for host in (first, second):
        await host.start()
    await first.add_base("deb-1")
    await first.add_release("web/1")
    created = await first.core.use_cases.jails.create("web", spec, stopped=False, validate_only=False, caller=caller())
    assert (await first.end_of(created)).failure is None
    (first.core.inventory.jails["web"].folder / "data" / "var" / "mark").write_text(MARK)
    if not back:
        return first, second
    assert (await first.end_of(await migrate(first, second))).failure is None
    return second, first
