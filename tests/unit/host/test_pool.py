"""The pool's state: each change is an event, once, over restarts too; what is wrong stands among the warnings."""

from __future__ import annotations

import pytest

from jaild.model.errors import InternalError
from tests.fakes.host import FakeHost


async def look(host: FakeHost, health: str) -> None:
    host.outside.health = health
    await host.core.rooms.host.pool.look()


async def told(host: FakeHost) -> list[tuple[str, str]]:
    assert host.store is not None
    events = await host.store.events(0, "host", 1000)
    return [(event.kind, event.detail["health"]) for event in events if event.kind.startswith("pool.")]


async def test_each_change_of_the_pool_is_told_once(host: FakeHost) -> None:
    await look(host, "ONLINE")
    assert await told(host) == []
    for health in ("DEGRADED", "DEGRADED", "FAULTED", "ONLINE", "ONLINE"):
        await look(host, health)
    assert await told(host) == [("pool.degraded", "DEGRADED"), ("pool.degraded", "FAULTED"), ("pool.online", "ONLINE")]


async def test_a_restart_tells_nothing_twice_and_misses_nothing(host: FakeHost) -> None:
    await look(host, "DEGRADED")
    await host.restart()
    await look(host, "DEGRADED")
    assert await told(host) == [("pool.degraded", "DEGRADED")]
    await host.restart()
    await look(host, "ONLINE")
    assert await told(host) == [("pool.degraded", "DEGRADED"), ("pool.online", "ONLINE")]


async def test_a_torn_memory_is_no_memory(host: FakeHost) -> None:
    await look(host, "DEGRADED")
    (host.folder / "pool.json").write_bytes(b"{")
    await look(host, "DEGRADED")
    assert await told(host) == [("pool.degraded", "DEGRADED")] * 2


async def test_what_is_wrong_is_a_warning_of_the_host_until_it_is_over(host: FakeHost) -> None:
    await look(host, "DEGRADED")
    (warning,) = (await host.core.use_cases.host.view()).warnings
    assert "tank is DEGRADED" in warning
    await look(host, "ONLINE")
    assert (await host.core.use_cases.host.view()).warnings == ()


async def test_a_pool_that_cannot_be_asked_is_no_news_of_it(host: FakeHost) -> None:
    await look(host, "DEGRADED")
    host.outside.error = InternalError("COMMAND_FAILED", "zpool does not answer")
    with pytest.raises(InternalError):
        await look(host, "ONLINE")
    assert await told(host) == [("pool.degraded", "DEGRADED")]
