"""A jail that takes long to become healthy keeps no jail of a later boot order down."""

from __future__ import annotations

import msgspec

from jaild.model.jails.spec import Boot
from jaild.model.views import JailState
from tests.fakes.host import FakeHost
from tests.hosts.asking import create
from tests.hosts.standbys import happened
from tests.unit.migration.test_activation import CHECKED, Hanging


async def test_a_boot_goes_on_when_the_jails_of_one_order_are_not_healthy_in_the_operators_time(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(CHECKED, boot=Boot(order=1)), name="slow")
    await create(host, msgspec.structs.replace(CHECKED, health=(), boot=Boot(order=2)))
    host.probe = hanging = Hanging()
    host.boot_patience = 0.2
    await host.restart(reboot=True)
    await hanging.asked.wait()
    assert "not healthy after 0.2 s" in await happened(host, "jail.slow")
    await happened(host, "jail.started")
    assert host.core.use_cases.jails.get("web").state is JailState.RUNNING
    await host.core.dispatcher.stop(0.1)
