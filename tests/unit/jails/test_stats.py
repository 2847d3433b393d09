"""What jails use is asked of runtime and ZFS, and one that cannot be measured does not hide the others."""

from __future__ import annotations

import msgspec
import pytest

from jaild.model.errors import InternalError, NotFoundError
from jaild.model.jails.spec import Limits
from jaild.ports.runtime import Traffic, Usage
from tests.fakes.host import FakeHost
from tests.hosts.asking import SPEC, create


async def test_a_running_jail_is_told_with_what_it_uses_and_what_it_may(host: FakeHost) -> None:
    limits = Limits(memory="1G", cpus=1.5)
    await create(host, msgspec.structs.replace(SPEC, limits=limits, quota="2G"))
    (host.core.inventory.jails["web"].folder / "data/var/kept").write_bytes(bytes(1000))
    used = Usage(memory=5 << 20, cpu_seconds=12.5, processes=7, cpus=0.5, max_age=1.0, read_rate=100, write_rate=200)
    host.runtime.usages["web.1"] = used
    host.runtime.traffics["web"] = Traffic(received=3, sent=4)
    (found,) = await host.core.use_cases.stats.measure([])
    assert (found.name, found.running, found.limits) == ("web", True, limits)
    assert (found.memory, found.cpu_seconds, found.processes, found.cpus) == (5 << 20, 12.5, 7, 0.5)
    assert (found.read_rate, found.write_rate, found.received, found.sent) == (100, 200, 3, 4)
    assert (found.data_quota, found.message) == (2 << 30, "")
    assert (found.data, found.disk > 0) == (1000, True)
    assert found.sampled >= found.started > 0
    assert found.max_age == 1.0


async def test_a_jail_that_does_not_run_has_only_its_disk(host: FakeHost) -> None:
    await create(host, stopped=True)
    host.runtime.calls.clear()
    (found,) = await host.core.use_cases.stats.measure(["web"])
    assert (found.running, found.memory, found.cpu_seconds, found.processes) == (False, None, None, None)
    assert found.disk > 0
    assert host.runtime.calls == []


async def test_a_jail_that_cannot_be_measured_says_why_and_the_others_are_told(host: FakeHost) -> None:
    for name in ("a", "b"):
        await create(host, name=name)
    host.runtime.refuse["usage:a.1"] = InternalError("COMMAND_FAILED", "rctl: it does not work")
    broken, whole = await host.core.use_cases.stats.measure([])
    assert (broken.name, broken.memory) == ("a", None)
    assert "it does not work" in broken.message
    assert (whole.name, whole.message) == ("b", "")
    assert whole.memory


async def test_networks_that_cannot_be_asked_hide_nothing_else(host: FakeHost) -> None:
    for name in ("a", "b"):
        await create(host, name=name)
    host.runtime.refuse["traffic"] = InternalError("COMMAND_FAILED", "netstat: it does not work")
    for found in await host.core.use_cases.stats.measure([]):
        assert (found.received, found.sent, found.message) == (None, None, "")
        assert found.memory
    assert [call for call, _ in host.runtime.calls].count("traffic") == 1  # for both


async def test_only_those_that_are_named_are_measured_and_an_unknown_one_is_an_error(host: FakeHost) -> None:
    for name in ("a", "b"):
        await create(host, name=name)
    assert [found.name for found in await host.core.use_cases.stats.measure(["b", "b"])] == ["b"]
    with pytest.raises(NotFoundError) as refused:
        await host.core.use_cases.stats.measure(["b", "c"])
    assert refused.value.reason == "JAIL_NOT_FOUND"
