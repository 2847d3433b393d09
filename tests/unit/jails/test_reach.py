"""A grant's policy, where changes and builds are planned and carried out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
import pytest

from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails import policy_check as policycheck
from jaild.model.jails.spec import JailSpec, Limits, Mode, Network
from jaild.model.layers.recipe import Recipe, Step
from jaild.model.layers.records import Manifest
from jaild.model.operation import Operation
from jaild.model.policy import BuildPolicy, Policy
from jaild.model.views import Caller
from jaild.ports.runtime import Output
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, active, configure, create, deploy, reason_of, roll_back, serves, touched
from tests.unit.jails.test_authority_of_callers import Busy


def team(policy: Policy) -> Caller:
    return Caller(actor="web-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"}), policy=policy)


TEAM = team(Policy(networks=(Mode.NONE, Mode.VNET), limits=msgspec.convert({"memory": "1G"}, type(Policy().limits))))
NARROW = msgspec.structs.replace(SPEC, network=Network(mode=Mode.NONE), limits=Limits(memory="1G"))
WIDE = msgspec.structs.replace(
    NARROW, network=Network(mode=Mode.HOST), limits=Limits(memory="2G"), allow=("raw_sockets",)
)


def codes(operation: Operation) -> list[str]:
    assert operation.failure is not None
    assert operation.failure.reason == "PLAN_REFUSED"
    return [problem.code for problem in operation.failure.problems]


async def by_team(host: FakeHost, kind: str, *arguments: Any, **more: Any) -> Operation:
    ask = getattr(host.core.use_cases.jails, kind)
    asked = await ask("web", *arguments, **{"validate_only": False, "caller": TEAM, **more})
    return await host.end_of(asked)


async def test_a_jail_beyond_the_policy_is_refused_before_anything_is_touched(host: FakeHost) -> None:
    touched(host)
    for validate_only in (True, False):
        if validate_only:
            planned = await by_team(host, "create", WIDE, stopped=False, validate_only=True)
            assert planned.plan is not None
            found = [problem.code for problem in planned.plan.problems]
        else:
            with pytest.raises(FailedPreconditionError) as refused:
                await by_team(host, "create", WIDE, stopped=False)
            found = [problem.code for problem in refused.value.problems]
        assert found == ["POLICY_NETWORK", "POLICY_ALLOW", "POLICY_LIMIT"]
    assert touched(host) == []
    assert host.core.inventory.jails == {}


async def test_a_configure_beyond_the_policy_is_refused_and_the_jail_serves_on(host: FakeHost) -> None:
    assert reason_of(await by_team(host, "create", NARROW, stopped=False)) == ""
    touched(host)
    assert codes(await by_team(host, "configure", WIDE, etag="")) == ["POLICY_NETWORK", "POLICY_ALLOW", "POLICY_LIMIT"]
    assert touched(host) == []
    assert serves(host, 1)


async def test_a_deploy_passes_on_a_jail_to_which_an_operator_gave_more(host: FakeHost) -> None:
    await create(host, WIDE)
    assert reason_of(await by_team(host, "deploy", "web/2", etag="")) == ""
    assert active(host).spec.network.mode is Mode.HOST
    back = {"generation": 0, "axis": "", "etag": ""}
    assert reason_of(await by_team(host, "rollback", **back)) == ""  # as wide, so nothing is gained by it


async def test_a_rollback_regains_nothing_that_an_operator_took_away(host: FakeHost) -> None:
    await create(host, WIDE)
    await configure(host, NARROW)
    for axis in ("", "spec"):
        refused = await by_team(host, "rollback", generation=1, axis=axis, etag="")
        assert codes(refused) == ["POLICY_NETWORK", "POLICY_ALLOW", "POLICY_LIMIT"]
    assert serves(host, 2)
    assert reason_of(await roll_back(host, 1)) == ""  # an operator may


async def test_what_an_operator_took_away_meanwhile_is_looked_at_when_the_change_is_applied(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host, WIDE)
    busy = Busy(host, monkeypatch)
    jails = host.core.use_cases.jails
    taking = await jails.configure("web", NARROW, etag="", validate_only=False, caller=caller())
    await busy.reached.wait()
    wanted = msgspec.structs.replace(WIDE, hostname="w")  # as wide as the jail is, so far
    waiting = await jails.configure("web", wanted, etag="", validate_only=False, caller=TEAM)
    busy.go_on.set()
    assert reason_of(await host.end_of(taking)) == ""
    assert codes(await host.end_of(waiting)) == ["POLICY_NETWORK", "POLICY_ALLOW", "POLICY_LIMIT"]
    assert active(host).spec == NARROW


async def test_a_source_teams_upgrade_is_held_to_no_policy(host: FakeHost) -> None:
    await create(host, WIDE)
    source = Caller(actor="os-team", roles=frozenset({Role.SOURCE}))
    assert reason_of(await by_team(host, "upgrade", "deb-2", etag="", caller=source)) == ""
    assert reason_of(await deploy(host, "web/2")) == ""


# -- builds

RECIPE = Recipe(base="deb-1", manifest=Manifest(command=("/x",)), steps=(Step(run=("make",)),))


async def nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


async def build(host: FakeHost, policy: Policy, recipe: Recipe = RECIPE) -> Operation:
    asked = host.core.use_cases.builds.build(
        "web", "9", recipe, nothing(), sha256="", size=0, validate_only=False, caller=team(policy)
    )
    return await host.end_of(await asked)


async def test_a_build_beyond_the_policy_is_refused_before_anything_is_made(host: FakeHost) -> None:
    touched(host)
    policy = Policy(builds=BuildPolicy(networks=("none",)))
    with pytest.raises(FailedPreconditionError) as refused:
        await build(host, policy, msgspec.structs.replace(RECIPE, network="host"))
    assert [problem.code for problem in refused.value.problems] == ["POLICY_BUILD_NETWORK"]
    assert touched(host) == []


async def test_a_build_has_the_limits_of_the_policy_without_asking_for_them(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Limits] = []
    original = host.runtime.create

    async def create_(run: Any) -> None:
        made.append(run.limits)
        await original(run)

    monkeypatch.setattr(host.runtime, "create", create_)
    limits = Limits(memory="2G", cpus=1.0, processes=200)
    done = await build(host, Policy(builds=BuildPolicy(limits=limits)))
    assert made == [limits]
    assert done.plan is not None
    assert "at most memory 2G, cpus 1.0, processes 200" in done.plan.steps[0]


async def test_a_build_that_takes_longer_than_all_may_is_ended(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever(*_: object, **__: object) -> AsyncGenerator[Output, None]:
        yield Output(stdout=b"begun\n")
        await asyncio.Event().wait()

    monkeypatch.setattr(host.runtime, "exec", for_ever)
    done = await build(host, Policy(builds=BuildPolicy(time=0.05)))
    assert reason_of(done) == "BUILD_TIMEOUT"
    assert host.runtime.by_name == {}
    assert "web/9" not in host.core.inventory.releases


async def test_an_operators_build_has_no_end_but_its_recipes(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[float | None] = []
    original = asyncio.timeout

    def noted(delay: float | None) -> asyncio.Timeout:
        allowed.append(delay)
        return original(delay)

    monkeypatch.setattr("jaild.layers.build_steps.asyncio.timeout", noted)
    asked = host.core.use_cases.builds.build(
        "web", "9", RECIPE, nothing(), sha256="", size=0, validate_only=False, caller=caller()
    )
    await host.end_of(await asked)
    assert math.inf in allowed
    assert BuildPolicy().time not in allowed


def test_what_a_spec_says_by_saying_nothing_is_allowed_by_the_policy_that_says_nothing() -> None:
    assert policycheck.problems(team(Policy()), JailSpec(base="b"), None) == ()
