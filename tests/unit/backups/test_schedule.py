"""Snapshots of a spec's schedule: taken when due, of all jails at once, dropped by its rule, never lost silently."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from jaild.model.errors import FailedPreconditionError, ResourceExhaustedError
from jaild.model.jails.spec import Keep, Snapshots, Volume
from jaild.model.snapshots import SCHEDULE
from jaild.model.views import SnapshotStatus
from tests.fakes.host import FakeHost
from tests.hosts.asking import SPEC, configure, create, ended, reason_of
from tests.hosts.migrating import migrate
from tests.hosts.standbys import events, hosts_with

WEB = "tank/jaild/jails/web"
HOURLY = Snapshots(every="1h", keep=Keep(last=2))
SPEC_HOURLY = msgspec.structs.replace(SPEC, snapshots=HOURLY, volumes={"db": Volume(path="/var/db/x")})


async def ticks(host: FakeHost, hours: float = 1.0) -> None:
    """Let time pass, and the schedule look."""
    host.clock.time += hours * 3600
    await host.core.schedule.tick()


async def taken(host: FakeHost, dataset: str = WEB) -> list[str]:
    return [s.tag for s in await host.zfs.snapshots(dataset) if s.purpose == SCHEDULE]


def status(host: FakeHost, name: str = "web") -> SnapshotStatus:
    found = host.core.use_cases.jails.get(name).snapshots
    assert found is not None
    return found


def snapshots_asked(host: FakeHost) -> list[str]:
    return [what for call, what in host.zfs.calls if call == "snapshot"]


async def test_each_hour_has_one_of_all_datasets_and_the_rule_keeps_two(host: FakeHost) -> None:
    await create(host, SPEC_HOURLY)
    await ticks(host)
    await host.core.schedule.tick()  # in the same hour
    (first,) = await taken(host)
    assert await taken(host, f"{WEB}/data") == await taken(host, f"{WEB}/db") == [first]
    for _ in range(3):
        await ticks(host)
    assert len(await taken(host)) == 2
    assert first not in await taken(host, f"{WEB}/data")
    assert (status(host).count, status(host).interval, status(host).message) == (2, 3600, "")
    assert status(host).taken == int(host.clock.now())


async def test_a_host_that_was_down_takes_one_and_the_next_daemon_knows_what_the_last_one_took(host: FakeHost) -> None:
    await create(host, SPEC_HOURLY)
    await ticks(host)
    await host.restart()
    await host.core.schedule.tick()
    assert len(await taken(host)) == 1
    await ticks(host, hours=100)
    await host.core.schedule.tick()
    assert len(await taken(host)) == 2


async def test_a_clock_that_is_put_back_delays_nothing_and_loses_nothing(host: FakeHost) -> None:
    await create(host, SPEC_HOURLY)
    await ticks(host)
    host.clock.stepped = -10 * 3600
    await host.core.schedule.tick()
    await host.core.schedule.tick()
    assert len(await taken(host)) == 2  # one at once, and then one an hour again


async def test_jails_that_are_due_together_are_taken_by_one_command_and_a_sick_one_harms_no_other(
    host: FakeHost,
) -> None:
    for name in ("web", "b", "c"):
        await create(host, msgspec.structs.replace(SPEC, snapshots=HOURLY), name=name)
    await ticks(host)
    (one,) = snapshots_asked(host)
    assert one.count("@") == 3
    host.zfs.refuse[f"snapshot {WEB}"] = ResourceExhaustedError("NO_SPACE", "out of space", hint="make room")
    full = ResourceExhaustedError("NO_SPACE", "out of space", hint="make room")
    host.zfs.refuse["snapshot"] = full
    await ticks(host)
    assert "NO_SPACE" in status(host).message
    assert status(host).failing_since == host.clock.now()
    assert await events(host, "snapshot.failed") != []
    before = len(host.zfs.calls)
    await host.core.schedule.tick()  # not again in the same minute
    assert len(host.zfs.calls) == before
    del host.zfs.refuse["snapshot"], host.zfs.refuse[f"snapshot {WEB}"]
    await ticks(host, hours=0.05)
    assert [status(host, name).message for name in ("web", "b", "c")] == ["", "", ""]
    assert len(await taken(host)) == 2
    assert len(await events(host, "snapshot.recovered")) == 3


async def test_of_a_batch_that_fails_each_is_tried_by_itself(host: FakeHost) -> None:
    for name in ("web", "b"):
        await create(host, msgspec.structs.replace(SPEC, snapshots=HOURLY), name=name)
    tag = "auto-19700112T144640Z"
    host.clock.time = 1_003_600.0
    await host.zfs.snapshot(WEB, tag)  # somebody else's, of the name that is wanted
    await host.core.schedule.tick()
    assert (await taken(host), await taken(host, "tank/jaild/jails/b")) == ([f"{tag}.2"], [tag])


async def test_a_stopped_jail_in_which_nothing_was_written_needs_no_new_one(host: FakeHost) -> None:
    await create(host, SPEC_HOURLY, stopped=True)
    await ticks(host)
    await ticks(host)
    assert len(await taken(host)) == 1
    asked = len(host.zfs.calls)
    await host.core.schedule.tick()  # it is not asked about again in that hour
    assert len(host.zfs.calls) == asked
    (host.core.inventory.jails["web"].folder / "db/new").write_text("written by hand")
    await ticks(host)
    assert len(await taken(host)) == 2
    host.zfs.can = dataclasses.replace(host.zfs.can, written=False)  # zfs-fuse cannot tell
    await ticks(host)
    await ticks(host)
    assert status(host).taken == int(host.clock.now())


async def test_snapshots_of_others_and_what_others_hold_are_left_alone(host: FakeHost) -> None:
    await create(host, SPEC_HOURLY)
    await host.zfs.snapshot(WEB, "autosnap_1", recursive=True)
    await ticks(host)
    (first,) = await taken(host)
    await host.zfs.hold("zrepl", f"{WEB}/data@{first}")
    for _ in range(3):
        await ticks(host)
    assert first not in await taken(host)
    assert first in await taken(host, f"{WEB}/data")
    assert "autosnap_1" in [s.tag for s in await host.zfs.snapshots(WEB)]
    await host.zfs.release("zrepl", f"{WEB}/data@{first}")
    await ticks(host)
    assert first not in await taken(host, f"{WEB}/data")


async def test_what_goes_wrong_with_a_jail_that_was_deleted_meanwhile_is_nobodys(host: FakeHost) -> None:
    await create(host, SPEC_HOURLY)
    entry = host.core.inventory.jails["web"]
    host.zfs.refuse["snapshots"] = FailedPreconditionError("DATASET_BUSY", "busy", hint="wait")
    del host.core.inventory.jails["web"]
    await ticks(host)
    host.core.inventory.jails["web"] = entry
    await ticks(host)
    assert status(host).failing_since > 0
    del host.zfs.refuse["snapshots"]


async def test_a_jail_that_moves_goes_on_with_its_schedule_there_and_its_copy_takes_none(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    spec = alpha.core.inventory.jails["web"].generation.spec  # type: ignore[union-attr]
    wanted = msgspec.structs.replace(spec, snapshots=HOURLY)
    await configure(alpha, wanted)
    await ticks(alpha)
    assert len(await taken(alpha)) == 1
    assert reason_of(await ended(alpha, migrate(alpha, beta))) == ""
    await ticks(beta)
    await ticks(alpha)
    assert (len(await taken(alpha)), len(await taken(beta))) == (1, 1)
    assert alpha.core.use_cases.jails.get("web").snapshots is None
    await alpha.stop()
    await beta.stop()
