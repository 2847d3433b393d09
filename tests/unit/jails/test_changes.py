"""Deploy, upgrade, configure, roll back: one axis moves, the others and the data stay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.jails.datasets import KEPT_GENERATIONS
from jaild.model import layout
from jaild.model.errors import AbortedError, FailedPreconditionError, InternalError, InvalidArgumentError, JaildError
from jaild.model.jails.change import Configure, Deploy, Rollback, Upgrade
from jaild.model.jails.redaction import REDACTED, redacted
from jaild.model.jails.spec import ExecCheck, JailSpec, Limits, Readiness, Volume
from jaild.model.layers.records import Manifest
from jaild.model.operation import Operation
from jaild.model.problems import FieldChange
from jaild.ports.runtime import Run
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import (
    SPEC,
    active,
    configure,
    create,
    deploy,
    ended,
    reason_of,
    roll_back,
    serves,
    touched,
    upgrade,
)

CHECKED = msgspec.structs.replace(SPEC, health=(ExecCheck(command=("check",)),), readiness=Readiness(deadline=1.0))


def etc(host: FakeHost, generation: int) -> Path:
    return layout.generation_folder(host.core.inventory.jails["web"].folder, generation) / "etc"


def before_stopping(host: FakeHost, monkeypatch: pytest.MonkeyPatch, path: str, text: str) -> None:
    """Let the jail write to its own /etc when it is told to stop: after the new generation was staged."""
    original = host.runtime.stop

    async def stop(jail: str, generation: int) -> float:
        if generation == 1:
            (etc(host, 1) / path).write_text(text)
        return await original(jail, generation)

    monkeypatch.setattr(host.runtime, "stop", stop)


async def test_a_deploy_changes_the_release_and_nothing_else(host: FakeHost) -> None:
    await create(host)
    assert reason_of(await deploy(host, "web/2")) == ""
    assert (active(host).number, active(host).base, active(host).release) == (2, "deb-1", "web/2")
    assert serves(host, 2)
    assert await invariants.unsettled(host) == []


async def test_what_is_there_already_is_not_made_again_unless_it_is_forced(host: FakeHost) -> None:
    jails, how = host.core.use_cases.jails, {"etag": "", "validate_only": False, "caller": caller()}
    await create(host)
    asks: dict[str, Callable[..., Awaitable[Operation]]] = {
        "deploy": partial(jails.deploy, "web", "web/1"),
        "upgrade": partial(jails.upgrade, "web", "deb-1"),
        "configure": partial(jails.configure, "web", redacted(SPEC)),
    }
    for kind, ask in asks.items():
        touched(host)
        done = await ended(host, ask(**how))
        assert (reason_of(done), done.plan and done.plan.unchanged, done.downtime) == ("", True, None), kind
        staged = await ended(host, ask(**how, stage=True))
        assert (reason_of(staged), staged.plan and staged.plan.unchanged) == ("", True), kind
        planned = await ask(**{**how, "validate_only": True})
        assert planned.plan is not None
        assert (planned.plan.unchanged, planned.plan.steps, planned.plan.to_generation) == (True, (), 1), kind
        assert touched(host) == [], kind
    for number, (kind, ask) in enumerate(asks.items(), 2):
        forced = await ended(host, ask(**how, force=True))
        assert (reason_of(forced), active(host).number) == ("", number), kind
        assert serves(host, number), kind


async def test_an_upgrade_to_the_channel_of_the_same_base_is_a_change_and_again_is_none(host: FakeHost) -> None:
    await create(host)
    await host.core.use_cases.channels.set("stable", "deb-1", caller=caller())
    for number in (2, 2):
        jails = host.core.use_cases.jails
        asked = jails.upgrade("web", "", "stable", etag="", validate_only=False, caller=caller())
        assert reason_of(await ended(host, asked)) == ""
        assert (active(host).number, active(host).spec.channel) == (number, "stable")


async def test_a_rollback_of_an_axis_to_where_it_is_is_refused(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    assert reason_of(await roll_back(host, 1, "base")) == "NOTHING_TO_ROLL_BACK"
    assert active(host).number == 2


async def test_an_upgrade_changes_the_base_and_nothing_else(host: FakeHost) -> None:
    await create(host)
    assert reason_of(await upgrade(host, "deb-2")) == ""
    assert (active(host).number, active(host).base, active(host).release) == (2, "deb-2", "web/1")
    assert (etc(host, 2) / "motd").read_text() == "welcome to deb-2\n"


async def test_a_configuration_changes_the_spec_and_neither_base_nor_release(host: FakeHost) -> None:
    await create(host)
    await configure(host, msgspec.structs.replace(SPEC, environment={"COLOUR": "red"}))
    assert (active(host).base, active(host).release) == ("deb-1", "web/1")
    assert host.runtime.by_name["web.2"].spec.environment["COLOUR"] == "red"
    refused = await configure(host, msgspec.structs.replace(SPEC, base="deb-2"))
    assert reason_of(refused) == "OTHER_AXIS"


async def test_a_whole_rollback_cuts_over_to_the_older_generation_as_it_was(host: FakeHost) -> None:
    await create(host)
    (etc(host, 1) / "own.conf").write_text("mine")
    await deploy(host, "web/2")
    assert reason_of(await roll_back(host)) == ""
    assert active(host).number == 1
    assert serves(host, 1)
    assert (etc(host, 1) / "own.conf").read_text() == "mine"


@pytest.mark.parametrize(
    ("axis", "base", "release", "environment"),
    [
        ("base", "deb-1", "web/2", {"A": "2"}),
        ("app", "deb-2", "web/1", {"A": "2"}),
        ("spec", "deb-2", "web/2", {}),
    ],
)
async def test_a_rollback_of_one_axis_leaves_the_others_where_they_are(
    host: FakeHost, axis: str, base: str, release: str, environment: dict[str, str]
) -> None:
    await create(host)
    await deploy(host, "web/2")
    await upgrade(host, "deb-2")
    await configure(host, msgspec.structs.replace(active(host).spec, environment={"A": "2"}))
    assert reason_of(await roll_back(host, axis=axis)) == ""
    now = active(host)
    assert (now.number, now.base, now.release, now.spec.environment) == (5, base, release, environment)


async def test_data_is_never_rolled_back(host: FakeHost) -> None:
    await create(host)
    mark = host.core.inventory.jails["web"].folder / "data" / "var" / "mark"
    await deploy(host, "web/2")
    mark.write_text("written under 2")
    await roll_back(host)
    assert mark.read_text() == "written under 2"


async def test_a_refused_plan_touches_nothing(host: FakeHost) -> None:
    await create(host)
    await host.add_release("mute/1", manifest=Manifest())
    touched(host)
    refused = await deploy(host, "mute/1")
    assert reason_of(refused) == "PLAN_REFUSED"
    assert [problem.code for problem in refused.failure.problems] == ["NO_COMMAND"] if refused.failure else False
    assert touched(host) == []
    assert serves(host, 1)


async def test_a_plan_tells_what_becomes_what(host: FakeHost) -> None:
    await create(host)
    caller_ = caller()
    jails = host.core.use_cases.jails
    plan = await jails.plan("web", Deploy("web/2"), caller=caller_)
    assert ((plan.from_base, plan.base), (plan.from_release, plan.release)) == (("deb-1", "deb-1"), ("web/1", "web/2"))
    assert plan.changes == ()
    plan = await jails.plan("web", Upgrade("deb-2"), caller=caller_)
    assert (plan.from_base, plan.base, plan.from_release, plan.release) == ("deb-1", "deb-2", "web/1", "web/1")
    wanted = msgspec.structs.replace(SPEC, limits=Limits(memory="64M"), labels={"team": "cdn"})
    plan = await jails.plan("web", Configure(wanted), caller=caller_)
    expected = (
        FieldChange(field="$.labels.team", after="cdn"),
        FieldChange(field="$.limits.memory", after="64M"),
    )
    assert plan.changes == expected
    assert reason_of(await configure(host, wanted)) == ""
    plan = await jails.plan("web", Rollback(), caller=caller_)
    assert plan.changes == tuple(FieldChange(field=each.field, before=each.after) for each in expected)
    assert (plan.from_generation, plan.to_generation, plan.from_release) == (2, 1, "web/1")


async def test_a_plan_alone_touches_nothing_and_is_not_kept_as_a_request(host: FakeHost) -> None:
    await create(host)
    touched(host)
    jails = host.core.use_cases.jails
    for _ in range(2):
        planned = await jails.deploy("web", "web/2", etag="", validate_only=True, caller=caller("same"))
        assert planned.plan is not None
        assert planned.plan.to_generation == 2
    assert touched(host) == []


async def test_a_generation_that_fails_its_health_checks_is_taken_back(host: FakeHost) -> None:
    await create(host, CHECKED)
    host.runtime.say("web", 2, status=1, stderr=b"no database")
    failed = await deploy(host, "web/2")
    assert reason_of(failed) == "HEALTH_CHECK_FAILED"
    assert failed.failure is not None
    assert "no database" in failed.failure.detail["checks"]
    assert failed.facts["rolled_back"] == "true"
    assert active(host).number == 1
    assert serves(host, 1)
    assert not etc(host, 2).exists()


async def test_a_way_back_that_fails_is_told_beside_why_it_was_gone(host: FakeHost) -> None:
    await create(host, CHECKED)
    host.runtime.say("web", 2, status=1)
    original = host.runtime.exec

    def exec_(*args: Any, **more: Any) -> Any:
        host.runtime.refuse = {name: InternalError("COMMAND_FAILED", "no mounts") for name in ("create", "start")}
        return original(*args, **more)

    host.runtime.exec = exec_  # type: ignore[method-assign]
    failed = await deploy(host, "web/2")
    assert reason_of(failed) == "HEALTH_CHECK_FAILED"
    assert "cutover could not be undone: no mounts" in failed.facts["cleanup_pending"]
    assert "rolled_back" not in failed.facts
    assert not etc(host, 2).exists()
    assert failed.facts["cleanup_pending"] in [
        e.message async for e in host.core.use_cases.events.watch(0, "jails/web", False)
    ]


async def test_a_deploy_tells_what_it_went_through_and_how_each_phase_came_out(host: FakeHost) -> None:
    await create(host, CHECKED)
    host.runtime.say("web", 2, status=1)
    failed = await deploy(host, "web/2")
    assert [(phase.name, phase.outcome.value) for phase in failed.phases] == [
        ("plan", "done"),
        ("stage", "undone"),
        ("cutover", "undone"),
        ("health-check", "failed"),
    ]
    host.runtime.say("web", 2, status=0)
    done = await deploy(host, "web/2")
    assert [phase.name for phase in done.phases] == ["plan", "stage", "cutover", "health-check", "commit", "settle"]
    assert sum(phase.seconds or 0.0 for phase in done.phases) <= done.seconds


async def test_a_generation_whose_process_ends_in_its_health_checks_is_taken_back(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    original = host.runtime.start

    async def start(jail: str, generation: int) -> Run:
        run = await original(jail, generation)
        if generation == 2:
            host.runtime.end(jail, 2, status=3)
        return run

    monkeypatch.setattr(host.runtime, "start", start)
    failed = await deploy(host, "web/2")
    assert reason_of(failed) == "HEALTH_CHECK_FAILED"
    assert serves(host, 1)


async def test_what_the_jail_wrote_to_its_etc_after_staging_is_not_lost(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    before_stopping(host, monkeypatch, "late.conf", "written at the last moment")
    assert reason_of(await deploy(host, "web/2")) == ""
    assert (etc(host, 2) / "late.conf").read_text() == "written at the last moment"


async def test_a_late_change_of_etc_that_conflicts_refuses_and_the_old_serves_again(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    before_stopping(host, monkeypatch, "motd", "the jail's own words\n")
    assert reason_of(await upgrade(host, "deb-2")) == "MERGE_CONFLICT"
    assert serves(host, 1)
    assert (etc(host, 1) / "motd").read_text() == "the jail's own words\n"
    assert await invariants.unsettled(host) == []


async def test_two_changes_of_two_axes_asked_for_at_once_compose(host: FakeHost) -> None:
    await create(host)
    jails = host.core.use_cases.jails
    both = await asyncio.gather(
        jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller(actor="product")),
        jails.upgrade("web", "deb-2", etag="", validate_only=False, caller=caller(actor="source")),
    )
    for operation in both:
        assert reason_of(await host.end_of(operation)) == ""
    assert (active(host).number, active(host).base, active(host).release) == (3, "deb-2", "web/2")


async def test_a_change_that_was_meant_for_another_state_is_refused(host: FakeHost) -> None:
    await create(host)
    read = host.core.use_cases.jails.get("web").etag
    assert reason_of(await deploy(host, "web/2", etag=read)) == ""
    with pytest.raises(AbortedError) as refused:
        await deploy(host, "web/1", etag=read)
    assert refused.value.reason == "ETAG_MISMATCH"


async def test_a_change_that_was_overtaken_in_the_queue_is_refused(host: FakeHost) -> None:
    await create(host)
    jails = host.core.use_cases.jails
    read = jails.get("web").etag
    first, second = await asyncio.gather(
        jails.deploy("web", "web/2", etag=read, validate_only=False, caller=caller(actor="one")),
        jails.upgrade("web", "deb-2", etag=read, validate_only=False, caller=caller(actor="two")),
    )
    assert reason_of(await host.end_of(first)) == ""
    assert reason_of(await host.end_of(second)) == "ETAG_MISMATCH"


async def test_the_same_request_twice_is_one_change_even_after_a_restart(host: FakeHost) -> None:
    await create(host)

    async def ask() -> str:
        jails = host.core.use_cases.jails
        asked = await jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller("r-1"))
        return (await host.end_of(asked)).id

    first = await ask()
    assert await ask() == first
    await host.restart()
    await host.quiet()
    assert await ask() == first
    assert active(host).number == 2


async def test_the_oldest_generations_are_dropped_and_no_longer_hold_what_they_ran(host: FakeHost) -> None:
    await create(host)
    for turn in range(KEPT_GENERATIONS):
        await configure(host, msgspec.structs.replace(SPEC, environment={"TURN": str(turn)}))
    numbers = [generation.number for generation in await host.core.use_cases.jails.generations("web")]
    assert numbers == list(range(KEPT_GENERATIONS + 1, 1, -1))
    assert "jails/web/generations/1" not in host.core.use_cases.bases.get("deb-1").used_by
    assert not etc(host, 1).exists()


async def test_a_volume_that_is_added_gets_a_dataset_with_its_quota(host: FakeHost) -> None:
    await create(host)
    wanted = msgspec.structs.replace(SPEC, volumes={"cache": Volume(path="/var/cache", quota="1M")})
    assert reason_of(await configure(host, wanted)) == ""
    assert (await host.zfs.dataset("tank/jaild/jails/web/cache")).refquota == 1 << 20
    mounts = {mount.target: mount.folder for mount in host.runtime.by_name["web.2"].spec.mounts}
    assert mounts["/var/cache"].endswith("/jails/web/cache")


async def test_a_volumes_folder_is_made_in_what_is_around_it_or_the_change_is_refused_before_it_begins(
    host: FakeHost,
) -> None:
    await create(host)
    nested = {"all": Volume(path="/mnt"), "hot": Volume(path="/mnt/a/hot"), "log": Volume(path="/var/x/log")}
    lacking = msgspec.structs.replace(SPEC, volumes={**nested, "srv": Volume(path="/srv/no")})
    assert reason_of(await configure(host, lacking)) == "PLAN_REFUSED"
    assert [d.name for d in await host.zfs.datasets("tank/jaild/jails/web")][1:] == ["tank/jaild/jails/web/data"]
    assert reason_of(await configure(host, msgspec.structs.replace(SPEC, volumes=nested))) == ""
    folder = host.core.inventory.jail("web").folder
    assert (folder / "all/a/hot").is_dir()
    assert (folder / "data/var/x/log").is_dir()
    assert not (folder / "data/mnt").exists()


async def test_a_change_of_a_stopped_jail_does_not_start_it(host: FakeHost) -> None:
    await create(host, stopped=True)
    assert reason_of(await deploy(host, "web/2")) == ""
    assert active(host).number == 2
    assert invariants.running([host], "web") == []
    assert host.runtime.by_name == {}


async def test_a_release_that_mends_a_jail_whose_process_ended_starts_it(host: FakeHost) -> None:
    await create(host)
    host.runtime.end("web", 1, status=1)
    assert reason_of(await deploy(host, "web/2")) == ""
    assert serves(host, 2)


async def test_an_unknown_release_is_told_before_anything_is_touched(host: FakeHost) -> None:
    await create(host)
    touched(host)
    with pytest.raises(JaildError) as refused:
        await host.core.use_cases.jails.deploy("web", "web/9", etag="", validate_only=True, caller=caller())
    assert refused.value.reason == "RELEASE_NOT_FOUND"
    assert touched(host) == []


async def test_a_jail_that_is_being_deleted_takes_no_change(host: FakeHost) -> None:
    await create(host, stopped=True)
    jails = host.core.use_cases.jails
    going = await jails.delete("web", force=False, etag="", validate_only=False, caller=caller())
    with pytest.raises(FailedPreconditionError) as refused:
        await jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())
    assert refused.value.reason == "JAIL_DELETING"
    assert reason_of(await host.end_of(going)) == ""


async def test_a_restart_keeps_the_generation_and_measures_the_downtime(host: FakeHost) -> None:
    await create(host, JailSpec(base="deb-1", app="web/1"))
    began = host.runtime.by_name["web.1"].pid
    restarted = await ended(host, host.core.use_cases.jails.restart("web", caller=caller()))
    assert restarted.downtime is not None
    assert serves(host, 1)
    assert host.runtime.by_name["web.1"].pid != began


async def test_a_daemon_that_is_stopped_during_a_commit_goes_on_with_what_was_committed(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    done = asyncio.Event()
    original = host.zfs.set

    async def slow(name: str, properties: Mapping[str, str]) -> None:
        await original(name, properties)
        if layout.JAIL_PROPERTY in properties:
            done.set()
            await asyncio.Event().wait()  # the answer never comes

    monkeypatch.setattr(host.zfs, "set", slow)
    await host.core.use_cases.jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())
    await done.wait()
    monkeypatch.undo()
    await host.core.dispatcher.stop(0.0)
    assert invariants.running([host], "web") == ["alpha:web.2"]
    await host.restart()
    await host.quiet()
    assert serves(host, 2)
    assert await invariants.unsettled(host) == []


async def test_a_configuration_that_was_read_without_values_keeps_them(host: FakeHost) -> None:
    secret = msgspec.structs.replace(SPEC, environment={"PASSWORD": "x"})
    await create(host, secret)
    assert reason_of(await configure(host, msgspec.structs.replace(redacted(secret), quota="1G"))) == ""
    assert host.runtime.by_name["web.2"].spec.environment["PASSWORD"] == "x"


async def test_no_jail_is_made_with_the_word_for_a_secret_instead_of_one(host: FakeHost) -> None:
    with pytest.raises(InvalidArgumentError, match="INVALID_SPEC"):
        await create(host, redacted(msgspec.structs.replace(SPEC, environment={"PASSWORD": "x"})))
    await create(host)
    refused = await configure(host, msgspec.structs.replace(SPEC, environment={"PASSWORD": REDACTED}))
    assert reason_of(refused) == "INVALID_SPEC"
    assert serves(host, 1)
