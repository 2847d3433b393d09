"""A change that waits for its confirmation is undone unless somebody says yes, whatever happens meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError, PermissionDeniedError
from jaild.model.jails.spec import Mode, Network
from jaild.model.layers.records import ConfirmWithin
from jaild.model.operation import Operation
from jaild.model.views import Caller, JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import (
    SPEC,
    active,
    configure,
    create,
    delete,
    deploy,
    ended,
    reason_of,
    roll_back,
    serves,
    upgrade,
)

TEN = 600.0


async def on_trial(host: FakeHost) -> FakeHost:
    """A jail of which the second generation waits ten minutes for its confirmation."""
    await create(host)
    assert reason_of(await deploy(host, "web/2", confirm_within=TEN)) == ""
    return host


async def later(host: FakeHost, seconds: float = TEN) -> None:
    """Let time go by, and what is due then be done."""
    host.clock.time += seconds
    await host.core.use_cases.confirmations.tick()
    await host.quiet()


async def confirm(host: FakeHost, by: Caller | None = None) -> Operation:
    return await ended(host, host.core.use_cases.confirmations.confirm("web", caller=by or caller()))


async def revert(host: FakeHost, *, plan: bool = False) -> Operation:
    asked = host.core.use_cases.confirmations.revert("web", validate_only=plan, caller=caller())
    return await ended(host, asked)


def awaited(host: FakeHost) -> ConfirmWithin | None:
    record = host.core.use_cases.jails.get("web").record
    assert record is not None
    return record.confirm


async def events(host: FakeHost, prefix: str) -> list[str]:
    return [e.kind async for e in host.core.use_cases.events.watch(0, "", False) if e.kind.startswith(prefix)]


async def test_what_is_not_confirmed_in_time_is_undone_by_itself(host: FakeHost) -> None:
    await on_trial(host)
    await later(host, TEN - 1)
    assert serves(host, 2)
    await later(host, 1)
    assert (active(host).number, active(host).release, awaited(host)) == (1, "web/1", None)
    assert serves(host, 1)
    assert await events(host, "change.") == ["change.unconfirmed"]
    assert await invariants.unsettled(host) == []


async def test_what_is_confirmed_stays(host: FakeHost) -> None:
    await on_trial(host)
    assert reason_of(await confirm(host)) == ""
    await later(host, 2 * TEN)
    assert serves(host, 2)
    assert (awaited(host), await events(host, "change.")) == (None, ["change.confirmed"])
    assert reason_of(await deploy(host, "web/1")) == ""


async def test_a_jail_says_until_when_its_change_waits(host: FakeHost) -> None:
    await on_trial(host)
    found = awaited(host)
    assert found is not None
    assert (found.back_to, found.kind, found.until - host.clock.now() <= TEN) == (1, "deploy", True)
    assert "generation 1 comes back" in host.core.use_cases.jails.get("web").message


async def test_it_can_be_undone_at_once(host: FakeHost) -> None:
    await on_trial(host)
    planned = await revert(host, plan=True)
    assert planned.plan is not None
    assert (planned.plan.from_generation, planned.plan.to_generation, serves(host, 2)) == (2, 1, True)
    assert reason_of(await revert(host)) == ""
    assert serves(host, 1)
    assert awaited(host) is None


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("away", [1.0, TEN])
async def test_the_deadline_holds_over_a_restart(host: FakeHost, *, reboot: bool, away: float) -> None:
    await on_trial(host)
    host.clock.time += away
    await host.restart(reboot=reboot)
    await host.quiet()
    if away < TEN:
        await later(host, 0)
        assert serves(host, 2)
    await later(host, TEN - away)
    assert serves(host, 1)
    assert await invariants.unsettled(host) == []


async def test_other_changes_and_moves_are_refused_meanwhile_and_told_how_to_go_on(host: FakeHost) -> None:
    await on_trial(host)
    for asked in (deploy(host, "web/1"), upgrade(host, "deb-2"), configure(host, SPEC), roll_back(host, 1)):
        refused = (await asked).failure
        assert refused is not None
        assert refused.reason == "CHANGE_UNCONFIRMED"
        assert "jailctl jail confirm-change web" in refused.hint
    migrations = host.core.use_cases.migrations
    how: dict[str, Any] = {"max_downtime": 5.0, "proceed_over_budget": False, "etag": "", "caller": caller()}
    assert reason_of(await ended(host, migrations.migrate("web", "beta", validate_only=False, **how))) == (
        "CHANGE_UNCONFIRMED"
    )
    with pytest.raises(FailedPreconditionError, match="waits for its confirmation"):
        await migrations.migrate("web", "beta", validate_only=True, **how)
    assert serves(host, 2)


async def test_it_can_be_stopped_started_and_deleted_meanwhile(host: FakeHost) -> None:
    await on_trial(host)
    jails = host.core.use_cases.jails
    await ended(host, jails.stop("web", caller=caller()))
    await later(host)
    assert (active(host).number, jails.get("web").state) == (1, JailState.STOPPED)
    assert reason_of(await deploy(host, "web/2", confirm_within=TEN)) == ""
    assert jails.get("web").state is JailState.STOPPED
    await ended(host, jails.start("web", caller=caller()))
    assert serves(host, 3)
    await delete(host, force=True)
    await later(host)


async def test_the_old_generation_comes_back_even_if_it_is_not_healthy(host: FakeHost) -> None:
    await on_trial(host)
    host.probe.problem = "refused"
    await later(host)
    assert serves(host, 1)


async def test_a_reversal_that_fails_is_tried_again_and_the_change_can_be_kept_meanwhile(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_trial(host)
    create_run, failures = host.runtime.create, 2

    async def failing(spec: object) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            assert serves(host, 2)
            raise FailedPreconditionError("MOUNT_TARGET", "no such folder", hint="make it")
        await create_run(spec)  # type: ignore[arg-type]

    monkeypatch.setattr(host.runtime, "create", failing)
    await later(host)
    assert serves(host, 1)
    assert await events(host, "task.") == ["task.failed", "task.recovered"]


async def test_what_may_come_back_keeps_its_addresses(host: FakeHost) -> None:
    own = msgspec.structs.replace(SPEC, network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24",)))
    await create(host, own)
    moved = msgspec.structs.replace(own, network=Network(mode=Mode.VNET, addresses=("10.0.0.6/24",)))
    jails = host.core.use_cases.jails
    asked = jails.configure("web", moved, etag="", validate_only=False, caller=caller(), confirm_within=TEN)
    assert reason_of(await ended(host, asked)) == ""
    for restart in (False, True):
        if restart:
            await host.restart()
            await host.quiet()
        with pytest.raises(JaildError, match=r"10\.0\.0\.5"):
            await create(host, own, name="thief")
    await later(host)
    assert active(host).spec == own


async def test_nothing_to_confirm_is_said_so(host: FakeHost) -> None:
    await create(host)
    for asked in (confirm(host), revert(host)):
        with pytest.raises(FailedPreconditionError) as raised:
            await asked
        assert raised.value.reason == "NOTHING_TO_CONFIRM"


async def test_a_plan_tells_that_it_waits_and_changes_nothing(host: FakeHost) -> None:
    await create(host)
    jails = host.core.use_cases.jails
    planned = await jails.deploy("web", "web/2", etag="", validate_only=True, caller=caller(), confirm_within=TEN)
    assert planned.plan is not None
    assert planned.plan.steps[-1] == "back to generation 1 after 600 s, unless it is confirmed"
    assert awaited(host) is None


@pytest.mark.parametrize("seconds", [0.5, 8 * 86400.0])
async def test_a_time_that_makes_no_sense_is_refused(host: FakeHost, seconds: float) -> None:
    await create(host)
    with pytest.raises(InvalidArgumentError, match="confirm_within"):
        await deploy(host, "web/2", confirm_within=seconds)


async def test_a_change_is_settled_by_whose_axis_it_is(host: FakeHost) -> None:
    await create(host)
    jails = host.core.use_cases.jails
    asked = jails.upgrade("web", "deb-2", etag="", validate_only=False, caller=caller(), confirm_within=TEN)
    assert reason_of(await ended(host, asked)) == ""
    with pytest.raises(PermissionDeniedError):
        await confirm(host, Caller(actor="web-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"})))
    assert reason_of(await confirm(host, Caller(actor="os-team", roles=frozenset({Role.SOURCE})))) == ""


async def test_a_change_that_fails_its_health_checks_waits_for_nothing(host: FakeHost) -> None:
    await create(host)
    host.runtime.refuse["start"] = FailedPreconditionError("START_FAILED", "no", hint="")
    failed = await deploy(host, "web/2", confirm_within=TEN)
    assert failed.failure is not None
    assert awaited(host) is None
