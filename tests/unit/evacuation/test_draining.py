"""A host that takes no jails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import Limits, Placement
from jaild.model.migration.streams import PROTOCOL
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, create, deploy, reason_of
from tests.hosts.fleet import Fleet, evacuate, fleet
from tests.hosts.migrating import migrate


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Fleet]:
    made = await fleet(tmp_path)
    yield made
    await made.stop()


async def drain(host: FakeHost, reason: str = "") -> None:
    await host.core.use_cases.evacuations.drain(reason, caller=caller(actor="ops"))


async def test_new_jails_are_refused_and_those_that_are_here_go_on(hosts: Fleet) -> None:
    await create(hosts.alpha)
    await drain(hosts.alpha, "disk 2 reports errors")
    with pytest.raises(FailedPreconditionError) as refused:
        await create(hosts.alpha, name="new")
    assert refused.value.reason == "HOST_DRAINING"
    assert "ops: disk 2 reports errors" in refused.value.message
    assert reason_of(await deploy(hosts.alpha, "web/2")) == ""


async def test_migrations_to_it_are_refused_before_anything_is_sent(hosts: Fleet) -> None:
    await create(hosts.alpha)
    await drain(hosts.beta)
    done = await hosts.alpha.end_of(await migrate(hosts.alpha, hosts.beta))
    assert done.failure is not None
    assert [problem.code for problem in done.failure.problems] == ["HOST_DRAINING"]
    assert hosts.beta.core.use_cases.jails.list() == []
    await hosts.beta.core.use_cases.evacuations.undrain(caller=caller())
    assert reason_of(await hosts.alpha.end_of(await migrate(hosts.alpha, hosts.beta))) == ""


async def test_it_lasts_over_a_restart_until_somebody_ends_it(hosts: Fleet) -> None:
    await drain(hosts.alpha, "memory")
    await hosts.alpha.restart()
    drained = (await hosts.alpha.core.host.view()).drain
    assert drained is not None
    assert (drained.actor, drained.reason) == ("ops", "memory")
    await hosts.alpha.core.use_cases.evacuations.undrain(caller=caller())
    await hosts.alpha.restart()
    assert (await hosts.alpha.core.host.view()).drain is None


async def test_asked_again_only_a_new_reason_is_a_change(hosts: Fleet) -> None:
    await drain(hosts.alpha, "memory")
    before = (await hosts.alpha.core.host.view()).drain
    await drain(hosts.alpha)
    assert (await hosts.alpha.core.host.view()).drain == before
    await drain(hosts.alpha, "disk")
    after = (await hosts.alpha.core.host.view()).drain
    assert before is not None
    assert after is not None
    assert (after.reason, after.since) == ("disk", before.since)


async def test_an_evacuation_leaves_the_reason_that_somebody_gave(hosts: Fleet) -> None:
    await drain(hosts.alpha, "its fan")
    await hosts.alpha.end_of(await evacuate(hosts.alpha))
    drained = (await hosts.alpha.core.use_cases.host.view()).drain
    assert drained is not None
    assert (drained.actor, drained.reason) == ("ops", "its fan")


async def test_a_host_tells_its_peers_its_room_and_what_it_cannot_tell_is_left_out(hosts: Fleet) -> None:
    spec = msgspec.structs.replace(
        SPEC, limits=Limits(memory="512M"), labels={"service": "dns"}, placement=Placement(apart="service")
    )
    await create(hosts.alpha, spec, name="dns1")
    await create(hosts.alpha, spec, name="dns2", stopped=True)
    await create(hosts.alpha, name="web")
    hosts.alpha.runtime.free = None
    hello = await hosts.alpha.core.use_cases.incoming.hello("id", "beta", PROTOCOL)
    assert hello.memory_total_bytes == 8 << 30
    assert hello.memory_free_bytes is None
    assert hello.memory_promised_bytes == 512 << 20  # one that is to be stopped uses none
    assert hello.cpus == 4
    assert hello.apart == {"service=dns": 2}
    assert not hello.draining
    await drain(hosts.alpha)
    assert (await hosts.alpha.core.use_cases.incoming.hello("id", "beta", PROTOCOL)).draining
