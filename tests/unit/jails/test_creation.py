"""Jails coming and going, and what they hold while they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from jaild.engine.inventory import JailEntry
from jaild.model import layout
from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, InternalError
from jaild.model.jails.spec import ExecCheck, Mode, Network, Readiness
from jaild.model.layers.records import Manifest
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create, delete, deploy, ended, reason_of, serves, touched


async def test_a_created_jail_runs_its_first_generation(host: FakeHost) -> None:
    assert reason_of(await create(host)) == ""
    assert serves(host, 1)
    assert await invariants.unsettled(host) == []


async def test_a_jail_created_as_stopped_is_whole_and_does_not_run(host: FakeHost) -> None:
    assert reason_of(await create(host, stopped=True)) == ""
    assert host.core.use_cases.jails.get("web").state is JailState.STOPPED
    assert await invariants.unsettled(host) == []


async def test_a_refused_creation_touches_nothing(host: FakeHost) -> None:
    await host.add_release("mute/1", manifest=Manifest())
    touched(host)
    with pytest.raises(FailedPreconditionError) as refused:
        await create(host, msgspec.structs.replace(SPEC, app="mute/1"))
    assert refused.value.reason == "PLAN_REFUSED"
    assert touched(host) == []
    assert host.core.use_cases.jails.list() == []


async def test_an_address_that_another_jail_has_is_refused(host: FakeHost) -> None:
    spec = msgspec.structs.replace(SPEC, network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",)))
    assert reason_of(await create(host, spec)) == ""
    with pytest.raises(FailedPreconditionError) as refused:
        await create(host, spec, name="other")
    assert [problem.code for problem in refused.value.problems] == ["ADDRESS_IN_USE"]


async def test_a_jail_that_fails_its_first_health_checks_leaves_nothing(host: FakeHost) -> None:
    host.runtime.say("web", 1, status=1)
    failed = await create(
        host, msgspec.structs.replace(SPEC, health=(ExecCheck(command=("check",)),), readiness=Readiness(deadline=1.0))
    )
    assert reason_of(failed) == "HEALTH_CHECK_FAILED"
    assert host.core.use_cases.jails.list() == []
    assert await invariants.records(host) == {}
    assert host.runtime.by_name == {}


async def test_undoing_a_creation_leaves_a_dataset_alone_that_was_there_before(host: FakeHost) -> None:
    await host.zfs.create("tank/jaild/jails/web")
    Path(host.folder / "pool/tank/jaild/jails/web/precious").write_text("not jaild's")
    assert reason_of(await create(host)) == "DATASET_EXISTS"
    assert Path(host.folder / "pool/tank/jaild/jails/web/precious").read_text() == "not jaild's"


async def test_a_daemon_that_stops_does_not_take_back_a_creation_in_its_commit(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()
    original = host.zfs.set

    async def slow(name: str, properties: Mapping[str, str]) -> None:
        await original(name, properties)
        if layout.JAIL_PROPERTY in properties:
            written.set()
            await go_on.wait()

    monkeypatch.setattr(host.zfs, "set", slow)
    creation = asyncio.create_task(create(host))
    await written.wait()
    await host.core.dispatcher.clear()  # as the daemon does when it ends
    go_on.set()
    assert reason_of(await creation) == ""
    assert serves(host, 1)


async def test_a_jail_that_came_while_another_of_its_name_was_planned_is_left_alone(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = JailEntry(name="web", dataset="tank/jaild/jails/web", folder=Path("/nowhere"))
    planned = 0

    async def examine(*_: object) -> tuple[()]:
        nonlocal planned
        planned += 1
        if planned == 2:  # in its turn
            host.core.inventory.jails["web"] = replica
        return ()

    monkeypatch.setattr(host.runtime, "examine", examine)
    assert reason_of(await create(host)) == "JAIL_EXISTS"
    assert host.core.inventory.jails["web"] is replica
    assert await invariants.records(host) == {}


async def test_a_name_is_given_once(host: FakeHost) -> None:
    await create(host)
    with pytest.raises(AlreadyExistsError) as refused:
        await create(host)
    assert refused.value.reason == "JAIL_EXISTS"


async def test_a_running_jail_is_not_deleted_unless_forced(host: FakeHost) -> None:
    await create(host)
    with pytest.raises(FailedPreconditionError) as refused:
        await delete(host)
    assert refused.value.reason == "JAIL_RUNNING"
    assert serves(host, 1)
    assert reason_of(await delete(host, force=True)) == ""
    assert await invariants.records(host) == {}
    assert host.runtime.by_name == {}


async def test_a_deletion_that_failed_half_way_can_be_asked_for_again(host: FakeHost) -> None:
    await create(host)
    host.zfs.refuse["destroy tank/jaild/jails/web"] = InternalError("COMMAND_FAILED", "the pool is busy")
    assert reason_of(await delete(host, force=True)) == "COMMAND_FAILED"
    assert host.core.use_cases.jails.get("web").state is JailState.DELETING
    host.zfs.refuse.clear()
    assert reason_of(await delete(host)) == ""
    assert host.core.use_cases.jails.list() == []


async def test_a_base_in_use_is_not_deleted_and_its_generations_are_named(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    with pytest.raises(FailedPreconditionError) as refused:
        await host.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
    assert refused.value.reason == "BASE_IN_USE"
    assert "jails/web/generations/1" in refused.value.message
    assert "jails/web/generations/2" in refused.value.message


async def test_a_release_that_only_an_older_generation_refers_to_is_in_use(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    with pytest.raises(FailedPreconditionError) as refused:
        await host.core.use_cases.releases.delete("web", "1", validate_only=False, caller=caller())
    assert refused.value.reason == "RELEASE_IN_USE"
    assert "jails/web/generations/1" in refused.value.message


async def test_a_release_that_another_was_made_from_is_not_deleted(host: FakeHost) -> None:
    await host.add_release("web/3", parent="2")
    with pytest.raises(FailedPreconditionError) as refused:
        await host.core.use_cases.releases.delete("web", "2", validate_only=False, caller=caller())
    assert refused.value.reason == "RELEASE_HAS_CLONES"
    assert "web/3" in refused.value.message


async def test_layers_that_nobody_uses_are_deleted(host: FakeHost) -> None:
    bases, releases = host.core.use_cases.bases, host.core.use_cases.releases
    assert reason_of(await ended(host, bases.delete("deb-2", validate_only=False, caller=caller()))) == ""
    for version in ("1", "2"):
        gone = await ended(host, releases.delete("web", version, validate_only=False, caller=caller()))
        assert reason_of(gone) == ""
    assert [base.record.name for base in bases.list()] == ["deb-1"]
    assert releases.list(None) == []
    names = [dataset.name for dataset in await host.zfs.datasets("tank/jaild")]
    assert "tank/jaild/bases/deb-2" not in names
    assert "tank/jaild/apps/web" not in names


async def test_a_base_is_imported_once_under_a_name(host: FakeHost, tmp_path: Path) -> None:
    with pytest.raises(AlreadyExistsError) as refused:
        await host.core.use_cases.bases.import_path("deb-1", str(tmp_path), sha256="", caller=caller())
    assert refused.value.reason == "BASE_EXISTS"
