"""What a host cannot carry out of a spec is told before anything is touched: by a plan, and by a migration's target."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import Mode, Network, Port
from jaild.model.problems import Problem, Severity
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network as Wires
from tests.hosts.asking import SPEC, configure, create, reason_of, serves, touched
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate

NO_RACCT = Problem(
    severity=Severity.ERROR,
    code="LIMIT_UNSUPPORTED",
    message="kern.racct.enable is not 1",
    subject="$.limits.memory",
    hint="boot with it",
)


async def test_a_plan_shows_what_the_host_cannot_do_and_nothing_is_made(host: FakeHost) -> None:
    host.runtime.problems = (NO_RACCT,)
    touched(host)
    with pytest.raises(FailedPreconditionError) as refused:
        await create(host)
    assert (refused.value.reason, refused.value.problems) == ("PLAN_REFUSED", (NO_RACCT,))
    planned = await host.core.use_cases.jails.create("web", SPEC, stopped=False, validate_only=True, caller=caller())
    assert planned.plan is not None
    assert planned.plan.problems == (NO_RACCT,)
    assert touched(host) == []


async def test_a_running_jail_goes_on_when_a_change_of_it_cannot_be_carried_out(host: FakeHost) -> None:
    await create(host)
    host.runtime.problems = (NO_RACCT,)
    touched(host)
    assert reason_of(await configure(host, msgspec.structs.replace(SPEC, labels={"a": "b"}))) == "PLAN_REFUSED"
    assert serves(host, 1)
    assert touched(host) == []


async def test_a_target_that_cannot_carry_a_jail_refuses_it_while_it_serves(tmp_path: Path) -> None:
    wires = Wires()
    source, target = FakeHost(tmp_path / "a", "alpha", wires), FakeHost(tmp_path / "b", "beta", wires)
    try:
        await furnished(source)
        await target.start()
        await create(source)
        target.runtime.problems = (NO_RACCT,)
        moved = await source.end_of(await migrate(source, target))
        assert moved.failure is not None
        assert [problem.code for problem in moved.failure.problems] == ["LIMIT_UNSUPPORTED"]
        assert serves(source, 1)
        assert target.runtime.by_name == {}
        asked = [resource for operation, resource in target.runtime.calls if operation == "examine"]
        assert asked == ["jails/web"]
    finally:
        await source.stop()
        await target.stop()


async def test_two_jails_do_not_get_one_port_of_the_host(host: FakeHost) -> None:
    def spec(address: str) -> Network:
        return Network(mode=Mode.VNET, addresses=(address,), ports=(Port(host=8080, jail=80),))

    assert reason_of(await create(host, msgspec.structs.replace(SPEC, network=spec("10.0.0.5/24")))) == ""
    with pytest.raises(FailedPreconditionError) as refused:
        await create(host, msgspec.structs.replace(SPEC, network=spec("10.0.0.6/24")), name="other")
    assert [problem.code for problem in refused.value.problems] == ["PORT_IN_USE"]
