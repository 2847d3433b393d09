"""Snapshots by hand: taken, listed with those of other tools, removed if they are jaild's and nobody needs them."""

from __future__ import annotations

import pytest

from jaild.model.access import Role
from jaild.model.errors import JaildError
from jaild.model.operation import Operation
from jaild.model.views import Caller
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, create, deploy, ended, reason_of

WEB = "tank/jaild/jails/web"
STRANGER = Caller(actor="mallory", roles=frozenset({Role.PRODUCT}), apps=frozenset({"other"}))


async def take(host: FakeHost, tag: str = "mine") -> Operation:
    return await ended(host, host.core.use_cases.snapshots.take("web", tag, validate_only=False, caller=caller()))


async def remove(host: FakeHost, tag: str) -> Operation:
    return await ended(host, host.core.use_cases.snapshots.remove("web", tag, validate_only=False, caller=caller()))


async def refused(host: FakeHost, tag: str) -> str:
    with pytest.raises(JaildError) as caught:
        await remove(host, tag)
    assert caught.value.hint
    return caught.value.reason


async def listed(host: FakeHost) -> list[tuple[str, str]]:
    return [(each.tag, each.purpose) for each in await host.core.use_cases.snapshots.list("web")]


async def test_one_by_hand_says_who_took_it_and_stays_until_it_is_removed(host: FakeHost) -> None:
    await create(host, SPEC)
    assert reason_of(await take(host)) == ""
    host.clock.time += 60
    assert reason_of(await take(host, "")) == ""
    named = f"manual-{'19700112T134740Z'}"
    await host.zfs.snapshot(WEB, "autosnap_1", recursive=True)
    assert await listed(host) == [("mine", "manual/tester"), (named, "manual/tester"), ("autosnap_1", "")]
    with pytest.raises(JaildError, match="SNAPSHOT_EXISTS"):
        await take(host)
    with pytest.raises(JaildError, match="INVALID_NAME"):
        await take(host, "a@b")
    assert reason_of(await remove(host, "mine")) == ""
    assert await listed(host) == [(named, "manual/tester"), ("autosnap_1", "")]
    assert await refused(host, "mine") == "SNAPSHOT_NOT_FOUND"


async def test_a_plan_takes_and_removes_nothing(host: FakeHost) -> None:
    await create(host, SPEC)
    snapshots = host.core.use_cases.snapshots
    planned = await snapshots.take("web", "mine", validate_only=True, caller=caller())
    assert planned.plan is not None
    assert planned.plan.steps == (f"zfs snapshot -r {WEB}@mine",)
    assert await listed(host) == []
    await take(host)
    planned = await snapshots.remove("web", "mine", validate_only=True, caller=caller())
    assert planned.plan is not None
    assert planned.plan.steps[0].startswith("destroy mine of 1970-01-12 13:46:40 UTC: ")
    assert await listed(host) == [("mine", "manual/tester")]


async def test_what_is_not_jailds_or_is_needed_or_held_is_not_removed(host: FakeHost) -> None:
    await create(host, SPEC)
    await host.zfs.snapshot(WEB, "theirs", recursive=True)
    assert await refused(host, "theirs") == "SNAPSHOT_NOT_OURS"
    await host.zfs.snapshot(WEB, "round", recursive=True, purpose="standby")
    assert await refused(host, "round") == "SNAPSHOT_NEEDED"
    await take(host)
    await host.zfs.hold("zrepl", f"{WEB}/data@mine")
    assert await refused(host, "mine") == "SNAPSHOTS_IN_USE"
    assert reason_of(await deploy(host, "web/2")) == ""
    assert reason_of(await remove(host, "before-2")) == ""  # the net of a change


async def test_another_teams_jail_is_none_of_ones_business(host: FakeHost) -> None:
    await create(host, SPEC)
    await take(host)
    snapshots = host.core.use_cases.snapshots
    for asked in (
        snapshots.take("web", "x", validate_only=True, caller=STRANGER),
        snapshots.remove("web", "mine", validate_only=True, caller=STRANGER),
    ):
        with pytest.raises(JaildError, match="APP_REQUIRED"):
            await asked
