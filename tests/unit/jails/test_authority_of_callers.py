"""What a caller may change is decided on the jail as it is when the change is applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from jaild.model import access
from jaild.model.access import Role
from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.change import Axis, Change, Configure, Deploy, Draft, Rollback, Upgrade
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.operation import Operation
from jaild.model.views import Caller
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, active, create, deploy, reason_of, upgrade

TEAM = Caller(actor="web-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"}))
SOURCE = Caller(actor="os-team", roles=frozenset({Role.SOURCE}))
Ask = Callable[[FakeHost, Caller], Awaitable[Operation]]


def roll_back(axis: str) -> Ask:
    def ask(host: FakeHost, who: Caller) -> Awaitable[Operation]:
        return host.core.use_cases.jails.rollback(
            "web", generation=0, axis=axis, etag="", validate_only=False, caller=who
        )

    return ask


class Busy:
    """Keeps a jail's queue at its first operation until `go_on`."""

    def __init__(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        stop = host.runtime.stop

        async def waiting(jail: str, generation: int) -> None:
            self.reached.set()
            await self.go_on.wait()
            await stop(jail, generation)

        monkeypatch.setattr(host.runtime, "stop", waiting)


async def test_a_rollback_that_waited_during_an_upgrade_does_not_move_the_base_back(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    await deploy(host, "web/2")
    busy = Busy(host, monkeypatch)
    jails = host.core.use_cases.jails
    upgrading = await jails.upgrade("web", "deb-2", etag="", validate_only=False, caller=SOURCE)
    await busy.reached.wait()
    waiting = await roll_back("")(host, TEAM)  # all of generation 1: on the base that the jail is on, so far
    busy.go_on.set()
    assert reason_of(await host.end_of(upgrading)) == ""
    assert reason_of(await host.end_of(waiting)) == "AXIS_REQUIRED"
    assert (active(host).base, active(host).release) == ("deb-2", "web/2")


OWN: dict[str, Ask] = {
    "start": lambda host, who: host.core.use_cases.jails.start("web", caller=who),
    "stop": lambda host, who: host.core.use_cases.jails.stop("web", caller=who),
    "restart": lambda host, who: host.core.use_cases.jails.restart("web", caller=who),
    "deploy": lambda host, who: host.core.use_cases.jails.deploy(
        "web", "web/1", etag="", validate_only=False, caller=who
    ),
    "configure": lambda host, who: host.core.use_cases.jails.configure(
        "web", msgspec.structs.replace(SPEC, app="db/1", quota="1G"), etag="", validate_only=False, caller=who
    ),
    "roll back": roll_back("app"),
}


@pytest.mark.parametrize("what", OWN)
async def test_what_waited_while_the_jail_was_given_to_another_team_is_not_done(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await host.add_release("db/1")
    await create(host)
    await deploy(host, "web/2")
    busy = Busy(host, monkeypatch)
    giving = await host.core.use_cases.jails.deploy("web", "db/1", etag="", validate_only=False, caller=caller())
    await busy.reached.wait()
    waiting = await OWN[what](host, TEAM)
    busy.go_on.set()
    assert reason_of(await host.end_of(giving)) == ""
    assert reason_of(await host.end_of(waiting)) == "APP_REQUIRED"
    assert active(host).release == "db/1"


async def test_a_plan_is_refused_as_the_change_would_be(host: FakeHost) -> None:
    await create(host)
    await upgrade(host, "deb-2")
    for validate_only in (True, False):
        with pytest.raises(PermissionDeniedError) as refused:
            await host.core.use_cases.jails.rollback(
                "web", generation=1, axis="", etag="", validate_only=validate_only, caller=TEAM
            )
        assert refused.value.reason == "AXIS_REQUIRED"


def generation(base: str, release: str, number: int = 2) -> Generation:
    spec = JailSpec(base=base, app=release or None, labels={"of": str(number)})
    return Generation(number=number, spec=spec, base=base, release=release)


OLDER = {1: generation("old", "web/1", 1), 3: generation("new", "db/1", 3)}


@pytest.mark.parametrize(
    ("who", "change", "reason"),
    [
        (TEAM, Deploy("web/2"), None),
        (TEAM, Deploy("db/1"), "APP_REQUIRED"),
        (TEAM, Upgrade("old"), "AXIS_REQUIRED"),
        (TEAM, Configure(JailSpec(base="new", app="web/2", quota="1G")), None),
        (TEAM, Rollback(1, Axis.ALL), "AXIS_REQUIRED"),
        (TEAM, Rollback(1, Axis.APP), None),
        (TEAM, Rollback(1, Axis.SPEC), None),
        (TEAM, Rollback(1, Axis.BASE), "AXIS_REQUIRED"),
        (TEAM, Rollback(3, Axis.ALL), "APP_REQUIRED"),
        (TEAM, Rollback(3, Axis.APP), "APP_REQUIRED"),
        (SOURCE, Upgrade("old"), None),
        (SOURCE, Rollback(1, Axis.BASE), None),
        (SOURCE, Rollback(1, Axis.APP), "AXIS_REQUIRED"),
        (SOURCE, Rollback(1, Axis.ALL), "AXIS_REQUIRED"),
        (SOURCE, Deploy("web/1"), "AXIS_REQUIRED"),
        (caller(), Rollback(1, Axis.ALL), None),
        (caller(), Rollback(3, Axis.APP), None),
    ],
)
def test_each_team_moves_its_own_axis_whatever_it_asks_for(who: Caller, change: Change, reason: str | None) -> None:
    current = generation("new", "web/2")

    def decide() -> Draft:
        access.require_change(who, "web", current, change)
        draft = change.apply(current, {**OLDER, 2: current})
        access.require_outcome(who, "web", current, draft)
        return draft

    if reason is None:
        assert decide().kind == change.kind
        return
    with pytest.raises(PermissionDeniedError) as refused:
        decide()
    assert refused.value.reason == reason
