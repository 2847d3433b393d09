"""What is staged is kept until somebody, or a maintenance window, cuts over to it; what changed meanwhile is merged."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.jails.datasets import KEPT_GENERATIONS
from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError, InternalError, PermissionDeniedError
from jaild.model.jails.spec import Mode, Network
from jaild.model.layers.records import Staged
from jaild.model.views import Caller, JailState
from jaild.ports.runtime import Run
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import (
    SPEC,
    active,
    configure,
    create,
    cut_over,
    deploy,
    ended,
    reason_of,
    roll_back,
    serves,
    unstage,
    upgrade,
)

NIGHTLY = msgspec.structs.replace(SPEC, maintenance=("02:00-05:00",))
NOON, NIGHT = (datetime(2026, 1, 5, hour, tzinfo=UTC).timestamp() for hour in (12, 3))


async def with_staged(host: FakeHost) -> FakeHost:
    """A jail on web/1 that has web/2 staged, as generation 2."""
    await create(host)
    await host.add_release("web/3")
    assert reason_of(await deploy(host, "web/2", stage=True)) == ""
    return host


def staged(host: FakeHost) -> Staged | None:
    record = host.core.use_cases.jails.get("web").record
    assert record is not None
    return record.staged


async def test_a_rollback_can_be_staged_and_the_old_generation_stays_what_it_is(host: FakeHost) -> None:
    await create(host)
    assert reason_of(await deploy(host, "web/2")) == ""
    assert reason_of(await roll_back(host, stage=True)) == ""
    kept = staged(host)
    assert kept is not None
    assert (kept.number, serves(host, 2)) == (3, True)
    assert reason_of(await cut_over(host)) == ""
    assert (active(host).number, active(host).release, active(host).reason) == (3, "web/1", "rollback")
    assert reason_of(await roll_back(host, axis="app", stage=True)) == ""
    assert reason_of(await unstage(host)) == ""
    numbers = [generation.number for generation in await host.core.use_cases.jails.generations("web")]
    assert numbers == [3, 2, 1]
    assert reason_of(await roll_back(host, 1)) == ""
    assert serves(host, 1)


def etc_of(host: FakeHost, number: int) -> Path:
    return host.core.inventory.jails["web"].folder / "generations" / str(number) / "etc"


async def events(host: FakeHost, prefix: str) -> list[str]:
    return [e.kind async for e in host.core.use_cases.events.watch(0, "", False) if e.kind.startswith(prefix)]


async def tick(host: FakeHost) -> None:
    await host.core.use_cases.staging.tick()
    await host.quiet()


async def test_staging_stops_nothing_and_the_cutover_only_starts_what_is_there(host: FakeHost) -> None:
    await with_staged(host)
    view = host.core.use_cases.jails.get("web")
    assert view.staged is not None
    assert (view.staged.number, view.staged.release, active(host).number) == (2, "web/2", 1)
    assert serves(host, 1)
    assert await invariants.unsettled(host) == []
    inode = etc_of(host, 2).stat().st_ino
    done = await cut_over(host)
    assert (reason_of(done), done.downtime is not None) == ("", True)
    assert (active(host).number, active(host).release, staged(host)) == (2, "web/2", None)
    assert etc_of(host, 2).stat().st_ino == inode  # not made again
    assert serves(host, 2)
    assert await invariants.unsettled(host) == []
    assert await events(host, "generation.") == ["generation.staged", "generation.committed"]


@pytest.mark.parametrize("reboot", [False, True])
async def test_it_is_kept_over_a_restart_and_what_it_needs_with_it(host: FakeHost, *, reboot: bool) -> None:
    await with_staged(host)
    await host.restart(reboot=reboot)
    await host.quiet()
    assert serves(host, 1)
    assert await invariants.unsettled(host) == []
    assert "jails/web/generations/2" in host.core.inventory.release_view("web/2").used_by
    assert reason_of(await cut_over(host)) == ""
    assert serves(host, 2)


async def test_it_is_dropped_when_asked(host: FakeHost) -> None:
    await with_staged(host)
    assert reason_of(await unstage(host)) == ""
    assert (staged(host), etc_of(host, 2).exists()) == (None, False)
    assert host.core.inventory.release_view("web/2").used_by == ()
    for asked in (cut_over(host), unstage(host)):
        with pytest.raises(FailedPreconditionError) as refused:
            await asked
        assert refused.value.reason == "NOTHING_STAGED"


async def test_one_that_cannot_be_read_any_more_is_dropped_by_recovery(host: FakeHost) -> None:
    await with_staged(host)
    (etc_of(host, 2).parent / "generation.json").write_text("{")
    await host.restart()
    await host.quiet()
    assert (staged(host), serves(host, 1)) == (None, True)
    assert await invariants.unsettled(host) == []


async def test_what_the_jail_wrote_to_its_configuration_since_is_in_what_is_cut_over_to(host: FakeHost) -> None:
    await with_staged(host)
    (etc_of(host, 1) / "motd").write_text("written since\n")
    assert reason_of(await cut_over(host)) == ""
    assert active(host).number == 3  # made anew, while the old one served
    assert (etc_of(host, 3) / "motd").read_text() == "written since\n"
    assert not etc_of(host, 2).exists()
    assert await invariants.unsettled(host) == []


async def test_what_is_written_at_the_last_moment_is_merged_too_and_what_that_left_half_done_is_never_started(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_staged(host)
    stop = host.runtime.stop

    async def last_words(jail: str, generation: int) -> None:
        (etc_of(host, 1) / "motd").write_text("last words\n")
        await stop(jail, generation)

    monkeypatch.setattr(host.runtime, "stop", last_words)
    host.runtime.refuse["start:web.2"] = InternalError("COMMAND_FAILED", "no start")
    assert reason_of(await cut_over(host)) == "COMMAND_FAILED"
    assert (etc_of(host, 2) / "motd").read_text() == "last words\n"  # it may as well be half of it
    host.runtime.refuse.clear()
    assert reason_of(await cut_over(host)) == ""
    assert active(host).number == 3
    assert (etc_of(host, 3) / "motd").read_text() == "last words\n"


async def test_what_moved_on_another_axis_since_is_in_what_is_cut_over_to(host: FakeHost) -> None:
    await with_staged(host)
    assert reason_of(await upgrade(host, "deb-2")) == ""
    labelled = msgspec.structs.replace(SPEC, base="deb-2", labels={"tier": "edge"})
    assert reason_of(await configure(host, labelled)) == ""
    assert staged(host) is not None
    assert reason_of(await cut_over(host)) == ""
    now = active(host)
    assert (now.base, now.release, now.spec.labels, staged(host)) == ("deb-2", "web/2", {"tier": "edge"}, None)
    assert await invariants.unsettled(host) == []


async def test_one_that_does_not_fit_any_more_is_refused_and_says_so(host: FakeHost) -> None:
    await with_staged(host)
    assert reason_of(await deploy(host, "web/3")) == ""
    refused = (await cut_over(host)).failure
    assert refused is not None
    assert (refused.reason, "jail unstage" in refused.hint) == ("STAGED_OUTDATED", True)
    assert "another app" in refused.message
    assert serves(host, 3)
    assert reason_of(await roll_back(host, 1)) == ""  # where it was staged
    assert reason_of(await cut_over(host)) == ""
    assert active(host).release == "web/2"


async def test_it_is_replaced_on_its_axis_and_kept_from_other_axes(host: FakeHost) -> None:
    await with_staged(host)
    refused = (await upgrade(host, "deb-2", stage=True)).failure
    assert refused is not None
    assert (refused.reason, "jail unstage web" in refused.hint) == ("OTHER_CHANGE_STAGED", True)
    assert reason_of(await deploy(host, "web/3", stage=True)) == ""
    assert staged(host) is not None
    assert not etc_of(host, 2).exists()
    assert reason_of(await cut_over(host)) == ""
    assert active(host).release == "web/3"


async def test_a_cutover_that_fails_leaves_the_old_and_what_is_staged(host: FakeHost) -> None:
    await with_staged(host)
    host.runtime.refuse["start:web.2"] = InternalError("COMMAND_FAILED", "no start")
    assert reason_of(await cut_over(host)) != ""
    assert serves(host, 1)
    assert staged(host) is not None
    assert await invariants.unsettled(host) == []


async def test_what_it_was_made_of_is_kept_for_it_however_many_changes_come_between(host: FakeHost) -> None:
    await with_staged(host)
    for turn in range(KEPT_GENERATIONS + 1):
        await configure(host, msgspec.structs.replace(SPEC, environment={"TURN": str(turn)}))
    assert (etc_of(host, 1).exists(), etc_of(host, 3).exists()) == (True, False)
    assert reason_of(await cut_over(host)) == ""
    assert (active(host).release, active(host).spec.environment) == ("web/2", {"TURN": str(KEPT_GENERATIONS)})
    assert not etc_of(host, 1).exists()


async def test_what_it_wrote_itself_in_a_cutover_that_failed_is_not_started_again(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_staged(host)
    start = host.runtime.start

    async def half(jail: str, generation: int) -> Run:
        if generation == 2:
            (etc_of(host, 2) / "motd").write_text("of a run that failed\n")
            raise InternalError("COMMAND_FAILED", "no start")
        return await start(jail, generation)

    monkeypatch.setattr(host.runtime, "start", half)
    assert reason_of(await cut_over(host)) == "COMMAND_FAILED"
    assert serves(host, 1)
    assert reason_of(await cut_over(host)) == ""
    assert active(host).number == 3  # made anew
    assert (etc_of(host, 3) / "motd").read_text() != "of a run that failed\n"
    assert await invariants.unsettled(host) == []


async def test_plans_say_what_is_done_when(host: FakeHost) -> None:
    await create(host, NIGHTLY)
    host.clock.time = NOON
    jails, staging = host.core.use_cases.jails, host.core.use_cases.staging
    how: dict[str, Any] = {"etag": "", "validate_only": True, "caller": caller()}
    asked = await jails.deploy("web", "web/2", stage=True, **how)
    assert asked.plan is not None
    assert (len(asked.plan.steps), asked.plan.problems) == (3, ())
    direct = await jails.deploy("web", "web/2", **how)
    assert direct.plan is not None
    assert [(f.code, f.severity) for f in direct.plan.problems] == [("OUTSIDE_MAINTENANCE", "warning")]
    assert "2026-01-06 02:00" in direct.plan.problems[0].message
    await deploy(host, "web/2", stage=True, confirm_within=60)
    cutover = await staging.cutover("web", validate_only=True, caller=caller())
    assert cutover.plan is not None
    assert (cutover.plan.kind, cutover.plan.to_generation) == ("deploy", 2)
    assert cutover.plan.steps[0] == "take generation 2 (deb-1 + web/2), which is staged"
    assert "unless it is confirmed" in cutover.plan.steps[-1]
    host.clock.time = NIGHT
    inside = await jails.deploy("web", "web/2", **how)
    assert inside.plan is not None
    assert inside.plan.problems == ()


async def test_a_confirmation_is_waited_for_from_the_cutover_on(host: FakeHost) -> None:
    await create(host)
    assert reason_of(await deploy(host, "web/2", stage=True, confirm_within=600)) == ""
    host.clock.time += 6000
    await host.core.use_cases.confirmations.tick()
    assert reason_of(await cut_over(host)) == ""
    record = host.core.use_cases.jails.get("web").record
    assert record is not None
    assert record.confirm is not None
    assert (record.confirm.kind, record.confirm.back_to) == ("deploy", 1)
    assert record.confirm.until > host.clock.now() + 590


async def test_it_is_the_axis_that_says_whose_it_is_to_cut_over(host: FakeHost) -> None:
    await create(host)
    await upgrade(host, "deb-2", stage=True)
    team = Caller(actor="web-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"}))
    source = Caller(actor="src", roles=frozenset({Role.SOURCE}))
    staging = host.core.use_cases.staging
    for asked in (staging.cutover("web", validate_only=False, caller=team), staging.unstage("web", caller=team)):
        with pytest.raises(PermissionDeniedError):
            await asked
    assert reason_of(await ended(host, staging.cutover("web", validate_only=False, caller=source))) == ""
    assert active(host).base == "deb-2"


async def test_a_channel_that_moved_since_is_told(host: FakeHost) -> None:
    await create(host)
    channels = host.core.use_cases.channels
    await channels.set("stable", "deb-2", caller=caller())
    jails = host.core.use_cases.jails
    await ended(host, jails.upgrade("web", "", "stable", etag="", validate_only=False, caller=caller(), stage=True))
    await channels.set("stable", "deb-1", caller=caller())
    planned = await host.core.use_cases.staging.cutover("web", validate_only=True, caller=caller())
    assert planned.plan is not None
    assert [problem.code for problem in planned.plan.problems] == ["CHANNEL_MOVED"]


async def test_its_addresses_are_kept_for_it(host: FakeHost) -> None:
    own = Network(mode=Mode.VNET, addresses=("10.0.0.5/24",), bridge="br0")
    await create(host)
    assert reason_of(await configure(host, msgspec.structs.replace(SPEC, network=own), stage=True)) == ""
    refused = (
        await host.core.use_cases.jails.create(
            "other",
            msgspec.structs.replace(SPEC, network=own),
            stopped=True,
            validate_only=True,
            caller=caller(),
        )
    ).plan
    assert refused is not None
    assert "generation 2" in refused.problems[0].message


# -- in its window


async def test_a_window_cuts_over_by_itself_and_not_before(host: FakeHost) -> None:
    await create(host, NIGHTLY)
    await deploy(host, "web/2", stage=True)
    host.clock.time = NOON
    await tick(host)
    assert serves(host, 1)
    host.clock.time = NIGHT
    await host.restart()
    await tick(host)
    assert serves(host, 2)
    assert staged(host) is None
    assert [op.actor for op in host.core.use_cases.operations.list() if op.kind == "cutover"] == ["maintenance"]


async def test_a_window_tries_once_what_fails(host: FakeHost) -> None:
    await create(host, NIGHTLY)
    await deploy(host, "web/2", stage=True)
    host.runtime.refuse["start:web.2"] = InternalError("COMMAND_FAILED", "no start")
    host.clock.time = NIGHT
    for _ in range(3):
        await tick(host)
    kept = staged(host)
    assert kept is not None
    assert kept.failed
    assert (await events(host, "generation.not"), serves(host, 1)) == (["generation.not_cut_over"], True)
    host.runtime.refuse.clear()
    await host.restart()
    await tick(host)
    assert serves(host, 1)
    assert reason_of(await cut_over(host)) == ""
    assert host.core.use_cases.jails.get("web").state is JailState.RUNNING
