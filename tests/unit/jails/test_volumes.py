"""Volumes: what there is, and that one goes only when nothing in force names it; on the replicas, too."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails.spec import Volume
from jaild.model.operation import Operation
from jaild.model.snapshots import STANDBY
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import SPEC, configure, create, deploy, ended, reason_of, roll_back, unstage
from tests.hosts.migrating import migrate
from tests.hosts.standbys import events, hosts_with, promote, record, rounds

CACHE = "tank/jaild/jails/web/cache"
WITH = msgspec.structs.replace(SPEC, volumes={"cache": Volume(path="/var/cache", quota="1M")})


async def remove(host: FakeHost, volume: str = "cache") -> Operation:
    return await ended(host, host.core.use_cases.volumes.remove("web", volume, validate_only=False, caller=caller()))


async def planned(host: FakeHost) -> list[str]:
    asked = await host.core.use_cases.volumes.remove("web", "cache", validate_only=True, caller=caller())
    assert asked.plan is not None
    return [problem.code for problem in asked.plan.problems]


async def names(host: FakeHost) -> list[tuple[str, str]]:
    return [(volume.name, volume.path) for volume in await host.core.use_cases.volumes.list("web")]


async def refused(host: FakeHost) -> str:
    with pytest.raises(JaildError) as caught:
        await remove(host)
    assert caught.value.hint
    return caught.value.reason


async def test_a_volume_that_no_spec_in_force_names_goes_with_its_data(host: FakeHost) -> None:
    await create(host, WITH)
    assert await names(host) == [("cache", "/var/cache")]
    assert await refused(host) == "VOLUME_IN_USE"
    await configure(host, SPEC)
    (kept,) = await host.core.use_cases.volumes.list()
    assert (kept.jail, kept.name, kept.path, kept.quota, kept.generations) == ("web", "cache", "", 1 << 20, (1,))
    await configure(host, WITH, stage=True)
    assert await refused(host) == "VOLUME_IN_USE"
    await unstage(host)
    assert await planned(host) == ["VOLUME_LOST", "VOLUME_OF_GENERATIONS"]
    assert await names(host) == [("cache", "")]
    assert reason_of(await remove(host)) == ""
    assert await names(host) == []
    assert (await invariants.records(host))["web"].removing == ()
    assert await refused(host) == "VOLUME_NOT_FOUND"
    assert reason_of(await roll_back(host, 1)) == ""
    assert await names(host) == [("cache", "/var/cache")]  # empty: data is not rolled back


async def test_a_volume_is_kept_for_the_change_that_may_be_undone_and_for_whoever_keeps_its_snapshots(
    host: FakeHost,
) -> None:
    await create(host, WITH)
    await configure(host, SPEC)
    await deploy(host, "web/2", confirm_within=60)
    assert await refused(host) == "CHANGE_UNCONFIRMED"
    await ended(host, host.core.use_cases.confirmations.confirm("web", caller=caller()))
    await host.zfs.snapshot(CACHE, "mine")
    assert await planned(host) == ["VOLUME_LOST", "FOREIGN_SNAPSHOTS", "VOLUME_OF_GENERATIONS"]
    await host.zfs.hold("keep", f"{CACHE}@mine")
    assert await refused(host) == "SNAPSHOTS_IN_USE"
    with pytest.raises(NotFoundError, match="JAIL_NOT_FOUND"):
        await host.core.use_cases.volumes.remove("other", "cache", validate_only=True, caller=caller())


async def test_what_is_left_of_a_removal_that_failed_is_named_by_no_spec_and_ends_with_the_next(
    host: FakeHost,
) -> None:
    await create(host, WITH)
    await configure(host, SPEC)
    host.zfs.refuse["destroy"] = FailedPreconditionError("DATASET_BUSY", "busy", hint="wait")
    assert reason_of(await remove(host)) == "DATASET_BUSY"
    del host.zfs.refuse["destroy"]
    assert [volume.removing for volume in await host.core.use_cases.volumes.list("web")] == [True]
    assert reason_of(await configure(host, WITH)) == "PLAN_REFUSED"
    assert reason_of(await remove(host)) == ""
    assert reason_of(await configure(host, WITH)) == ""


async def test_replicas_lose_a_volume_with_the_next_whole_round_and_nothing_that_others_made_or_keep(
    tmp_path: Path,
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    both = {**WITH.volumes, "held": Volume(path="/var/held")}
    await configure(alpha, msgspec.structs.replace(spec, volumes=both))
    await rounds(alpha)
    await configure(alpha, spec)
    await rounds(alpha)
    assert await names(beta) == [("cache", ""), ("held", "")]
    with pytest.raises(FailedPreconditionError, match="JAIL_STANDBY"):
        await remove(beta)
    await beta.zfs.create("tank/jaild/jails/web/foreign")
    await beta.zfs.hold("keep", (await beta.zfs.snapshots("tank/jaild/jails/web/held"))[-1].name)
    assert "VOLUME_ON_STANDBYS" in await planned(alpha)
    assert [reason_of(await remove(alpha, volume)) for volume in both] == ["", ""]
    await rounds(alpha)
    assert await names(beta) == [("foreign", ""), ("held", "")]
    assert await events(beta, "standby.volume_removed") == ["standby.volume_removed cache: its owner has removed it"]
    assert (await record(beta)).removed_guids == (await record(alpha)).removed_guids != ()
    await beta.zfs.destroy("tank/jaild/jails/web/foreign")
    await alpha.stop()
    # What is left, and no part of the last whole round, keeps nobody from that.
    assert reason_of(await promote(beta, down=True, confirm="alpha is down")) == ""
    assert await names(beta) == [("held", "")]
    await beta.stop()


async def test_a_replica_keeps_a_volume_that_its_owner_lost_without_removing_it_and_says_so_once(
    tmp_path: Path,
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    await configure(alpha, msgspec.structs.replace(spec, volumes=WITH.volumes))
    await rounds(alpha)
    await configure(alpha, spec)
    owned = OwnedSnapshots(alpha.zfs, CACHE)
    await owned.drop(await owned.of(STANDBY))
    await alpha.zfs.destroy(CACHE, recursive=True)  # by hand
    await rounds(alpha)
    await rounds(alpha)
    assert await names(beta) == [("cache", "")]
    (told,) = await events(beta, "standby.volume_kept")
    assert f"zfs destroy -r {CACHE}" in told
    await alpha.stop()
    await beta.stop()


async def test_a_standby_that_was_away_learns_of_a_removal_from_the_jails_next_owner(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    await configure(alpha, msgspec.structs.replace(spec, volumes=WITH.volumes))
    await rounds(alpha)
    await gamma.stop()
    await configure(alpha, spec)
    assert reason_of(await remove(alpha)) == ""
    await rounds(alpha)
    await gamma.restart()
    assert reason_of(await ended(alpha, migrate(alpha, beta))) == ""
    assert [name for name, _ in await names(gamma)] == ["cache"]
    await rounds(beta)
    assert await names(gamma) == []
    for host in (alpha, beta, gamma):
        await host.stop()


async def test_a_standby_that_was_away_takes_the_new_volume_for_the_removed_one_of_its_name(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    both = msgspec.structs.replace(spec, volumes=WITH.volumes)
    await configure(alpha, both)
    await rounds(alpha)
    await beta.stop()
    await configure(alpha, spec)
    assert reason_of(await remove(alpha)) == ""
    await configure(alpha, both)
    (alpha.core.inventory.jails["web"].folder / "cache" / "new").write_text("written since")
    await beta.restart()
    await rounds(alpha)
    assert [view.message for view in alpha.core.use_cases.jails.get("web").standbys] == [""]
    assert reason_of(await promote(beta)) == ""
    assert (beta.core.inventory.jails["web"].folder / "cache" / "new").read_text() == "written since"
    await alpha.stop()
    await beta.stop()


async def test_a_volume_that_was_removed_since_the_last_round_does_not_come_back_with_a_move_to_a_standby(
    tmp_path: Path,
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    both = msgspec.structs.replace(spec, volumes=WITH.volumes)
    await configure(alpha, both)
    await rounds(alpha)
    await configure(alpha, spec)
    assert reason_of(await remove(alpha)) == ""
    assert reason_of(await ended(alpha, migrate(alpha, beta))) == ""
    await beta.quiet()
    assert await names(beta) == []
    assert await events(beta, "standby.volume_removed") == ["standby.volume_removed cache: its owner has removed it"]
    assert reason_of(await configure(beta, both)) == ""
    assert await names(beta) == [("cache", "/var/cache")]
    await alpha.stop()
    await beta.stop()


async def test_a_volume_that_only_the_copy_had_is_mounted_when_a_spec_names_it(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    both = msgspec.structs.replace(spec, volumes=WITH.volumes)
    await configure(alpha, both)
    (alpha.core.inventory.jails["web"].folder / "cache" / "kept").write_text("as it was")
    assert reason_of(await ended(alpha, migrate(alpha, beta))) == ""
    await configure(beta, spec)
    assert reason_of(await remove(beta)) == ""
    assert reason_of(await ended(beta, migrate(beta, alpha))) == ""
    assert await names(alpha) == [("cache", "")]  # the copy that stayed had it
    assert reason_of(await configure(alpha, both)) == ""
    assert (await alpha.zfs.dataset(CACHE)).mounted
    assert (alpha.core.inventory.jails["web"].folder / "cache" / "kept").read_text() == "as it was"
    await alpha.stop()
    await beta.stop()
