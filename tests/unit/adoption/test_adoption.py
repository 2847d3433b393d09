"""A jail that another tool made becomes one of jaild, and stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jaild.model.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from jaild.model.foreign.jail import Tool
from jaild.model.foreign.wish import Wish
from jaild.model.jails.spec import JailSpec, Mode, Volume
from jaild.model.operation import Operation
from jaild.model.problems import Plan, errors
from jaild.model.snapshots import CLONE
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import foreign, invariants
from tests.hosts.asking import active, deploy, reason_of, touched

WISH = Wish(tool=Tool.IOCAGE, name="web", jail="web", base="deb-1")


async def adopt(host: FakeHost, wish: Wish = WISH) -> Operation:
    asked = await host.core.use_cases.adoptions.adopt(wish, validate_only=False, caller=caller())
    return await host.end_of(asked)


async def plan(host: FakeHost, wish: Wish = WISH) -> Plan:
    planned = await host.core.use_cases.adoptions.adopt(wish, validate_only=True, caller=caller())
    assert planned.plan is not None
    return planned.plan


def problem_codes(found: Plan) -> set[str]:
    return {problem.code for problem in found.problems}


def jail_folder(host: FakeHost) -> Path:
    return host.core.inventory.jails["web"].folder


async def test_an_adopted_jail_runs_with_its_data_etc_and_release(host: FakeHost) -> None:
    await foreign.iocage(host)
    old = foreign.picture(await foreign.root_of(host))
    assert reason_of(await adopt(host)) == ""
    jail = host.core.use_cases.jails.get("web")
    assert jail.state is JailState.RUNNING
    generation = active(host)
    assert (generation.base, generation.release) == ("deb-1", "web/adopted-1")
    folder = jail_folder(host)
    data = foreign.picture(folder / "data")
    assert data["var/db/shop"] == b"old\n"
    assert data["root/notes"] == b"mine\n"
    assert data["home/ann/letter"] == b"dear\n"
    assert {path.split("/")[0] for path in data} == {"var", "root", "home"}  # nothing of the userland
    assert (folder / "generations/1/etc/motd").read_text() == "the shop\n"
    assert (folder / "generations/1/etc/shop.conf").read_text() == "port=80\n"
    assert (folder / "generations/1/usr-local-etc/shop.ini").read_text() == "colour=blue\n"
    release = host.core.inventory.release("web/adopted-1").tree
    assert foreign.picture(release) == {"bin/shop": b"#!/bin/sh\n", "etc/shop.ini": b"colour=blue\n"}
    assert foreign.picture(await foreign.root_of(host)) == old
    assert await invariants.unsettled(host) == []


async def test_the_data_is_a_clone_of_the_old_dataset(host: FakeHost) -> None:
    await foreign.iocage(host)
    await adopt(host)
    data = await host.zfs.dataset("tank/jaild/jails/web/data")
    assert data.origin.startswith(f"{foreign.OLD}@jaild-")
    (snapshot,) = await host.zfs.snapshots(foreign.OLD)
    assert snapshot.purpose == CLONE
    asked = host.core.use_cases.jails.delete("web", force=True, etag="", validate_only=False, caller=caller())
    await host.end_of(await asked)
    assert await host.zfs.snapshots(foreign.OLD) == []  # it goes with the clone


async def test_a_tree_on_no_dataset_of_the_pool_is_copied(host: FakeHost, tmp_path: Path) -> None:
    await foreign.iocage(host)
    root = tmp_path / "bastille"
    foreign.write(
        root,
        {
            "jails/web/jail.conf": "web { path = x; exec.start = '/usr/local/bin/shop'; ip4 = inherit; }",
            **{f"jails/web/root/{path}": content for path, content in (foreign.userland() | foreign.own()).items()},
        },
    )
    wish = Wish(tool=Tool.BASTILLE, name="web", jail="web", base="deb-1", root=str(root))
    assert "DATA_IS_COPIED" in problem_codes(await plan(host, wish))
    assert reason_of(await adopt(host, wish)) == ""
    data = await host.zfs.dataset("tank/jaild/jails/web/data")
    assert data.origin == ""
    assert foreign.picture(jail_folder(host) / "data")["var/db/shop"] == b"old\n"
    assert active(host).spec.command == ("/usr/local/bin/shop",)


async def test_a_plan_changes_nothing_and_says_what_would_be_done(host: FakeHost) -> None:
    await foreign.iocage(host, comment="x", exec_prestart="/root/before.sh")
    touched(host)
    found = await plan(host)
    assert touched(host) == []
    assert found.steps[0] == "make release web/adopted-1 of its /usr/local"
    assert (found.base, found.release) == ("deb-1", "web/adopted-1")
    assert not found.refused
    codes = problem_codes(found)
    assert {"SETTING_NOT_ADOPTED", "OLD_JAIL_BOOTS", "FILES_NOT_ADOPTED"} <= codes
    left = [problem for problem in found.problems if problem.code == "FILES_NOT_ADOPTED"]
    assert "/opt" in {path for problem in left for path in problem.evidence}
    assert any(change.field == "$.hostname" and change.after == "web" for change in found.changes)


async def test_a_jail_that_runs_is_refused_unless_it_may_be_stopped(host: FakeHost) -> None:
    old = await foreign.iocage(host, running=True)
    with pytest.raises(FailedPreconditionError) as refused:
        await adopt(host)
    (stops,) = errors(refused.value.problems)
    assert stops.code == "FOREIGN_JAIL_RUNNING"
    assert "iocage stop web" in stops.hint
    wish = replace(WISH, stop=True)
    done = await adopt(host, wish)
    assert reason_of(done) == ""
    assert old.ran == ["stop"]
    assert not old.running
    assert done.downtime is not None
    assert "release-again" not in [phase.name for phase in done.phases]


async def test_what_the_old_jail_writes_to_its_release_meanwhile_is_in_it(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await foreign.iocage(host, running=True)
    root, answer = await foreign.root_of(host), old.answer

    async def stops(argv: tuple[str, ...], stdin: bytes) -> object:
        if argv[:2] == ("iocage", "stop"):
            (root / "usr/local/etc/shop.ini").write_text("colour=green\n")
        return await answer(argv, stdin)

    monkeypatch.setattr(host.programs, "answer", stops)
    done = await adopt(host, replace(WISH, stop=True))
    assert "release-again" in [phase.name for phase in done.phases]
    assert (jail_folder(host) / "generations/1/usr-local-etc/shop.ini").read_text() == "colour=green\n"


async def test_an_adoption_that_fails_starts_the_old_jail_again_and_leaves_nothing(host: FakeHost) -> None:
    old = await foreign.iocage(host, running=True)
    host.runtime.refuse["start"] = FailedPreconditionError("RUN_NOT_RUNNING", "it does not start")
    failed = await adopt(host, replace(WISH, stop=True))
    assert reason_of(failed) == "RUN_NOT_RUNNING"
    assert old.ran == ["stop", "start"]
    assert host.core.use_cases.jails.list() == []
    assert "web/adopted-1" not in host.core.inventory.releases
    assert await host.zfs.snapshots(foreign.OLD) == []


async def test_what_fails_after_the_new_jail_has_come_to_be_starts_no_old_one_beside_it(host: FakeHost) -> None:
    old = await foreign.iocage(host, running=True)
    events = host.core.rooms.engine.events
    emit = events.emit

    async def emitted(kind: str, *about: str, **more: str) -> None:
        if kind == "jail.created":
            raise ResourceExhaustedError("NO_SPACE", "the disk of the log is full", hint="free some")
        await emit(kind, *about, **more)

    events.emit = emitted  # type: ignore[method-assign]
    assert reason_of(await adopt(host, replace(WISH, stop=True))) == "NO_SPACE"
    assert (old.ran, old.running) == (["stop"], False)
    assert host.core.use_cases.jails.get("web").state is JailState.RUNNING
    assert "web/adopted-1" in host.core.inventory.releases


async def test_an_old_jail_that_runs_on_although_its_tool_has_stopped_it_is_not_adopted(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await foreign.iocage(host, running=True)
    answer = old.answer

    async def stops(argv: tuple[str, ...], stdin: bytes) -> object:
        said = await answer(argv, stdin)
        old.running = True
        return said

    monkeypatch.setattr(host.programs, "answer", stops)
    assert reason_of(await adopt(host, replace(WISH, stop=True))) == "FOREIGN_JAIL_RUNNING"
    assert host.core.use_cases.jails.list() == []
    assert await host.zfs.snapshots(foreign.OLD) == []


async def test_no_option_of_a_tool_is_made_of_a_name(host: FakeHost) -> None:
    with pytest.raises(InvalidArgumentError, match="INVALID_NAME"):
        await plan(host, replace(WISH, name="--force"))


async def test_a_jail_without_a_base_of_its_version_is_told_how_to_make_one(host: FakeHost) -> None:
    await foreign.iocage(host)
    host.core.inventory.bases.clear()
    found = await plan(host, replace(WISH, base=""))
    (missing,) = [problem for problem in found.problems if problem.code == "NO_BASE_FOR_RELEASE"]
    assert "jailctl base import debian-12" in missing.hint
    assert found.refused


async def test_a_base_of_the_same_version_is_found(host: FakeHost) -> None:
    await foreign.iocage(host)
    assert (await plan(host, replace(WISH, base=""))).base in {"deb-1", "deb-2"}


async def test_a_dataset_in_the_old_tree_becomes_a_volume_by_a_clone(host: FakeHost) -> None:
    await foreign.iocage(host)
    await host.add_base("deb-3", {"pg/.keep": "", "etc/motd": "welcome to deb-1\n"})
    await host.zfs.create(f"{foreign.OLD}/pg")
    inner = (await host.zfs.dataset(f"{foreign.OLD}/pg")).mountpoint
    assert inner is not None
    (inner / "table").write_text("rows\n")
    assert reason_of(await adopt(host, replace(WISH, base="deb-3"))) == ""
    assert active(host).spec.volumes == {"pg": Volume(path="/pg")}
    assert foreign.picture(jail_folder(host) / "pg") == {"table": b"rows\n"}
    assert (await host.zfs.dataset("tank/jaild/jails/web/pg")).origin.startswith(f"{foreign.OLD}/pg@jaild-")


async def test_a_mount_where_the_base_has_no_folder_is_told_and_stops_nothing(host: FakeHost) -> None:
    await foreign.iocage(host)
    await host.zfs.create(f"{foreign.OLD}/pg")
    found = await plan(host)
    assert [each.subject for each in found.problems if each.code == "MOUNT_NOT_ADOPTED"] == ["/pg"]
    assert not found.refused


async def test_a_spec_of_ones_own_takes_the_place_of_the_derived_one(host: FakeHost) -> None:
    await foreign.iocage(host)
    spec = JailSpec(command=("/usr/local/bin/shop",), volumes={"ann": Volume(path="/home/ann")})
    done = await adopt(host, replace(WISH, spec=spec))
    assert reason_of(done) == ""
    taken = active(host).spec
    assert (taken.command, taken.network.mode) == (("/usr/local/bin/shop",), Mode.HOST)
    assert foreign.picture(jail_folder(host) / "ann") == {"letter": b"dear\n"}


async def test_a_jail_that_is_not_there_is_told(host: FakeHost) -> None:
    await foreign.iocage(host)
    with pytest.raises(NotFoundError) as refused:
        await adopt(host, replace(WISH, name="other", jail="other"))
    assert refused.value.reason == "FOREIGN_JAIL_NOT_FOUND"


async def test_a_link_in_the_old_tree_leads_nowhere(host: FakeHost, tmp_path: Path) -> None:
    await foreign.iocage(host)
    secret = tmp_path / "secret"
    foreign.write(secret, {"etc/key": "the host's\n", "lib/x": "the host's\n"})
    root = await foreign.root_of(host)
    (root / "usr/local/etc/shop.ini").unlink()
    (root / "usr/local/etc").rmdir()
    (root / "usr/local/etc").symlink_to(secret / "etc")
    (root / "home/ann/letter").unlink()
    (root / "home/ann").rmdir()
    (root / "home/ann").symlink_to(secret)
    done = await adopt(host)
    kept = b"the host's\n"
    for folder in (jail_folder(host), host.core.inventory.release("web/adopted-1").tree) if not reason_of(done) else ():
        assert kept not in foreign.picture(folder).values()


async def test_an_adopted_jail_is_deployed_to_as_any_other(host: FakeHost) -> None:
    await foreign.iocage(host)
    await adopt(host)
    assert reason_of(await deploy(host, "web/2")) == ""
    assert foreign.picture(jail_folder(host) / "data")["var/db/shop"] == b"old\n"
