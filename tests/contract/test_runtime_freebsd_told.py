"""The FreeBSD runtime keeps the contract on a host that is told; `test_runtime_freebsd` asks a real one."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.freebsd import mounts as freebsd_mounts
from jaild.adapters.freebsd.runtime import FreebsdRuntime
from jaild.adapters.oci.network import HostNetwork
from jaild.model.errors import FailedPreconditionError, InternalError, InvalidArgumentError
from jaild.model.jails.mounts import Mount, MountKind
from jaild.model.jails.spec import Limits, Mode, Network
from jaild.ports.runtime import RunSpec
from tests.contract.freebsd_rig import ToldRig
from tests.contract.runtime_contract import RuntimeContract, only
from tests.fakes.freebsd_host import FakeJail
from tests.fakes.processes import Said


@pytest.fixture(params=[False, True], ids=["commands", "calls"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ToldRig]:
    rig = ToldRig(tmp_path, calls=request.param)
    yield rig
    rig.host.kernel.close()


class TestFreebsdRuntime(RuntimeContract):
    """The fixture `rig` of this module."""


OWN = Network(mode=Mode.VNET, addresses=("10.0.0.5/24",), gateway="10.0.0.1")
LIMITS = Limits(memory="1G", processes=50)
BOOT = ("/bin/sh", "/etc/rc")


def left(rig: ToldRig) -> dict[str, object]:
    """What a run could leave on the host."""
    found: dict[str, object] = {
        "mounts": rig.host.table.mounts,
        "jails": rig.host.jails,
        "rules": rig.host.rules,
        "processes": rig.host.running,
        "interfaces": [name for name in rig.host.interfaces if name.startswith(("jl", "epair"))],
        "anchors": rig.host.anchors,
        "members": [line for i in rig.host.interfaces.values() for line in i.lines if "jl" in line],
        "folders": [p.name for folder in ("trees", "runs") for p in rig.run_folder.glob(f"{folder}/*")],
    }
    return {name: rest for name, rest in found.items() if rest}


async def started(rig: ToldRig, spec: RunSpec) -> FreebsdRuntime:
    await rig.runtime.create(spec)
    await rig.runtime.start(spec.jail, spec.generation)
    return rig.runtime


async def test_a_removed_run_leaves_nothing_on_the_host(rig: ToldRig) -> None:
    runtime = await started(rig, replace(rig.spec(), network=OWN, limits=LIMITS))
    assert set(left(rig)) == {"mounts", "jails", "rules", "processes", "interfaces", "members", "folders"}
    await runtime.stop("web", 1)
    assert set(left(rig)) == {"mounts", "interfaces", "folders"}
    await runtime.remove("web", 1)
    assert left(rig) == {}


@pytest.mark.parametrize(
    "broken", ["mount -t nullfs", "mount -t tmpfs", "mount -t devfs", "ifconfig epair create", "ifconfig epair0b ether"]
)
async def test_a_create_that_fails_leaves_nothing_on_the_host(rig: ToldRig, broken: str) -> None:
    rig.host.refuse[broken] = Said(stderr="it: does not work\n", status=1)
    rig.host.table.refused.add(broken.removeprefix("mount -t "))
    with pytest.raises(InternalError):
        await rig.runtime.create(replace(rig.spec(), network=OWN))
    assert left(rig) == {}


@pytest.mark.parametrize("broken", ["ifconfig jaild0 addm", "rctl -a", "jail -f", "daemon"])
async def test_a_start_that_fails_leaves_the_run_as_it_was_created(rig: ToldRig, broken: str) -> None:
    spec = replace(rig.spec(), network=OWN, limits=LIMITS)
    await rig.runtime.create(spec)
    before = {name: list(rest) if isinstance(rest, list) else rest for name, rest in left(rig).items()}
    rig.host.refuse[broken] = Said(stderr="it: does not work\n", status=1)
    with pytest.raises(InternalError):
        await rig.runtime.start("web", 1)
    assert left(rig) == before
    assert not (await only(rig.runtime)).running
    rig.host.refuse.clear()
    await rig.runtime.start("web", 1)
    assert (await only(rig.runtime)).running


async def test_a_command_that_cannot_be_executed_is_no_start(rig: ToldRig) -> None:
    rig.host.broken = {"/nonexistent"}
    with pytest.raises(InternalError) as failed:
        await started(rig, replace(rig.spec(), command=("/nonexistent",)))
    assert failed.value.reason == "COMMAND_FAILED"
    assert rig.host.jails == {}


async def test_an_unknown_user_is_refused_before_anything_stops_for_it(rig: ToldRig) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), user="nobody-knows"))
    assert refused.value.reason == "USER_MISSING"
    assert left(rig) == {}


async def test_without_rules_for_devices_no_jail_is_made(rig: ToldRig) -> None:
    rig.host.rulesets.clear()
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(rig.spec())
    assert refused.value.reason == "DEVFS_RULESET_MISSING"
    assert left(rig) == {}


async def test_a_symlink_in_the_tree_is_not_mounted_on(rig: ToldRig, tmp_path: Path) -> None:
    (rig.base / "srv").symlink_to(tmp_path)
    mounts = (*rig.layers(), Mount(kind=MountKind.LAYER, source=str(rig.data), target="/srv"))
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), mounts=mounts))
    assert refused.value.reason == "MOUNT_TARGET_SYMLINK"
    assert left(rig) == {}


def with_volume(rig: ToldRig, generation: int = 1) -> RunSpec:
    """A run with a volume below what the jail can write to."""
    (rig.data / "db/volume").mkdir(exist_ok=True)
    (rig.folder / "volume").mkdir(exist_ok=True)
    volume = Mount(kind=MountKind.LAYER, source=str(rig.folder / "volume"), target="/var/db/volume")
    return replace(rig.spec(generation), mounts=(*rig.layers(), volume))


def mounted(rig: ToldRig, generation: int) -> list[str]:
    tree = rig.run_folder.resolve() / f"trees/web/{generation}"
    return [m.target.removeprefix(str(tree)) for m in rig.host.table.mounts if tree in Path(m.target).parents]


async def test_nothing_is_mounted_below_what_a_jail_can_write_to_while_it_runs(rig: ToldRig) -> None:
    runtime = await started(rig, with_volume(rig))
    await runtime.create(with_volume(rig, 2))
    assert mounted(rig, 2) == ["/tmp", "/var", "/dev"]
    with pytest.raises(FailedPreconditionError) as refused:
        await runtime.start("web", 2)
    assert refused.value.reason == "RUN_RUNNING"
    assert mounted(rig, 2) == ["/tmp", "/var", "/dev"]
    await runtime.stop("web", 1)
    await runtime.start("web", 2)
    assert mounted(rig, 2) == ["/tmp", "/var", "/dev", "/var/db/volume"]


async def test_a_jail_without_a_record_that_still_runs_keeps_the_rest_of_a_tree_from_being_mounted(
    rig: ToldRig,
) -> None:
    await rig.runtime.create(with_volume(rig))
    rig.host.jails[5] = FakeJail(5, "web_9", str(rig.run_folder.resolve() / "trees/web/9"), {})
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.start("web", 1)
    assert (refused.value.reason, refused.value.resource) == ("RUN_RUNNING", "web_9")
    assert mounted(rig, 1) == ["/tmp", "/var", "/dev"]


async def test_what_lies_below_what_a_jail_can_write_to_is_mounted_anew_at_each_start(rig: ToldRig) -> None:
    runtime = await started(rig, with_volume(rig))
    (first,) = (fsid for fsid, place in rig.host.table.places.items() if place.endswith("/volume"))
    await runtime.stop("web", 1)
    await runtime.start("web", 1)
    assert (first, False) in rig.host.table.taken
    assert mounted(rig, 1) == ["/tmp", "/var", "/dev", "/var/db/volume"]


async def test_a_link_that_the_jail_left_on_the_way_to_a_volume_is_refused_when_nothing_runs(
    rig: ToldRig, tmp_path: Path
) -> None:
    await rig.runtime.create(with_volume(rig))
    place = rig.run_folder / "trees/web/1/var/db"
    place.rename(place.with_name("moved"))
    place.symlink_to(tmp_path)
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.start("web", 1)
    assert refused.value.reason == "MOUNT_TARGET_SYMLINK"
    assert mounted(rig, 1) == ["/tmp", "/var", "/dev"]
    assert rig.host.jails == {}


@pytest.mark.parametrize("missing", ["data/db/volume", "volume"])
async def test_what_cannot_be_mounted_at_the_start_is_refused_while_the_last_generation_serves(
    rig: ToldRig, missing: str
) -> None:
    spec = with_volume(rig)
    (rig.folder / missing).rmdir()
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(spec)
    assert refused.value.reason == ("MOUNT_TARGET_MISSING" if missing.startswith("data") else "MOUNT_SOURCE_MISSING")
    assert left(rig) == {}


async def test_a_mount_that_went_astray_is_taken_away_by_its_fsid_and_told(rig: ToldRig, tmp_path: Path) -> None:
    runtime, spec = rig.runtime, with_volume(rig)
    await runtime.create(spec)
    (tmp_path / "victim").mkdir()
    place = rig.run_folder.resolve() / "trees/web/1/var/db/volume"
    rig.host.table.astray = {str(place): str(tmp_path / "victim")}
    with pytest.raises(FailedPreconditionError) as refused:
        await runtime.start("web", 1)
    assert refused.value.reason == "MOUNT_MISPLACED"
    assert refused.value.detail == {"missing": str(place), "more": str(tmp_path / "victim")}
    assert mounted(rig, 1) == ["/tmp", "/var", "/dev"]
    assert not [mount for mount in rig.host.table.mounts if "victim" in mount.target]


async def test_what_is_unmounted_is_named_by_its_fsid_and_never_by_a_path(rig: ToldRig) -> None:
    runtime = await started(rig, with_volume(rig))
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    assert {fsid for fsid, _ in rig.host.table.taken} == set(rig.host.table.places)


async def test_a_process_that_ignores_its_stop_signal_is_killed_after_the_timeout(rig: ToldRig) -> None:
    rig.host.deaf = {"sh"}
    runtime = await started(rig, replace(rig.spec(), stop_timeout=0.05))
    assert 0.05 <= await runtime.stop("web", 1) < 5
    assert (await only(runtime)).exit_status == -9


async def test_what_the_command_left_running_ends_with_it(rig: ToldRig) -> None:
    runtime = await started(rig, rig.spec())
    run = await only(runtime)
    (first,) = rig.host.pids(run.pid)
    rig.host.spawn(run.pid, "left-behind")
    waiting = asyncio.create_task(runtime.wait("web", 1))
    rig.host.exit(first, 3 << 8)
    assert (await asyncio.wait_for(waiting, 5)).exit_status == 3
    assert rig.host.jails == {}
    assert rig.host.running == {}


async def test_a_jail_that_boots_runs_while_anything_runs_in_it(rig: ToldRig) -> None:
    runtime = await started(rig, replace(rig.spec(), command=BOOT))
    run = await only(runtime)
    waiting = asyncio.create_task(runtime.wait("web", 1))
    syslogd, cron = rig.host.pids(run.pid)
    rig.host.exit(syslogd, 0)
    late = rig.host.spawn(run.pid, "started-by-cron")
    rig.host.exit(cron, 0)
    await asyncio.sleep(0)
    assert (await only(runtime)).running
    assert not waiting.done()
    rig.host.exit(late, 0)
    assert not (await asyncio.wait_for(waiting, 5)).running


async def test_a_jail_whose_shutdown_hangs_is_removed_after_its_timeout(rig: ToldRig) -> None:
    runtime = await started(rig, replace(rig.spec(), command=BOOT, stop_timeout=0.05))
    rig.host.hang = {"jail -f"}
    await runtime.stop("web", 1)
    assert rig.host.jails == {}
    assert rig.host.running == {}


async def test_limits_are_lifted_before_a_booted_jail_shuts_down(rig: ToldRig) -> None:
    runtime = await started(rig, replace(rig.spec(), command=BOOT, limits=LIMITS))
    rig.host.processes.calls.clear()
    await runtime.stop("web", 1)
    programs = [call.argv[:2] for call in rig.host.processes.calls]
    assert programs.index(("rctl", "-r")) < programs.index(("jail", "-f"))


async def test_a_jail_that_somebody_else_started_again_is_not_cleaned_up_after(rig: ToldRig) -> None:
    runtime = await started(rig, replace(rig.spec(), network=OWN))
    (jail,) = rig.host.jails.values()
    rig.host.remove(jail.jid)
    rig.host.jails[77] = replace(jail, jid=77)
    for change in (runtime.stop, runtime.remove):
        with pytest.raises(FailedPreconditionError) as refused:
            await change("web", 1)
        assert refused.value.reason == "RUN_CHANGED"
    assert list(rig.host.jails) == [77]
    assert "mounts" in left(rig)
    assert "members" in left(rig)


async def test_a_jail_of_somebody_elses_tree_is_no_concern_of_ours_though_it_has_the_name(rig: ToldRig) -> None:
    rig.host.jails[5] = FakeJail(5, "web_1", "/somewhere/else", {})
    runtime = await started(rig, rig.spec())
    assert {jail.name for jail in rig.host.jails.values()} == {"web_1", "web_1_2"}
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    assert list(rig.host.jails) == [5]


async def test_a_jail_of_a_start_that_the_daemon_did_not_survive_is_removed_with_its_run(rig: ToldRig) -> None:
    await rig.runtime.create(replace(rig.spec(), network=OWN))
    tree = str(rig.run_folder.resolve() / "trees/web/1")
    rig.host.jails[5] = FakeJail(5, "web_1", tree, {})
    adopted = rig.restarted()
    assert not (await only(adopted)).running
    await adopted.remove("web", 1)
    assert left(rig) == {}


@pytest.mark.parametrize("network", [Network(), OWN, Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",))])
async def test_a_jail_that_is_dying_keeps_nobody_from_starting_the_same_generation_again(
    rig: ToldRig, network: Network
) -> None:
    rig.host.linger = True
    runtime = await started(rig, replace(rig.spec(), network=network, limits=LIMITS))
    for times in (1, 2):
        await runtime.stop("web", 1)
        assert not (await only(runtime)).running
        await runtime.start("web", 1)
        run = await only(runtime)
        assert run.running
        assert {rule.split(":")[1] for rule in rig.host.rules} == {rig.host.jails[run.pid].name}
        assert [jail.dying for jail in rig.host.jails.values()] == [True] * times + [False]
    assert {jail.name for jail in rig.host.jails.values()} == {"web_1", "web_1_2", "web_1_3"}


async def test_the_tree_of_a_jail_that_is_dying_is_taken_away_and_can_be_made_again(rig: ToldRig) -> None:
    rig.host.linger = True
    runtime = await started(rig, replace(rig.spec(), network=OWN))
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    assert set(left(rig)) == {"jails"}
    assert await runtime.runs() == []
    await started(rig, replace(rig.spec(), network=OWN))
    assert (await only(runtime)).running


async def test_only_the_root_of_a_jail_that_is_dying_is_unmounted_by_force(rig: ToldRig) -> None:
    rig.host.linger = True
    runtime = await started(rig, rig.spec())
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    root = str(rig.run_folder.resolve() / "trees/web/1")
    assert [rig.host.table.places[fsid] for fsid, force in rig.host.table.taken if force] == [root]
    assert rig.host.table.taken[-1][1]


async def test_a_busy_mount_keeps_the_root_of_a_dying_jail_where_it_is(rig: ToldRig) -> None:
    await rig.runtime.create(rig.spec())
    tree = rig.run_folder.resolve() / "trees/web/1"
    rig.host.table.busy = {f"{tree}/var"}
    with pytest.raises(FailedPreconditionError) as refused:
        await freebsd_mounts.unmount_tree(rig.system().mounting, tree, dying=True, patience=0.0)
    assert refused.value.reason == "TREE_BUSY"
    assert (tree / "var/db/pkg").is_dir()


async def test_what_is_busy_is_named_and_nothing_is_deleted(rig: ToldRig) -> None:
    await rig.runtime.create(rig.spec())
    tree = rig.run_folder.resolve() / "trees/web/1"
    rig.host.table.busy = {f"{tree}/var"}
    with pytest.raises(FailedPreconditionError) as refused:
        await freebsd_mounts.unmount_tree(rig.system().mounting, tree, patience=0.0)
    assert refused.value.reason == "TREE_BUSY"
    assert f"{tree}/var" in refused.value.message
    assert f"unmount of {tree}" in refused.value.detail["stderr"]
    assert " busy" in refused.value.detail["stderr"]
    assert (tree / "var/db/pkg").is_dir()


async def test_files_in_a_tree_that_is_not_mounted_are_not_deleted(rig: ToldRig) -> None:
    precious = rig.run_folder / "trees/web/1/precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("do not lose\n")
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.remove("web", 1)
    assert refused.value.reason == "TREE_BUSY"
    assert precious.read_text() == "do not lose\n"


async def test_a_mounted_tree_without_a_record_is_found_and_can_be_removed(rig: ToldRig) -> None:
    await rig.runtime.create(rig.spec())
    shutil.rmtree(rig.run_folder / "runs")
    run = await only(rig.runtime)
    assert (run.jail, run.generation, run.running) == ("web", 1, False)
    await rig.runtime.remove("web", 1)
    assert left(rig) == {}


async def test_a_new_daemon_learns_how_a_run_ended(rig: ToldRig) -> None:
    await started(rig, rig.spec())
    adopted = rig.restarted()
    run = await only(adopted)
    waiting = asyncio.create_task(adopted.wait("web", 1))
    await asyncio.sleep(0)
    (pid,) = rig.host.pids(run.pid)
    rig.host.exit(pid, 7 << 8)
    assert (await asyncio.wait_for(waiting, 5)).exit_status == 7


async def test_a_run_folder_with_a_blank_in_its_name_is_refused(tmp_path: Path) -> None:
    rig = ToldRig(tmp_path / "my host")
    with pytest.raises(InvalidArgumentError):
        await rig.runtime.prepare_host()


async def test_the_bridge_that_a_daemon_made_goes_with_it_unless_something_is_on_it(tmp_path: Path) -> None:
    rig = ToldRig(tmp_path, HostNetwork(bridge="jaild0"))
    assert await rig.runtime.withdraw_host() == []
    assert "jaild0" in rig.host.interfaces  # it was there before the daemon
    del rig.host.interfaces["jaild0"]
    await rig.runtime.prepare_host()
    await started(rig, replace(rig.spec(), network=OWN))
    (told,) = await rig.runtime.withdraw_host()
    assert told.startswith("the bridge jaild0 stays: jl")
    await rig.runtime.stop("web", 1)
    await rig.runtime.remove("web", 1)
    assert await rig.runtime.withdraw_host() == await rig.runtime.withdraw_host() == []
    assert "jaild0" not in rig.host.interfaces


async def test_a_new_daemon_adopts_many_runs_with_as_many_programs_as_few(rig: ToldRig) -> None:
    counts = []
    for number in range(8):
        command = rig.spec().command if number % 2 else BOOT
        await started(rig, replace(rig.spec(), jail=f"j{number}", uid=f"{number:032x}", command=command))
        if number in {3, 7}:
            counts.append(await programs_of_an_adoption(rig, number + 1))
    assert counts[0] == counts[1]
    assert (counts[0]["ps"], counts[0]["jls"]) == ((0, 0) if rig.calls else (1, 1))


async def programs_of_an_adoption(rig: ToldRig, count: int) -> Counter[str]:
    """Let a new daemon find all runs and watch each; return the programs that it asked."""
    runtime, calls = rig.restarted(), rig.host.processes.calls
    before = len(calls)
    runs = await runtime.runs()
    assert [run.running for run in runs] == [True] * count
    waits = [asyncio.create_task(runtime.wait(run.jail, run.generation)) for run in runs]
    for _ in range(20):
        await asyncio.sleep(0)
    asked = Counter(call.argv[0] for call in calls[before:])
    for wait in waits:
        assert not wait.done()
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return asked


async def test_runs_that_a_new_daemon_adopted_are_seen_to_end(rig: ToldRig) -> None:
    for number, command in enumerate((rig.spec().command, BOOT, BOOT)):
        await started(rig, replace(rig.spec(), jail=f"j{number}", uid=f"{number:032x}", command=command))
    runtime = rig.restarted()
    first, booted, other = await runtime.runs()
    waits = {run.jail: asyncio.create_task(runtime.wait(run.jail, run.generation)) for run in (first, booted, other)}
    await asyncio.sleep(0)
    for pid in (*rig.host.pids(first.pid), *rig.host.pids(booted.pid)):
        rig.host.exit(pid, 3 << 8)
    assert (await asyncio.wait_for(waits["j0"], 5)).exit_status == 3
    assert not (await asyncio.wait_for(waits["j1"], 5)).running
    assert not waits["j2"].done()
    waits["j2"].cancel()
    await asyncio.gather(waits["j2"], return_exceptions=True)


async def test_networks_of_all_runs_are_looked_at_by_one_program(rig: ToldRig) -> None:
    runtime = await started(rig, replace(rig.spec(), network=OWN))
    await runtime.create(replace(rig.spec(), jail="db", uid="0198c0de-0000-7000-8000-00000000beef", hostname="db"))
    await runtime.start("db", 1)
    rig.host.processes.calls.clear()
    found = await runtime.traffic(await runtime.runs())
    assert {name: (each.received, each.sent) for name, each in found.items()} == {"web": (200, 100)}
    assert [call.argv[0] for call in rig.host.processes.calls].count("netstat") == 1
