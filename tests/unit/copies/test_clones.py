"""Jails as copies of others on one host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError, NotFoundError, PermissionDeniedError
from jaild.model.jails.copying import Reach
from jaild.model.jails.spec import (
    ExecCheck,
    HttpCheck,
    JailSpec,
    Liveness,
    Mode,
    Network,
    Readiness,
    Standby,
    TcpCheck,
    Volume,
)
from jaild.model.operation import Operation
from jaild.model.problems import Severity
from jaild.model.snapshots import CLONE
from jaild.model.views import Caller, JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.zfs import FakeZfs
from tests.hosts import asking, invariants
from tests.hosts.fixtures import furnished
from tests.unit.jails.test_identity import KEY, Keygen, files

SPEC = JailSpec(
    base="a",
    app="web/1",
    hostname="www",
    environment={"TOKEN": "secret"},
    network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",)),
    volumes={"db": Volume(path="/var/db/x", recordsize="16K")},
)
ELSEWHERE = Reach(addresses=("10.0.0.6/24",))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = Keygen()
    found.zfs = FakeZfs(tmp_path / "pool", now=found.clock.now)
    await furnished(found)
    await found.add_base("a", files("a"))
    assert asking.reason_of(await asking.create(found, SPEC)) == ""
    (data(found) / "var/lib/kept").write_text("of web")
    (data(found) / "var/lib/dbus").mkdir(exist_ok=True)
    (data(found) / "var/lib/dbus/machine-id").write_text("its own")
    (data(found, path="db") / "table").write_text("rows")
    (etc(found) / "motd").write_text("edited in the jail\n")
    yield found
    await found.stop()


def data(host: FakeHost, name: str = "web", path: str = layout.DATA) -> Path:
    return host.core.inventory.jails[name].folder / path


def etc(host: FakeHost, name: str = "web") -> Path:
    return host.core.inventory.jails[name].folder / "generations/1" / layout.ETC


async def cloned(
    host: FakeHost,
    *,
    at: str | float | None = None,
    reach: Reach = ELSEWHERE,
    stopped: bool = False,
    who: Caller | None = None,
) -> Operation:
    clones = host.core.use_cases.copies.clones
    return await asking.ended(
        host, clones.clone("web", "copy", at=at, reach=reach, stopped=stopped, caller=who or caller())
    )


async def test_a_clone_runs_on_the_same_layers_with_the_data_and_the_configuration_of_its_original(
    host: FakeHost,
) -> None:
    assert asking.reason_of(await cloned(host)) == ""
    assert asking.serves(host, 1, "copy")
    copy = asking.active(host, "copy")
    assert (copy.base, copy.release, copy.reason) == ("a", "web/1", "clone")
    assert copy.spec.environment == {"TOKEN": "secret"}
    assert (data(host, "copy") / "var/lib/kept").read_text() == "of web"
    assert (data(host, "copy", "db") / "table").read_text() == "rows"
    assert (etc(host, "copy") / "motd").read_text() == "edited in the jail\n"
    assert host.zfs.pool.fs("tank/jaild/jails/copy/db").properties["recordsize"] == "16K"
    assert await invariants.unsettled(host) == []


async def test_a_clone_has_an_identity_of_its_own(host: FakeHost) -> None:
    await cloned(host)
    assert (etc(host, "copy") / KEY).read_text() != (etc(host) / KEY).read_text()
    assert (etc(host, "copy") / "machine-id").read_text() != (etc(host) / "machine-id").read_text()
    assert not (data(host, "copy") / "var/lib/dbus/machine-id").exists()
    assert (data(host) / "var/lib/dbus/machine-id").exists()
    views = [host.core.use_cases.jails.get(name) for name in ("web", "copy")]
    assert len({view.record.uid for view in views if view.record is not None}) == 2
    assert asking.active(host, "copy").spec.hostname is None


async def test_what_a_clone_writes_is_its_own(host: FakeHost) -> None:
    await cloned(host)
    (data(host, "copy") / "var/lib/kept").write_text("of the copy")
    assert (data(host) / "var/lib/kept").read_text() == "of web"


async def test_a_clone_with_the_addresses_of_its_original_is_refused_and_leaves_nothing(host: FakeHost) -> None:
    before = set(host.zfs.pool.filesystems)
    with pytest.raises(FailedPreconditionError) as refused:
        await cloned(host, reach=Reach())
    assert [p.code for p in refused.value.problems if p.severity is Severity.ERROR] == ["ADDRESS_IN_USE"]
    assert set(host.zfs.pool.filesystems) == before
    assert asking.reason_of(await cloned(host, reach=Reach(without_network=True))) == ""
    assert asking.active(host, "copy").spec.network == Network(mode=Mode.NONE)


async def test_a_plan_of_what_is_to_be_stopped_starts_nothing(host: FakeHost) -> None:
    clones = host.core.use_cases.copies.clones
    for stopped in (False, True):
        asked = clones.clone("web", "copy", reach=ELSEWHERE, stopped=stopped, validate_only=True, caller=caller())
        plan = (await asked).plan
        assert plan is not None
        assert ("start" in plan.steps, "health checks" in plan.steps) == (not stopped, not stopped)


async def test_a_clone_without_a_network_has_no_checks_that_ask_over_one(host: FakeHost) -> None:
    checked = msgspec.structs.replace(
        SPEC,
        network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.7/24",)),
        health=(HttpCheck(port=80), ExecCheck(command=("true",))),
        liveness=Liveness(checks=(TcpCheck(port=80),)),
    )
    assert asking.reason_of(await asking.create(host, checked, name="checked", stopped=True)) == ""
    clones = host.core.use_cases.copies.clones
    silent = Reach(without_network=True)
    planned = await clones.clone("checked", "copy", reach=silent, validate_only=True, caller=caller())
    assert planned.plan is not None
    assert "$.health" in [p.subject for p in planned.plan.problems if p.code == "NOT_COPIED"]
    made = clones.clone("checked", "copy", reach=silent, stopped=True, caller=caller())
    assert asking.reason_of(await asking.ended(host, made)) == ""
    spec = asking.active(host, "copy").spec
    assert (spec.health, spec.liveness) == ((ExecCheck(command=("true",)),), Liveness())


async def test_a_plan_of_a_clone_touches_nothing_and_says_what_is_not_copied(host: FakeHost) -> None:
    asking.touched(host)
    clones = host.core.use_cases.copies.clones
    planned = await clones.clone("web", "copy", reach=ELSEWHERE, validate_only=True, caller=caller())
    assert planned.plan is not None
    assert [(p.code, p.subject) for p in planned.plan.problems if p.code == "NOT_COPIED"] == [
        ("NOT_COPIED", "$.hostname")
    ]
    assert any("stays as long as the clone does" in step for step in planned.plan.steps)
    assert asking.touched(host) == []


async def test_a_clone_at_a_snapshot_is_the_jail_as_it_was_then(host: FakeHost) -> None:
    await host.zfs.snapshot("tank/jaild/jails/web", "nightly-1", recursive=True)
    (data(host) / "var/lib/kept").write_text("later")
    (etc(host) / "motd").write_text("later\n")
    assert asking.reason_of(await asking.deploy(host, "web/2")) == ""
    assert asking.reason_of(await cloned(host, at="nightly-1")) == ""
    assert (data(host, "copy") / "var/lib/kept").read_text() == "of web"
    assert (etc(host, "copy") / "motd").read_text() == "edited in the jail\n"
    assert asking.active(host, "copy").release == "web/1"
    assert not [name for name in host.zfs.pool.filesystems if "/rehearsals/" in name]


async def test_a_clone_at_a_time_takes_the_last_snapshot_before(host: FakeHost) -> None:
    for tag, text in (("one", "first"), ("two", "second")):
        (data(host) / "var/lib/kept").write_text(text)
        await host.zfs.snapshot("tank/jaild/jails/web", tag, recursive=True)
        await host.clock.sleep(100)
    (first, second) = [s.created for s in await host.zfs.snapshots("tank/jaild/jails/web") if s.tag in {"one", "two"}]
    assert asking.reason_of(await cloned(host, at=(first + second) / 2)) == ""
    assert (data(host, "copy") / "var/lib/kept").read_text() == "first"


async def test_a_snapshot_that_is_not_of_all_of_the_jail_is_refused(host: FakeHost) -> None:
    await host.zfs.snapshot("tank/jaild/jails/web/data", "half")
    with pytest.raises(FailedPreconditionError) as refused:
        await cloned(host, at="half")
    assert refused.value.reason == "SNAPSHOT_NOT_WHOLE"
    with pytest.raises(NotFoundError) as missing:
        await cloned(host, at="never")
    assert missing.value.reason == "SNAPSHOT_NOT_FOUND"


async def test_the_original_cannot_be_deleted_before_its_clone_and_the_snapshot_goes_with_that(host: FakeHost) -> None:
    await cloned(host)
    refused = await asking.delete(host, force=True)
    assert asking.reason_of(refused) == "SNAPSHOTS_IN_USE"
    assert refused.failure is not None
    assert "jailctl jail rm copy" in refused.failure.hint
    assert asking.serves(host, 1)
    jails = host.core.use_cases.jails
    await asking.ended(host, jails.delete("copy", force=True, etag="", validate_only=False, caller=caller()))
    assert not [s for s in await host.zfs.snapshots("tank/jaild/jails/web", recursive=True) if s.purpose == CLONE]
    assert asking.reason_of(await asking.delete(host, force=True)) == ""


async def test_a_clone_that_never_becomes_well_leaves_nothing_but_its_original(host: FakeHost) -> None:
    spec = msgspec.structs.replace(SPEC, health=(ExecCheck(command=("check",)),), readiness=Readiness(deadline=1.0))
    assert asking.reason_of(await asking.configure(host, spec)) == ""
    host.runtime.say("copy", 1, status=1)
    assert asking.reason_of(await cloned(host)) == "HEALTH_CHECK_FAILED"
    assert [view.name for view in host.core.use_cases.jails.list()] == ["web"]
    assert not [s for s in await host.zfs.snapshots("tank/jaild/jails/web", recursive=True) if s.purpose == CLONE]


async def test_a_stopped_clone_is_not_started(host: FakeHost) -> None:
    assert asking.reason_of(await cloned(host, stopped=True)) == ""
    assert host.core.use_cases.jails.get("copy").state is JailState.STOPPED


async def test_a_clone_has_no_standby_of_its_original(host: FakeHost) -> None:
    spec = msgspec.structs.replace(SPEC, standby=Standby(peers=("b",)))
    assert asking.reason_of(await asking.configure(host, spec)) == ""
    assert asking.reason_of(await cloned(host)) == ""
    assert asking.active(host, "copy").spec.standby is None


async def test_a_product_team_clones_its_own_jails_only(host: FakeHost) -> None:
    other = msgspec.structs.replace(caller(), roles=frozenset({Role.PRODUCT}), apps=frozenset({"mail"}))
    with pytest.raises(PermissionDeniedError) as refused:
        await cloned(host, who=other)
    assert refused.value.reason == "APP_REQUIRED"


async def test_a_jail_that_has_become_another_teams_while_its_clone_waited_is_not_cloned(host: FakeHost) -> None:
    await host.add_release("mail/1")
    clones, team = host.core.use_cases.copies.clones, frozenset({"web"})
    product = msgspec.structs.replace(caller(), roles=frozenset({Role.PRODUCT}), apps=team)
    entry = host.core.inventory.jails["web"]
    async with host.core.dispatcher.exclusive("jails/web"):
        asked = await clones.clone("web", "copy", reach=Reach(without_network=True), caller=product)
        assert entry.generation is not None
        entry.generation = msgspec.structs.replace(entry.generation, release="mail/1")  # as a deploy leaves it
    assert asking.reason_of(await host.end_of(asked)) == "APP_REQUIRED"
    assert "copy" not in host.core.inventory.jails
    assert not [s for s in await host.zfs.snapshots(entry.dataset, recursive=True) if s.purpose == CLONE]


async def test_another_jail_that_has_got_the_originals_name_meanwhile_is_not_cloned(host: FakeHost) -> None:
    clones, entry = host.core.use_cases.copies.clones, host.core.inventory.jails["web"]
    async with host.core.dispatcher.exclusive("jails/web"):
        asked = await clones.clone("web", "copy", reach=Reach(without_network=True), caller=caller())
        assert entry.record is not None
        entry.record = msgspec.structs.replace(entry.record, uid="another")
    assert asking.reason_of(await host.end_of(asked)) == "JAIL_NOT_FOUND"
    assert "copy" not in host.core.inventory.jails
