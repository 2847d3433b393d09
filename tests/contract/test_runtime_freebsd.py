"""The FreeBSD runtime keeps the contract on a real FreeBSD host, as root; elsewhere it is told (`..._freebsd_told`).

The base is the host's own userland, its folders mounted read-only over one with an /etc of its own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.freebsd import facts as freebsd_facts
from jaild.adapters.freebsd import kernel_calls, kernel_commands
from jaild.adapters.freebsd import mounts as freebsd_mounts
from jaild.adapters.freebsd.jailconf import META
from jaild.adapters.freebsd.kqueue import KqueueEvents
from jaild.adapters.freebsd.libc import libc
from jaild.adapters.freebsd.records import Record
from jaild.adapters.freebsd.runtime import FreebsdRuntime
from jaild.adapters.oci.network import HostNetwork, mac
from jaild.adapters.runtime.records import Records
from jaild.adapters.system.process import ProcessRunner
from jaild.assembly import freebsd_system
from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.mounts import Mount, MountKind
from jaild.model.jails.spec import Mode, Network
from jaild.ports.runtime import Run, RunSpec
from tests.contract.runtime_contract import Rig, RuntimeContract, only, output_of, run_spec
from tests.contract.terminal_contract import TerminalContract

pytestmark = pytest.mark.real("FreeBSD", "jail", "ifconfig", "mount", "daemon")

PROCESSES = ProcessRunner()
COMMANDS = kernel_commands.system(PROCESSES)
USERLAND = ("bin", "lib", "libexec", "sbin", "usr/bin", "usr/lib", "usr/libexec", "usr/sbin", "usr/share")


class RealRig(Rig):
    def __init__(self, folder: Path, *, calls: bool) -> None:
        self.folder = folder
        self.system = freebsd_system(PROCESSES, calls=calls)
        self.base = folder / "base"
        self.data = folder / "data"
        self.log = folder / "console.log"
        self.network = HostNetwork(bridge=f"jlt{secrets.token_hex(3)}")
        self._runtime = self.restarted()

    @property
    def runtime(self) -> FreebsdRuntime:
        return self._runtime

    def restarted(self) -> FreebsdRuntime:
        return FreebsdRuntime(
            PROCESSES, self.folder / "run", network=self.network, events=KqueueEvents(), system=self.system
        )

    def spec(self, generation: int = 1) -> RunSpec:
        layer = MountKind.LAYER
        mounts = (
            Mount(kind=layer, source=str(self.base), target="/", readonly=True),
            *(Mount(kind=layer, source=f"/{name}", target=f"/{name}", readonly=True) for name in USERLAND),
            Mount(kind=MountKind.TMPFS, target="/tmp", size=16 << 20),
            Mount(kind=layer, source=str(self.data), target="/var"),
        )
        return run_spec(generation, mounts=mounts, log=self.log)

    def expect(self, run: RunSpec, command: tuple[str, ...], output: tuple[int, bytes, bytes]) -> None:
        """Nothing to say: it runs the command."""

    async def crash(self, run: Run) -> None:
        record = Records((self.folder / "run").resolve() / "runs", Record).read(f"{run.jail}.{run.generation}")
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)

    def build(self) -> None:
        for name in (*USERLAND, "dev", "etc", "root", "tmp", "var"):
            (self.base / name).mkdir(parents=True)
        (self.base / "etc/passwd").write_text("root:*:0:0::/root:/bin/sh\nwww:*:80:80::/tmp:/usr/sbin/nologin\n")
        (self.base / "etc/group").write_text("wheel:*:0:root\nwww:*:80:\nlogs:*:82:www\n")
        self.data.mkdir()
        (self.data / "precious").write_text("do not lose\n")

    async def clear(self) -> None:
        for run in await self.runtime.runs():
            await self.runtime.stop(run.jail, run.generation)
            await self.runtime.remove(run.jail, run.generation)

    async def clear_host(self) -> None:
        """Take away what is left even if the runtime could not."""
        run = (self.folder / "run").resolve()
        for jail in await COMMANDS.kernel.jails():
            if Path(jail.path).is_relative_to(run) and not jail.dying:
                await PROCESSES.run(("jail", "-R", str(jail.jid)), check=False)
        for target in freebsd_mounts.below(run, await COMMANDS.mounting.table()):
            await PROCESSES.run(("umount", "-f", str(target)), check=False)
        await PROCESSES.run(("ifconfig", self.network.bridge, "destroy"), check=False)


@pytest.fixture(params=[False, True], ids=["commands", "calls"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RealRig]:
    rig = RealRig(tmp_path, calls=request.param)
    rig.build()
    try:
        await rig.runtime.prepare_host()
        yield rig
        await rig.clear()
        left = freebsd_mounts.below((tmp_path / "run").resolve(), await COMMANDS.mounting.table())
        assert left == []
        assert (rig.data / "precious").read_text() == "do not lose\n"
    finally:
        await rig.clear_host()


@pytest.fixture
def data(rig: RealRig) -> Path:
    return rig.data


class TestFreebsdRuntime(RuntimeContract, TerminalContract):
    """The fixtures of this module."""

    # The end of a session's leader revokes its terminal and what nobody has read yet: 15.1, also without jaild.
    keeps_all_in_the_background = False


async def started(rig: RealRig, spec: RunSpec) -> FreebsdRuntime:
    await rig.runtime.create(spec)
    await rig.runtime.start(spec.jail, spec.generation)
    return rig.runtime


async def test_facts_are_this_hosts(rig: RealRig) -> None:
    facts = await rig.runtime.facts()
    assert facts.kernel == os.uname().release
    assert facts.osreldate >= 1300000
    assert facts.memory > 1 << 27


async def test_the_root_is_read_only_and_the_data_is_not(rig: RealRig) -> None:
    runtime = await started(rig, rig.spec())
    for sealed in ("/new", "/usr/bin/new", "/etc/new"):
        status, _, stderr = await output_of(runtime, rig.spec(), "sh", "-c", f"echo x > {sealed}")
        assert status != 0, sealed
        assert b"Read-only file system" in stderr, sealed
    assert (await output_of(runtime, rig.spec(), "sh", "-c", "echo 1 > /var/new && echo 1 > /tmp/new"))[0] == 0
    assert (rig.data / "new").read_text() == "1\n"


async def test_a_volume_in_the_data_is_mounted_at_each_start_and_goes_with_its_run(rig: RealRig) -> None:
    (rig.data / "db/volume").mkdir(parents=True)
    (rig.folder / "volume").mkdir()
    (rig.folder / "volume/inside").write_text("yes\n")
    volume = Mount(kind=MountKind.LAYER, source=str(rig.folder / "volume"), target="/var/db/volume")
    spec = replace(rig.spec(), mounts=(*rig.spec().mounts, volume))
    await rig.runtime.create(spec)
    place = (rig.folder / "run").resolve() / "trees/web/1/var/db/volume"
    assert place not in [mount.target for mount in await COMMANDS.mounting.table()]
    for _ in range(2):
        await rig.runtime.start("web", 1)
        assert (await output_of(rig.runtime, spec, "cat", "/var/db/volume/inside"))[1] == b"yes\n"
        assert [m.target for m in await COMMANDS.mounting.table()].count(place) == 1
        await rig.runtime.stop("web", 1)


async def test_the_system_calls_tell_the_same_as_the_commands(rig: RealRig) -> None:
    await started(rig, replace(rig.spec(), command=("sleep", "1000")))
    found = libc()
    assert found is not None
    calls = kernel_calls.system(found)
    assert await calls.mounting.table() == await COMMANDS.mounting.table()
    assert await calls.kernel.jails() == await COMMANDS.kernel.jails() != []
    assert await calls.kernel.interfaces() == await COMMANDS.kernel.interfaces()
    (jid,) = (jail.jid for jail in await calls.kernel.jails() if jail.name == "web_1")
    assert await calls.kernel.processes(jid) == await COMMANDS.kernel.processes(jid) != {}
    assert set(await calls.kernel.all_processes()) == set(await COMMANDS.kernel.all_processes())
    names = (
        *freebsd_facts.NAMES,
        *freebsd_facts.FREE_NAMES[:1],
        "kern.racct.enable",
        "net.inet.ip.forwarding",
        "no.such",
    )
    assert await calls.kernel.values(*names) == await COMMANDS.kernel.values(*names)


async def test_a_jail_is_removed_with_all_that_runs_in_it_and_a_missing_one_is_an_error(rig: RealRig) -> None:
    run = await started(rig, rig.spec())
    jid = (await only(run)).pid
    await rig.system.kernel.remove_jail(jid)
    assert await rig.system.kernel.processes(jid) == {}
    with pytest.raises(FailedPreconditionError) as missing:
        await rig.system.kernel.remove_jail(999999)
    assert missing.value.reason == "RUN_NOT_RUNNING"


async def test_the_userlands_version_is_the_specs(rig: RealRig) -> None:
    spec = replace(rig.spec(), osrelease="13.0-RELEASE", osreldate=1300139)
    runtime = await started(rig, spec)
    assert (await output_of(runtime, spec, "uname", "-rK"))[1] == b"13.0-RELEASE 1300139\n"


async def test_a_command_runs_as_the_user_and_groups_of_the_jails_own_passwd(rig: RealRig) -> None:
    spec = replace(rig.spec(), user="www")
    runtime = await started(rig, spec)
    assert (await output_of(runtime, spec, "id", "-u"))[1] == b"80\n"
    assert set((await output_of(runtime, spec, "id", "-G"))[1].split()) == {b"80", b"82"}


async def test_a_command_has_the_specs_environment_and_nothing_of_the_daemons(rig: RealRig) -> None:
    runtime = await started(rig, rig.spec())
    names = {line.partition(b"=")[0] for line in (await output_of(runtime, rig.spec(), "env"))[1].splitlines()}
    assert names == {b"PATH", b"HOME", b"COLOUR"}


async def logged(rig: RealRig, lines: int) -> None:
    async with asyncio.timeout(30):
        while not rig.log.exists() or rig.log.read_text().count("\n") < lines:  # noqa: ASYNC110 - somebody else's file
            await asyncio.sleep(0.01)


async def test_a_commands_output_is_in_the_log(rig: RealRig) -> None:
    await started(rig, replace(rig.spec(), command=("sh", "-c", "echo out; echo err >&2; sleep 1000")))
    await logged(rig, 2)
    assert sorted(rig.log.read_text().split()) == ["err", "out"]


async def test_a_process_that_ignores_its_stop_signal_is_killed_after_the_timeout(rig: RealRig) -> None:
    deaf = ("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done")
    runtime = await started(rig, replace(rig.spec(), command=deaf, stop_timeout=0.3))
    await logged(rig, 1)
    assert await runtime.stop("web", 1) >= 0.3
    assert (await only(runtime)).exit_status == -9


async def test_a_program_that_is_not_there_is_no_start(rig: RealRig) -> None:
    with pytest.raises(InternalError):
        await started(rig, replace(rig.spec(), command=("/nonexistent",)))
    assert not (await only(rig.runtime)).running


async def test_a_vnet_jail_has_its_address_and_its_mac_and_starts_again_with_them(rig: RealRig) -> None:
    spec = replace(rig.spec(), network=Network(mode=Mode.VNET, addresses=("198.18.7.5/28", "2001:db8:7::5/64")))
    runtime = await started(rig, spec)
    for _ in range(2):
        shown = (await output_of(runtime, spec, "ifconfig"))[1].decode()
        assert "inet 198.18.7.5 " in shown
        assert "inet6 2001:db8:7::5 " in shown
        assert mac(spec.uid) in shown
        await runtime.stop("web", 1)
        await runtime.start("web", 1)


async def test_what_goes_over_a_network_of_its_own_is_counted(rig: RealRig) -> None:
    """Its own announcements at least: netstat(1)'s JSON is read as this FreeBSD writes it."""
    spec = replace(rig.spec(), network=Network(mode=Mode.VNET, addresses=("198.18.7.5/28", "2001:db8:7::5/64")))
    runtime = await started(rig, spec)
    await runtime.announce("web", 1)
    assert (await runtime.traffic(await runtime.runs()))["web"].sent > 0


async def test_addresses_are_announced_in_the_jails_own_network(rig: RealRig) -> None:
    spec = replace(rig.spec(), network=Network(mode=Mode.VNET, addresses=("198.18.7.5/28", "2001:db8:7::5/64")))
    runtime = await started(rig, spec)
    await runtime.announce("web", 1)


async def test_what_is_allowed_is_what_the_kernel_has_for_the_jail(rig: RealRig) -> None:
    spec = replace(rig.spec(), allow=("raw_sockets", "sysvipc"))
    run = await started(rig, spec)
    jid = (await only(run)).pid
    said = (await PROCESSES.run(("jls", "-j", str(jid), "-n"))).text.split()
    assert {"allow.raw_sockets", "sysvshm=new", "allow.nomlock"} <= set(said)


async def test_a_kernel_that_keeps_it_is_told_whose_a_jail_is(rig: RealRig) -> None:
    keeps = bool(await COMMANDS.kernel.values(META))  # from 15 on
    await started(rig, rig.spec())
    said = await PROCESSES.run(("jls", "-j", "web_1", "meta.jaild"), check=False)
    assert (said.text.strip(), said.status) == (f"web.1 {rig.spec().uid}", 0) if keeps else said.status != 0
