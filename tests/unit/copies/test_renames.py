"""Jails under other names."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError
from jaild.model.jails.copying import Reach
from jaild.model.jails.spec import JailSpec, Restart, Standby, Volume
from jaild.model.layers.records import Formerly
from jaild.model.operation import Operation
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import asking, invariants
from tests.hosts.asking import SPEC as WEB
from tests.hosts.cutoff import back, replaced
from tests.hosts.invariants import records
from tests.hosts.migrating import two_hosts
from tests.hosts.standbys import record, rounds, stop

SPEC = msgspec.structs.replace(WEB, volumes={"db": Volume(path="/var/lib/db")})


async def renamed(host: FakeHost, name: str = "web", new: str = "shop") -> Operation:
    return await asking.ended(host, host.core.use_cases.copies.renames.rename(name, new, caller=caller()))


async def made(host: FakeHost, spec: JailSpec = SPEC) -> None:
    assert asking.reason_of(await asking.create(host, spec, stopped=True)) == ""
    folder = host.core.inventory.jails["web"].folder
    (folder / "data/var/kept").write_text("kept")
    (folder / "db/table").write_text("rows")


async def test_a_renamed_jail_is_the_same_one_and_starts(host: FakeHost) -> None:
    await made(host)
    before = host.core.use_cases.jails.get("web").record
    assert asking.reason_of(await renamed(host)) == ""
    assert [view.name for view in host.core.use_cases.jails.list()] == ["shop"]
    after = host.core.use_cases.jails.get("shop").record
    assert before is not None
    assert after is not None
    assert (after.uid, after.epoch, after.created) == (before.uid, before.epoch, before.created)
    folder = host.core.inventory.jails["shop"].folder
    assert ((folder / "data/var/kept").read_text(), (folder / "db/table").read_text()) == ("kept", "rows")
    await asking.ended(host, host.core.use_cases.jails.start("shop", caller=caller()))
    assert asking.serves(host, 1, "shop")
    await host.restart()
    await host.quiet()
    assert asking.serves(host, 1, "shop")
    assert await invariants.unsettled(host) == []


async def test_its_history_and_its_log_go_along(host: FakeHost) -> None:
    await made(host)
    logs = host.folder / "logs"
    logs.mkdir(exist_ok=True)
    (logs / "web.log").write_text("first\n")
    (logs / "shop.log").write_text("of a former jail\n")
    await renamed(host)
    assert (logs / "shop.log").read_text() == "first\n"
    assert not (logs / "web.log").exists()
    assert [path.name for path in logs.iterdir() if path.name.startswith("shop.log.") and path.suffix == ".gz"]
    history = await host.core.use_cases.histories.of_jail("shop")
    assert {entry.kind for entry in history} == {"rename", "create"}
    record = host.core.use_cases.jails.get("shop").record
    assert record is not None
    assert [former.name for former in record.formerly] == ["web"]


async def test_what_is_done_with_a_later_jail_of_the_old_name_is_not_in_its_history(host: FakeHost) -> None:
    await made(host)
    await renamed(host)
    await host.clock.sleep(1)
    await asking.create(host, SPEC, stopped=True)
    assert len(await host.core.use_cases.histories.of_jail("shop")) == len(("create", "rename"))


async def test_a_jail_that_runs_is_refused(host: FakeHost) -> None:
    await asking.create(host)
    with pytest.raises(FailedPreconditionError) as refused:
        await renamed(host)
    assert refused.value.reason == "JAIL_RUNNING"


async def test_a_jail_that_failed_and_is_to_run_is_refused_until_it_is_stopped(host: FakeHost) -> None:
    await asking.create(host, msgspec.structs.replace(WEB, restart=Restart(policy="always")))
    host.runtime.end("web", 1, 1)
    with pytest.raises(FailedPreconditionError) as refused:
        await renamed(host)
    assert refused.value.reason == "JAIL_RUNNING"
    assert asking.reason_of(await asking.ended(host, host.core.use_cases.jails.stop("web", caller=caller()))) == ""
    assert asking.reason_of(await renamed(host)) == ""
    assert host.runtime.by_name == {}


async def test_a_jail_with_replicas_is_refused_and_told_where_they_are(host: FakeHost) -> None:
    await made(host, msgspec.structs.replace(SPEC, standby=Standby(peers=("beta",))))
    with pytest.raises(FailedPreconditionError) as refused:
        await renamed(host)
    assert refused.value.reason == "JAIL_HAS_STANDBYS"
    assert "beta" in refused.value.message


async def test_a_name_that_another_jail_has_is_refused(host: FakeHost) -> None:
    await made(host)
    await asking.create(host, name="shop")
    with pytest.raises(AlreadyExistsError):
        await renamed(host)


async def test_a_plan_changes_nothing(host: FakeHost) -> None:
    await made(host)
    asking.touched(host)
    planned = await host.core.use_cases.copies.renames.rename("web", "shop", validate_only=True, caller=caller())
    assert planned.plan is not None
    assert asking.touched(host) == []


async def test_a_clones_snapshot_still_goes_with_it_after_its_original_was_renamed(host: FakeHost) -> None:
    await made(host)
    clones = host.core.use_cases.copies.clones
    reach = Reach(without_network=True)
    await asking.ended(host, clones.clone("web", "copy", reach=reach, stopped=True, caller=caller()))
    await renamed(host)
    jails = host.core.use_cases.jails
    await asking.ended(host, jails.delete("copy", force=True, etag="", validate_only=False, caller=caller()))
    assert await host.zfs.snapshots("tank/jaild/jails/shop", recursive=True) == []
    assert jails.get("shop").state is JailState.STOPPED


async def test_what_a_crash_interrupts_is_gone_on_with(host: FakeHost) -> None:
    await made(host)
    entry = host.core.inventory.jails["web"]
    assert entry.record is not None
    begun = msgspec.structs.replace(entry.record, formerly=(Formerly(name="web"),))
    await host.core.rooms.jails.datasets.write(entry, begun)
    await host.restart()
    await host.quiet()
    record = host.core.use_cases.jails.get("web").record
    assert record is not None
    assert record.formerly == ()


async def test_a_jail_that_was_taken_over_keeps_its_name_until_its_former_owner_has_been_told(quick_path: Path) -> None:
    alpha, beta, gamma = await replaced(quick_path)
    assert asking.reason_of(await asking.ended(beta, beta.core.use_cases.jails.stop("web", caller=caller()))) == ""
    plain = msgspec.structs.replace(asking.active(beta).spec, standby=None)
    assert asking.reason_of(await asking.configure(beta, plain)) == ""
    await rounds(beta)
    assert (await record(beta)).standbys == ()
    with pytest.raises(FailedPreconditionError, match="alpha may have jail web") as refused:
        await renamed(beta)
    assert refused.value.reason == "FORMER_OWNER_UNTOLD"
    await back(alpha)
    await beta.quiet()
    assert asking.reason_of(await renamed(beta)) == ""
    assert await invariants.unsafe((alpha, beta, gamma), "web") == []
    await stop((alpha, beta, gamma))


async def test_a_former_owner_hears_of_a_jail_that_has_another_name_by_now(host: FakeHost) -> None:
    await made(host)
    kept = host.core.use_cases.jails.get("web").record
    assert kept is not None
    await renamed(host)
    known = await host.core.rooms.replication.replica_store.ownership("web", kept.uid)
    assert (known.owner, known.epoch) == (kept.owner, kept.epoch)


async def test_a_renamed_jail_goes_back_only_when_the_copy_by_its_former_name_is_gone(quick_path: Path) -> None:
    beta, alpha = await two_hosts(quick_path, back=True)
    await asking.ended(beta, beta.core.use_cases.jails.stop("web", caller=caller()))
    assert asking.reason_of(await renamed(beta)) == ""
    assert asking.reason_of(await to(beta, alpha)) == "PLAN_REFUSED"
    assert (await records(alpha)).keys() == {"web"}
    assert asking.reason_of(await asking.delete(alpha)) == ""
    assert asking.reason_of(await to(beta, alpha)) == ""
    assert (await records(alpha)).keys() == {"shop"}
    await stop((alpha, beta))


async def to(source: FakeHost, target: FakeHost) -> Operation:
    migrations = source.core.use_cases.migrations
    asked = migrations.migrate(
        "shop",
        target.name,
        max_downtime=10.0,
        proceed_over_budget=True,
        etag="",
        validate_only=False,
        caller=caller(),
    )
    return await asking.ended(source, asked)
