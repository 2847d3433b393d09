"""The boot rule and what a host remembers: a jail that was handed on never starts again from an old copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import Ownership, encode
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import delete, deploy, reason_of, serves
from tests.hosts.migrating import migrate, two_hosts


async def test_a_pool_that_was_restored_from_before_a_move_does_not_start_the_jail_a_second_time(
    tmp_path: Path,
) -> None:
    source, target = await two_hosts(tmp_path, back=False)
    before = (await invariants.records(source))["web"]
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    await restored(source, before)
    assert invariants.running([source], "web") == []
    assert source.core.use_cases.jails.get("web").state is JailState.SUPERSEDED
    assert "epoch 1" in source.core.use_cases.jails.get("web").message
    assert any("old copy" in told for told in source.core.recovery.repairs)
    assert reason_of(await deploy(source, "web/1")) == "JAIL_SUPERSEDED"
    with pytest.raises(FailedPreconditionError) as refused:
        await source.core.use_cases.migrations.migrate(
            "web",
            "beta",
            max_downtime=5.0,
            proceed_over_budget=False,
            etag="",
            validate_only=True,
            caller=caller(),
        )
    assert refused.value.reason == "JAIL_SUPERSEDED"
    assert serves(target, 1)
    assert reason_of(await delete(source)) == ""
    assert reason_of(await target.end_of(await migrate(target, source))) == ""
    assert serves(source, 1)
    await source.stop()
    await target.stop()


async def test_a_jail_that_came_back_starts_again_although_it_was_handed_on_once(tmp_path: Path) -> None:
    source, target = await two_hosts(tmp_path, back=True)  # the jail is on `source`, and was on `target` before
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    await target.restart(reboot=True)
    await target.quiet()
    assert serves(target, 1)
    await source.stop()
    await target.stop()


async def restored(host: FakeHost, record: object) -> None:
    """Reboot the host with the jail's dataset as it was before."""
    await host.kill()
    for dataset in reversed(await host.zfs.datasets("tank/jaild/jails/web")):
        await host.zfs.set(dataset.name, {"readonly": "off", "canmount": "on"})
    await host.zfs.set("tank/jaild/jails/web", {layout.JAIL_PROPERTY: encode(record)})  # type: ignore[arg-type]
    await host.lose_power()
    assert (await invariants.records(host))["web"].state is Ownership.ACTIVE
    await host.start()
    await host.quiet()
