"""Two hosts, of which one has a jail, and moving it to the other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

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


def writes_at_its_end(*hosts: FakeHost) -> list[str]:
    """Let the jail write whenever it is stopped, so its data changes after the last round; return what it wrote."""
    words: list[str] = []
    for host in hosts:
        host.runtime.stop = _and_writes(host, words)  # type: ignore[method-assign, assignment]
    return words


def last_words(host: FakeHost) -> Path:
    """Return where it writes them."""
    return host.core.inventory.folder_of_jails / "web" / "data" / "var" / "last"


def _and_writes(host: FakeHost, words: list[str]) -> Callable[[str, int], Coroutine[Any, Any, float]]:
    stop = host.runtime.stop

    async def stopped(jail: str, generation: int) -> float:
        run = host.runtime.by_name.get(f"{jail}.{generation}")
        was_running = run is not None and run.pid
        took = await stop(jail, generation)
        if was_running:
            words.append(f"end {len(words)}")
            last_words(host).write_text(words[-1])
        return took

    return stopped
