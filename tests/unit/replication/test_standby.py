"""Replicas on other hosts: in time, never started by themselves, and an alarm where they fall behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.adapters.peers import GrpcStandbyPeer
from jaild.adapters.zfs.errors import refusal
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model import layout
from jaild.model.jails.spec import JailSpec, Standby
from jaild.model.layers.records import JailRecord, Ownership, Replica
from jaild.model.migration.protocol import Received
from jaild.model.replication.policy import KEPT
from jaild.model.snapshots import STANDBY
from jaild.model.views import JailState
from tests.fakes.host import ROOT, FakeHost
from tests.fakes.network import LinkedPeers, Network
from tests.hosts import invariants
from tests.hosts.asking import configure, create, delete, reason_of, serves
from tests.hosts.cutoff import cut, fix
from tests.hosts.migrating import migrate
from tests.hosts.standbys import INTERVAL, events, hosts_with, record, rounds, stop, view, write, written


async def test_a_replica_is_kept_and_never_started_also_after_a_restart_of_its_host(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    kept = await record(beta)
    assert (kept.state, kept.owner, kept.peer) == (Ownership.STANDBY, alpha.core.inventory.host_id, "alpha")
    await beta.restart(reboot=True)
    await beta.quiet()
    assert beta.core.use_cases.jails.get("web").state is JailState.STANDBY
    assert invariants.running(hosts, "web") == ["alpha:web.1"]
    for dataset in await beta.zfs.datasets(f"{ROOT}/jails/web"):
        assert dataset.readonly
        assert not dataset.mounted
    assert {"deb-1"} == set(beta.core.inventory.bases)
    assert {"web/1"} == set(beta.core.inventory.releases)
    await stop(hosts)


async def test_the_owner_names_a_standby_in_its_record_before_anything_is_sent_there(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert (await record(alpha)).standbys == ("beta",)
    put = f"{ROOT}/jails/web"
    first = next(n for n, call in enumerate(alpha.zfs.calls) if call[0] == "send")
    assert ("set", put) in alpha.zfs.calls[:first]
    del beta
    await stop(hosts)


async def test_a_round_is_an_increment_and_only_the_newest_rounds_stay_on_both_sides(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    before = (await record(beta)).replica
    for number in range(KEPT + 2):
        write(alpha, f"round {number}")
        await rounds(alpha)
    after = (await record(beta)).replica
    assert before is not None
    assert after is not None
    assert after.taken > before.taken
    for host in hosts:
        for dataset in (f"{ROOT}/jails/web", f"{ROOT}/jails/web/data"):
            snapshots = [s.name for s in await host.zfs.snapshots(dataset) if s.tag.startswith("standby-")]
            assert len(snapshots) == KEPT
            assert snapshots[-1].endswith(after.round)
            assert all([await host.zfs.holds(name) == {"jaild-standby"} for name in snapshots])
    await stop(hosts)


async def test_a_replica_that_falls_behind_is_told_on_both_sides_once_and_so_is_that_it_has_caught_up(
    tmp_path: Path,
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert not view(alpha, "beta").behind
    alpha.network.sever()
    for _ in range(3):
        await rounds(alpha)
    beta.clock.time = alpha.clock.time
    await beta.core.replica_store.look_at_ages()
    await beta.core.replica_store.look_at_ages()
    assert view(alpha, "beta").behind
    assert "cannot be reached" in view(alpha, "beta").message
    assert view(beta, "alpha").behind
    assert len(await events(alpha, "standby.behind")) == len(await events(beta, "standby.behind")) == 1
    alpha.network.heal()
    await rounds(alpha)
    await beta.core.replica_store.look_at_ages()
    assert not view(alpha, "beta").behind
    assert not view(beta, "alpha").behind
    assert len(await events(alpha, "standby.caught_up")) == len(await events(beta, "standby.caught_up")) == 1
    await stop(hosts)


async def test_an_owner_that_restarts_goes_on_from_what_both_sides_have(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    first = (await record(beta)).replica
    await alpha.restart()
    await alpha.quiet()
    assert serves(alpha, 1)
    write(alpha, "second")
    alpha.zfs.calls.clear()
    await rounds(alpha)
    second = (await record(beta)).replica
    assert first is not None
    assert second is not None
    assert second.taken > first.taken
    guids = [s.guid for s in await beta.zfs.snapshots(f"{ROOT}/jails/web/data")]
    assert len(guids) == 2  # a full copy would have begun anew
    await stop(hosts)


@pytest.mark.parametrize("restarted", [False, True], ids=["owner runs on", "owner restarted"])
async def test_what_a_standby_had_when_it_fell_silent_is_kept_for_it_however_many_rounds_go_to_others(
    tmp_path: Path, *, restarted: bool
) -> None:
    alpha, beta, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
    had = {s.guid for s in await gamma.zfs.snapshots(f"{ROOT}/jails/web/data")}
    await gamma.stop()
    if restarted:
        await alpha.restart()
        await alpha.quiet()
    for number in range(KEPT + 2):
        write(alpha, f"round {number}")
        await rounds(alpha)
    assert len(await alpha.zfs.snapshots(f"{ROOT}/jails/web/data")) <= KEPT + 2
    await gamma.start()
    await rounds(alpha)
    assert view(alpha, "gamma").message == ""
    assert had & {s.guid for s in await gamma.zfs.snapshots(f"{ROOT}/jails/web/data")}
    assert (await record(gamma)).replica == msgspec.structs.replace(_replica(await record(beta)), others=("beta",))
    await stop(hosts)


async def test_a_new_owner_goes_on_with_the_replicas_of_the_old_one_without_a_full_copy(tmp_path: Path) -> None:
    alpha, beta, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
    assert reason_of(await alpha.end_of(await migrate(alpha, beta))) == ""
    assert serves(beta, 1)
    assert (await record(beta)).replica is None
    old = {s.guid for s in await gamma.zfs.snapshots(f"{ROOT}/jails/web/data")}
    write(beta, "by beta")
    await rounds(beta)
    kept = await record(gamma)
    assert (kept.state, kept.peer, kept.epoch) == (Ownership.STANDBY, "beta", 2)
    assert old & {s.guid for s in await gamma.zfs.snapshots(f"{ROOT}/jails/web/data")}
    assert view(beta, "gamma").message == ""
    await stop(hosts)


async def test_the_copy_that_a_move_leaves_becomes_a_replica_if_the_spec_names_its_host(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    both = msgspec.structs.replace(_standby(alpha), peers=("alpha", "beta"))
    assert reason_of(await configure(alpha, msgspec.structs.replace(_spec(alpha), standby=both))) == ""
    await rounds(alpha)
    assert reason_of(await alpha.end_of(await migrate(alpha, beta))) == ""
    await rounds(beta)
    kept = await record(alpha)
    assert (kept.state, kept.peer) == (Ownership.STANDBY, "beta")
    assert kept.replica is not None
    assert kept.replica.round
    assert reason_of(await beta.end_of(await migrate(beta, alpha))) == ""
    assert serves(alpha, 2)
    await stop(hosts)


@pytest.mark.parametrize(("standbys", "told"), [(("beta",), ["LAST_STANDBY"]), (("beta", "gamma"), [])])
async def test_the_plan_of_a_move_onto_the_only_standby_warns(
    tmp_path: Path, standbys: tuple[str, ...], told: list[str]
) -> None:
    hosts = await hosts_with(tmp_path, *standbys)
    planned = await migrate(hosts[0], hosts[1], validate_only=True)
    assert planned.plan is not None
    assert [(found.code, found.severity) for found in planned.plan.problems] == [(code, "warning") for code in told]
    await stop(hosts)


async def test_a_replica_that_is_not_named_any_more_is_withdrawn_and_the_record_names_it_until_then(
    tmp_path: Path,
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert reason_of(await configure(alpha, msgspec.structs.replace(_spec(alpha), standby=None))) == ""
    alpha.network.sever()
    await rounds(alpha)
    assert (await record(alpha)).standbys == ("beta",)
    alpha.network.heal()
    await rounds(alpha)
    assert (await record(alpha)).standbys == ()
    assert await invariants.records(beta) == {}
    kept = [
        snapshot.tag
        for d in await alpha.zfs.datasets(f"{ROOT}/jails/web")
        for snapshot in await alpha.zfs.snapshots(d.name)
    ]
    assert not any(tag.startswith("standby-") for tag in kept)  # held, they would keep what the jail frees for ever
    await stop(hosts)


@pytest.mark.parametrize("call", ["offer", "receive"])
async def test_a_round_that_is_under_way_leaves_no_replica_that_its_owner_does_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert reason_of(await configure(alpha, msgspec.structs.replace(_spec(alpha), standby=None))) == ""
    await rounds(alpha)
    assert await invariants.records(beta) == {}
    await _keep_on_beta(alpha)
    ask, reached, goes_on = getattr(GrpcStandbyPeer, call), asyncio.Event(), asyncio.Event()

    async def slow(*asked: object) -> object:
        reached.set()
        await goes_on.wait()
        return await ask(*asked)

    with monkeypatch.context() as slowed:
        slowed.setattr(GrpcStandbyPeer, call, slow)
        await alpha.core.standbys.tick()
        await reached.wait()
        assert reason_of(await configure(alpha, msgspec.structs.replace(_spec(alpha), standby=None))) == ""
        await alpha.core.standbys.tick()
        goes_on.set()
        await rounds(alpha)
    assert (await record(alpha)).standbys == ()
    assert await invariants.records(beta) == {}
    await stop(hosts)


async def test_what_comes_of_a_replica_after_it_was_withdrawn_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert reason_of(await configure(alpha, msgspec.structs.replace(_spec(alpha), standby=None))) == ""
    await rounds(alpha)
    await _keep_on_beta(alpha)
    receive = GrpcStandbyPeer.receive
    alphas = await record(alpha)

    async def withdrawn(*asked: Any) -> Received:
        monkeypatch.undo()
        await LinkedPeers(alpha.network, alpha).get("beta").standby.withdraw("web", alphas.uid, alphas.epoch)
        return await receive(*asked)

    monkeypatch.setattr(GrpcStandbyPeer, "receive", withdrawn)
    await alpha.core.standbys.tick()
    await alpha.core.standbys.settled()
    assert "STANDBY_NOT_OFFERED" in view(alpha, "beta").message
    assert await invariants.records(beta) == {}
    await stop(hosts)


async def test_deleting_a_jail_withdraws_its_replicas(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert reason_of(await delete(alpha, force=True)) == ""
    assert await invariants.records(beta) == {}
    assert f"{ROOT}/jails/web" not in [d.name for d in await beta.zfs.datasets(ROOT)]
    await stop(hosts)


async def test_a_replica_protects_the_base_and_the_release_that_it_needs(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert beta.core.use_cases.bases.get("deb-1").used_by == ("jails/web",)
    assert beta.core.use_cases.releases.get("web", "1").used_by == ("jails/web",)
    del alpha
    await stop(hosts)


async def test_a_migration_that_is_aborted_leaves_the_replica_a_replica(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    before = await record(beta)
    alpha.network.at, alpha.network.counting = None, False
    beta.zfs.refuse["receive"] = refusal("NO_SPACE", "tank", "out of space")
    assert reason_of(await alpha.end_of(await migrate(alpha, beta))) == "NO_SPACE"
    beta.zfs.refuse.clear()
    assert await record(beta) == before
    write(alpha, "after the abort")
    await rounds(alpha)
    after = (await record(beta)).replica
    assert after is not None
    assert before.replica is not None
    assert after.taken > before.replica.taken
    await stop(hosts)


async def test_a_jail_of_another_uid_with_the_name_is_left_alone_and_told(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert reason_of(await delete(beta)) == ""
    assert reason_of(await create(beta, JailSpec(base="deb-1", app="web/1"))) == ""
    mine = await record(beta)
    await rounds(alpha)
    assert await record(beta) == mine
    assert "NAME_TAKEN" in view(alpha, "beta").message
    await stop(hosts)


async def test_what_a_crash_left_of_a_first_round_is_cleared_away_and_begun_again(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    await beta.zfs.inherit(f"{ROOT}/jails/web", layout.JAIL_PROPERTY)
    await beta.restart()
    assert any("left of a replica's first round" in repair for repair in beta.core.recovery.repairs)
    await rounds(alpha)
    kept = (await record(beta)).replica
    assert kept is not None
    assert kept.round
    assert view(alpha, "beta").taken > alpha.clock.time - INTERVAL
    await stop(hosts)


async def test_what_a_crash_left_of_a_first_round_before_it_was_marked_is_cleared_away_too(quick_path: Path) -> None:
    network = Network()
    alpha, beta = (FakeHost(quick_path / name, name, network) for name in ("alpha", "beta"))
    for host in (alpha, beta):
        host.folder.mkdir(exist_ok=True)
        await host.start()
    await alpha.add_base("deb-1")
    await alpha.add_release("web/1")
    beta.zfs.refuse["mark"] = refusal("NO_SPACE", "tank", "out of space")
    spec = JailSpec(base="deb-1", app="web/1", standby=Standby(peers=("beta",), interval=INTERVAL))
    assert reason_of(await create(alpha, spec)) == ""
    await rounds(alpha)
    assert (await beta.zfs.dataset(f"{ROOT}/jails")).properties.keys() == {"jaild:first-round:web"}
    assert [s.purpose for s in await beta.zfs.snapshots(f"{ROOT}/jails/web", recursive=True)] == [""]
    beta.zfs.refuse.clear()
    cut(network, alpha, beta)
    await beta.restart()
    assert any("left of a replica's first round" in repair for repair in beta.core.recovery.repairs)
    assert (await beta.zfs.dataset(f"{ROOT}/jails")).properties == {}
    fix(network, alpha, beta)
    await rounds(alpha)
    assert (await record(beta)).replica is not None
    assert (await beta.zfs.dataset(f"{ROOT}/jails")).properties == {}
    await stop((alpha, beta))


async def test_a_dataset_without_a_record_that_has_a_snapshot_of_somebodys_is_no_first_round(tmp_path: Path) -> None:
    _, beta = hosts = await hosts_with(tmp_path, "beta")
    await beta.zfs.inherit(f"{ROOT}/jails/web", layout.JAIL_PROPERTY)
    await beta.zfs.snapshot(f"{ROOT}/jails/web", "mine")
    await beta.restart()
    assert not any("first round" in repair for repair in beta.core.recovery.repairs)
    assert [s.tag for s in await beta.zfs.snapshots(f"{ROOT}/jails/web")][-1] == "mine"
    await stop(hosts)


async def _keep_on_beta(host: FakeHost) -> None:
    """Let the spec name a standby, and the record too; nothing has been sent."""
    standby = Standby(peers=("beta",), interval=INTERVAL)
    assert reason_of(await configure(host, msgspec.structs.replace(_spec(host), standby=standby))) == ""


def _spec(host: FakeHost) -> JailSpec:
    generation = host.core.inventory.jails["web"].generation
    assert generation is not None
    return generation.spec


def _replica(found: JailRecord) -> Replica:
    assert found.replica is not None
    return found.replica


def _standby(host: FakeHost) -> Standby:
    standby = _spec(host).standby
    assert standby is not None
    return standby


async def test_a_move_to_the_only_standby_leaves_no_rounds_and_the_way_back_is_an_increment(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await rounds(alpha)
    assert await rounds_kept(alpha) != []
    assert (await alpha.end_of(await migrate(alpha, beta))).failure is None
    for host in (alpha, beta):
        await host.quiet()
        assert await rounds_kept(host) == []
    back = await beta.end_of(await migrate(beta, alpha))
    assert back.failure is None
    assert written(alpha) == "first"
    await rounds(alpha)  # and beta keeps a replica again
    assert view(alpha, "beta").message == ""
    await stop((alpha, beta))


async def test_a_move_beside_another_standby_keeps_what_its_rounds_go_on_from(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    assert (await alpha.end_of(await migrate(alpha, beta))).failure is None
    await beta.quiet()
    assert await rounds_kept(beta) != []
    await stop((alpha, beta, gamma))


async def rounds_kept(host: FakeHost) -> list[str]:
    """The snapshots of rounds that a host has of the jail."""
    owned = OwnedSnapshots(host.zfs, f"{ROOT}/jails/web")
    return [snapshot.name for snapshot in await owned.of(STANDBY)]
