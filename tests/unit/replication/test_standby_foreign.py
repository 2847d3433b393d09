"""What others make of, and keep of, a replica's snapshots: it goes on from what both hosts have, whatever that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
from tests.fakes.host import FakeHost
from tests.fakes.network import LinkedPeers
from tests.hosts.standbys import events, hosts_with, promote, record, rounds, stop, view, write, written

WEB = "tank/jaild/jails/web"
DATA = f"{WEB}/data"
DOWN = "alpha is down"


async def keep(host: FakeHost, kind: str, snapshot: str) -> None:
    if kind == "hold":
        await host.zfs.hold("backup", snapshot)
    else:
        await host.zfs.clone(snapshot, "tank/theirs")


async def let_go(host: FakeHost, kind: str, snapshot: str) -> None:
    if kind == "hold":
        await host.zfs.release("backup", snapshot)
    else:
        await host.zfs.destroy("tank/theirs")


async def guids(host: FakeHost, dataset: str = DATA) -> set[int]:
    return {snapshot.guid for snapshot in await host.zfs.snapshots(dataset)}


async def own(host: FakeHost, dataset: str = DATA) -> list[str]:
    return [s.tag for s in await host.zfs.snapshots(dataset) if s.purpose == "standby"]


KINDS = pytest.mark.parametrize("kind", ["hold", "clone"])


@KINDS
async def test_a_round_that_others_keep_on_a_standby_is_told_kept_and_dropped_later(tmp_path: Path, kind: str) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    kept = f"{DATA}@{(await own(beta))[0]}"
    await keep(beta, kind, kept)
    for number in range(6):
        write(alpha, f"round {number}")
        await rounds(alpha)
        assert view(alpha, "beta").message == ""
        assert not view(alpha, "beta").behind
    assert kept in [snapshot.name for snapshot in await beta.zfs.snapshots(DATA)]
    told = await events(beta, "standby.snapshots_in_use")
    assert len(told) == 1
    assert kept in told[0]
    await let_go(beta, kind, kept)
    await rounds(alpha)
    assert len(await own(beta)) == 3
    await stop([alpha, beta])


@KINDS
async def test_snapshots_of_others_on_a_standby_are_stepped_over_and_stay(tmp_path: Path, kind: str) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    for number in range(6):
        await beta.zfs.snapshot(WEB, f"standby-test{number}", recursive=True)
        if number == 0:
            await keep(beta, kind, f"{DATA}@standby-test0")
        write(alpha, f"round {number}")
        await rounds(alpha)
        assert view(alpha, "beta").message == ""
    theirs = [snapshot.tag for snapshot in await beta.zfs.snapshots(DATA) if not snapshot.purpose]
    assert theirs == [f"standby-test{number}" for number in range(6)]
    assert await events(beta, "standby.rolled_back") == []
    await alpha.stop()
    taken = await promote(beta, down=True, confirm=DOWN)
    assert taken.failure is None
    assert written(beta) == "round 5"
    assert theirs == [snapshot.tag for snapshot in await beta.zfs.snapshots(DATA) if not snapshot.purpose]
    await let_go(beta, kind, f"{DATA}@standby-test0")
    await beta.stop()


async def scribble(host: FakeHost, tag: str) -> None:
    """Write to a replica and snapshot that, as nobody should."""
    await host.zfs.set(DATA, {"readonly": "off"})
    for dataset in (WEB, DATA):
        await host.zfs.mount(dataset)
    point = (await host.zfs.dataset(DATA)).mountpoint
    assert point is not None
    (point / "scribbled").write_text(tag)
    await host.zfs.snapshot(DATA, tag)
    await host.zfs.unmount(WEB)


@KINDS
async def test_a_replica_that_cannot_be_rolled_back_goes_on_as_soon_as_it_can(tmp_path: Path, kind: str) -> None:
    """The owner keeps the newest round that both have, however many it has made since for another standby."""
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await scribble(beta, "theirs")
    await keep(beta, kind, f"{DATA}@theirs")
    common = await guids(alpha) & await guids(beta)
    for number in range(8):
        write(alpha, f"round {number}")
        await rounds(alpha)
        assert "theirs" in view(alpha, "beta").message
        assert view(alpha, "gamma").message == ""
    assert await guids(alpha) & common
    assert "theirs" in [snapshot.tag for snapshot in await beta.zfs.snapshots(DATA)]
    await let_go(beta, kind, f"{DATA}@theirs")
    await rounds(alpha)
    assert view(alpha, "beta").message == ""
    assert "theirs" in (await events(beta, "standby.rolled_back"))[0]
    await rounds(alpha)
    assert len(await own(alpha)) == 3
    await stop([alpha, beta, gamma])


@KINDS
async def test_a_failover_that_had_to_undo_what_others_keep_is_refused_before_it_is_claimed(
    tmp_path: Path, kind: str
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    await scribble(beta, "theirs")
    await keep(beta, kind, f"{DATA}@theirs")
    before = await record(beta)
    beta.zfs.calls.clear()
    with pytest.raises(FailedPreconditionError, match="backup" if kind == "hold" else "tank/theirs") as caught:
        await promote(beta, down=True, confirm=DOWN)
    assert caught.value.reason == "SNAPSHOTS_IN_USE"
    assert await record(beta) == before
    assert not [call for call in beta.zfs.calls if call[0] in {"set", "destroy", "rollback"}]
    await let_go(beta, kind, f"{DATA}@theirs")
    assert (await promote(beta, down=True, confirm=DOWN)).failure is None
    assert "theirs" not in [snapshot.tag for snapshot in await beta.zfs.snapshots(DATA)]
    await beta.stop()


@KINDS
async def test_a_replica_of_which_others_keep_a_snapshot_is_not_withdrawn_but_stays_one(
    tmp_path: Path, kind: str
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    kept = f"{DATA}@{(await own(beta))[0]}"
    await keep(beta, kind, kept)
    before, uid = await guids(beta), (await record(alpha)).uid
    with pytest.raises(Exception, match="backup" if kind == "hold" else "tank/theirs") as caught:
        await LinkedPeers(alpha.network, alpha).get("beta").standby.withdraw("web", uid, 1)
    assert getattr(caught.value, "reason", "") == "SNAPSHOTS_IN_USE"
    assert (await record(beta)).state == "standby"
    assert await guids(beta) == before
    await let_go(beta, kind, kept)
    await LinkedPeers(alpha.network, alpha).get("beta").standby.withdraw("web", uid, 1)
    assert "web" not in beta.core.inventory.jails
    await stop([alpha, beta])


async def test_what_others_keep_of_a_round_on_the_owner_fails_no_round(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    kept = f"{DATA}@{(await own(alpha))[0]}"
    await alpha.zfs.hold("backup", kept)
    for number in range(5):
        write(alpha, f"round {number}")
        await rounds(alpha)
        assert view(alpha, "beta").message == ""
    assert kept in [snapshot.name for snapshot in await alpha.zfs.snapshots(DATA)]
    await alpha.zfs.release("backup", kept)
    await rounds(alpha)
    assert len(await own(alpha)) == 3
    await stop([alpha, beta])
