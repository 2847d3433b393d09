"""The OCI runtime keeps the contract with real containers, and what only a real host can show."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.process import ProcessRunner
from jaild.adapters.runtime import mounts, oci_cgroup, oci_network
from jaild.adapters.runtime.oci import OciRuntime
from jaild.adapters.runtime.oci_network import HostNetwork
from jaild.domain.errors import FailedPreconditionError, JaildError, ResourceExhaustedError
from jaild.domain.spec import Limits, Network
from jaild.domain.tree import Mount, MountKind
from jaild.ports.runtime import Run, RunSpec, Runtime
from tests.contract.runtime_contract import SERVE, Rig, RuntimeContract, only, output_of, run_spec

pytestmark = pytest.mark.real

PROCESSES = ProcessRunner()
_FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp", "usr/local", "var", "srv")


class OciRig(Rig):
    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(3)
        self.folder = folder
        self.run_folder = folder / "run"
        self.base = folder / "base"
        self.release = folder / "release"
        self.data = folder / "data"
        self.log = folder / "console.log"
        # A /28 of its own in 198.18.0.0/15 (RFC 2544), so that tests side by side do not meet.
        network = ipaddress.ip_network((int(ipaddress.ip_address("198.18.0.0")) + secrets.randbelow(8192) * 16, 28))
        self.host, self.inside, self.other, *_ = (f"{address}/28" for address in network.hosts())
        self.network = HostNetwork(bridge=f"jlt{self.token}", address=self.host)
        self._runtime = self.restarted()

    @property
    def runtime(self) -> OciRuntime:
        return self._runtime

    def restarted(self) -> OciRuntime:
        return OciRuntime(PROCESSES, self.run_folder, network=self.network, cgroup_parent=f"jaild-test-{self.token}")

    def layers(self) -> tuple[Mount, ...]:
        layer = MountKind.LAYER
        return (
            Mount(kind=layer, source=str(self.base), target="/", readonly=True),
            Mount(kind=layer, source=str(self.data), target="/var"),
            Mount(kind=MountKind.TMPFS, target="/tmp", size=1 << 20),
            Mount(kind=layer, source=str(self.release), target="/usr/local", readonly=True),
        )

    def spec(self, generation: int = 1) -> RunSpec:
        return run_spec(generation, mounts=self.layers(), log=self.log)

    def expect(self, run: RunSpec, command: tuple[str, ...], output: tuple[int, bytes, bytes]) -> None:
        """Nothing to say: it runs the command."""

    async def crash(self, run: Run) -> None:
        os.kill(run.pid, signal.SIGKILL)

    def build(self) -> None:
        for name in _FOLDERS:
            (self.base / name).mkdir(parents=True)
        shutil.copy2("/bin/busybox", self.base / "bin")
        for applet in ("sh", "cat", "sleep", "id", "env", "touch", "httpd", "ip", "mount", "rm", "pidof"):
            (self.base / "bin" / applet).symlink_to("busybox")
        (self.base / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nwww:x:80:81::/srv:/bin/sh\n")
        (self.base / "etc/group").write_text("root:x:0:\nwww:x:81:\nlogs:x:82:www\n")
        self.release.mkdir()
        (self.release / "version").write_text("1.0\n")
        self.data.mkdir()
        (self.data / "precious").write_text("do not lose\n")

    async def clear(self) -> None:
        for run in await self.runtime.runs():
            await self.runtime.stop(run.jail, run.generation)
            await self.runtime.remove(run.jail, run.generation)

    def clear_host(self) -> None:
        """Take away what is left even if the runtime could not, then check that nothing is."""
        containers = self.run_folder / "containers"
        for name in hosts_of(containers):
            subprocess.run(["runc", "--root", containers, "delete", "--force", name], check=False)
        for target in mounts.below(self.run_folder.resolve(), mounts.mounted()):
            subprocess.run(["umount", "-l", target], check=False)
        subprocess.run(["ip", "link", "del", self.network.bridge], check=False, capture_output=True)
        for where in set(oci_cgroup.controllers(mounts.mounted()).values()) | set(Path("/sys/fs/cgroup").iterdir()):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                (where / f"jaild-test-{self.token}").rmdir()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OciRig]:
    rig = OciRig(tmp_path)
    rig.build()
    try:
        await rig.runtime.prepare_host()
        yield rig
        await rig.clear()
        assert mounts.below(rig.run_folder.resolve(), mounts.mounted()) == []
    finally:
        rig.clear_host()


def hosts_of(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir()) if path.is_dir() else []


def leftovers(rig: OciRig) -> dict[str, list[str]]:
    run = rig.run_folder
    found = {name: hosts_of(run / name) for name in ("trees", "runs", "containers")}
    found["netns"] = [n for n in hosts_of(oci_network.NAMESPACES) if n.startswith(oci_network.prefix(run.resolve()))]
    found["mounts"] = [str(p) for p in mounts.below(run.resolve(), mounts.mounted())]
    return {name: rest for name, rest in found.items() if rest}


async def started(rig: OciRig, spec: RunSpec) -> Runtime:
    await rig.runtime.create(spec)
    await rig.runtime.start(spec.jail, spec.generation)
    return rig.runtime


async def log_has(log: Path, text: str) -> None:
    async with asyncio.timeout(10):
        while not log.exists() or text not in log.read_text():  # noqa: ASYNC110 - a file that somebody else writes
            await asyncio.sleep(0.01)


class TestOciRuntime(RuntimeContract):
    """The fixture `rig` of this module."""


async def test_facts_name_the_runtime_and_the_kernel(rig: OciRig) -> None:
    facts = await rig.runtime.facts()
    assert facts.runtime.startswith(("runc 1.", "crun 1."))
    assert facts.kernel == os.uname().release
    assert facts.memory > 1 << 27
    assert facts.osreldate == 0


async def test_the_root_and_the_release_are_read_only_and_the_data_is_not(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    for sealed in ("/new", "/usr/local/new", "/etc/passwd", "/proc/sys/kernel/hostname"):
        status, _, stderr = await output_of(runtime, rig.spec(), "sh", "-c", f"echo x >> {sealed}")
        assert status != 0, sealed
        assert b"Read-only file system" in stderr, sealed
    assert (await output_of(runtime, rig.spec(), "sh", "-c", "echo 1 > /var/new && echo 1 > /tmp/new"))[0] == 0
    assert (rig.data / "new").read_text() == "1\n"
    assert hosts_of(rig.base) == sorted({name.split("/")[0] for name in _FOLDERS})


async def test_a_jail_cannot_remount_its_root_writable(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    assert (await output_of(runtime, rig.spec(), "mount", "-o", "remount,rw", "/"))[0] != 0


async def test_a_process_that_ignores_its_stop_signal_is_killed_after_the_timeout(rig: OciRig) -> None:
    deaf = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    runtime = await started(rig, replace(rig.spec(), command=deaf, stop_timeout=0.3))
    await log_has(rig.log, "ready")
    assert 0.3 <= await runtime.stop("web", 1) < 3
    assert (await only(runtime)).exit_status == -9


async def test_a_process_without_a_handler_is_not_waited_for(rig: OciRig) -> None:
    runtime = await started(rig, replace(rig.spec(), command=("sleep", "1000"), stop_timeout=60.0))
    assert await runtime.stop("web", 1) < 5


async def test_a_process_that_heeds_its_stop_signal_ends_by_itself(rig: OciRig) -> None:
    polite = ("sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    runtime = await started(rig, replace(rig.spec(), command=polite))
    await log_has(rig.log, "ready")
    assert await runtime.stop("web", 1) < 5
    assert (await only(runtime)).exit_status == 7
    assert rig.log.read_text() == "ready\nbye\n"


async def test_the_log_is_appended_to_by_every_start(rig: OciRig) -> None:
    rig.log.write_text("before\n")
    runtime = await started(rig, replace(rig.spec(), command=("sh", "-c", "echo out; echo err >&2")))
    await runtime.wait("web", 1)
    await runtime.start("web", 1)
    assert (await runtime.wait("web", 1)).exit_status == 0
    assert rig.log.read_text() == "before\n" + "out\nerr\n" * 2


async def test_the_command_runs_as_its_user_with_its_environment(rig: OciRig) -> None:
    command = ("sh", "-c", "id -u; id -G; echo $COLOUR $HOME")
    runtime = await started(rig, replace(rig.spec(), user="www", command=command))
    await runtime.wait("web", 1)
    assert rig.log.read_text() == "80\n81 82\nblue /srv\n"


async def test_exec_runs_as_the_user_that_is_asked_for(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    pieces = [p async for p in runtime.exec("web", 1, ("id", "-u"), user="www", environment={"A": "1"})]
    assert b"".join(p.stdout for p in pieces) == b"80\n"
    with pytest.raises(FailedPreconditionError) as refused:
        await anext(aiter(runtime.exec("web", 1, ("id",), user="nobody-here")))
    assert refused.value.reason == "USER_MISSING"


async def test_closing_an_exec_kills_its_command(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    stream = runtime.exec("web", 1, ("sh", "-c", "echo $$; exec sleep 4711"))
    first = await anext(aiter(stream))
    assert await output_of(runtime, rig.spec(), "sh", "-c", f"kill -0 {first.stdout.decode()}") == (0, b"", b"")
    await stream.aclose()  # type: ignore[attr-defined]
    status, _, _ = await output_of(runtime, rig.spec(), "sh", "-c", f"kill -0 {first.stdout.decode()}")
    assert status != 0


async def test_a_command_that_cannot_be_executed_leaves_nothing(rig: OciRig) -> None:
    with pytest.raises(JaildError):
        await rig.runtime.create(replace(rig.spec(), command=("/no/such/program",)))
    assert leftovers(rig) == {}


async def test_a_program_of_no_known_format_fails_the_start(rig: OciRig) -> None:
    (rig.base / "bin/broken").write_bytes(b"\x7fELF nonsense")
    (rig.base / "bin/broken").chmod(0o755)
    await rig.runtime.create(replace(rig.spec(), command=("/bin/broken",)))
    with pytest.raises(JaildError) as failed:
        await rig.runtime.start("web", 1)
    assert failed.value.reason == "COMMAND_FAILED"
    assert not (await only(rig.runtime)).running
    await rig.runtime.remove("web", 1)
    assert leftovers(rig) == {}


@pytest.mark.parametrize("target", ["/link", "/link/inner"])
async def test_a_mount_target_behind_a_symlink_is_refused(rig: OciRig, target: str) -> None:
    (rig.base / "link").symlink_to(rig.data)
    (rig.data / "inner").mkdir()
    extra = Mount(kind=MountKind.LAYER, source=str(rig.release), target=target)
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), mounts=(*rig.layers(), extra)))
    assert refused.value.reason == "MOUNT_TARGET_SYMLINK"
    assert leftovers(rig) == {}


async def test_a_missing_mount_target_is_refused(rig: OciRig) -> None:
    extra = Mount(kind=MountKind.LAYER, source=str(rig.release), target="/opt/app")
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), mounts=(*rig.layers(), extra)))
    assert refused.value.reason == "MOUNT_TARGET_MISSING"
    assert leftovers(rig) == {}


async def test_remove_never_deletes_through_a_mount(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    tree = rig.run_folder / "trees/web/1"
    assert (tree / "var/precious").exists()
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    assert (rig.data / "precious").read_text() == "do not lose\n"
    assert (rig.release / "version").exists()
    assert (rig.base / "bin/busybox").exists()
    assert leftovers(rig) == {}


async def test_a_tree_in_use_is_not_removed_and_the_mounts_are_named(
    rig: OciRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.runtime.create(rig.spec())
    patient = mounts.unmount_tree
    monkeypatch.setattr(mounts, "unmount_tree", lambda p, root: patient(p, root, patience=0.3))
    with (rig.run_folder / "trees/web/1/var/precious").open():
        with pytest.raises(FailedPreconditionError) as refused:
            await rig.runtime.remove("web", 1)
        assert refused.value.reason == "TREE_BUSY"
        assert "trees/web/1/var" in refused.value.message
        assert (await only(rig.runtime)).uid == rig.spec().uid
    await rig.runtime.remove("web", 1)
    assert leftovers(rig) == {}


async def test_what_a_crash_left_is_found_and_can_be_removed(rig: OciRig) -> None:
    await rig.runtime.create(replace(rig.spec(), network=Network(mode="own", addresses=(rig.inside,))))
    shutil.rmtree(rig.run_folder / "runs")
    adopted = rig.restarted()
    run = await only(adopted)
    assert (run.jail, run.generation, run.running, run.uid) == ("web", 1, False, "")
    await adopted.remove("web", 1)
    assert leftovers(rig) == {}


async def test_a_tree_that_is_gone_is_told_and_not_started_without(rig: OciRig) -> None:
    await rig.runtime.create(rig.spec())
    await mounts.unmount_tree(PROCESSES, (rig.run_folder / "trees/web/1").resolve())
    with pytest.raises(JaildError) as refused:
        await rig.runtime.start("web", 1)
    assert refused.value.reason == "RUN_NOT_FOUND"


async def test_limits_are_kept_by_the_kernel(rig: OciRig) -> None:
    limits = Limits(memory="64M", cpus=0.5, processes=33, open_files=123)
    runtime = await started(rig, replace(rig.spec(), limits=limits))
    known = oci_cgroup.controllers(mounts.mounted())
    group = f"jaild-test-{rig.token}/web.1"

    def kept(controller: str, *names: str) -> str:
        return next(p.read_text().strip() for n in names if (p := known[controller] / group / n).exists())

    assert kept("memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert kept("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert kept("pids", "pids.max") == "33"
    assert await output_of(runtime, rig.spec(), "sh", "-c", "ulimit -n") == (0, b"123\n", b"")


async def test_a_limit_that_cannot_be_kept_is_refused_before_anything_is_made(
    rig: OciRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {k: v for k, v in oci_cgroup.controllers(mounts.mounted()).items() if k != "memory"}
    monkeypatch.setattr(oci_cgroup, "controllers", lambda _: without)
    with pytest.raises(ResourceExhaustedError) as refused:
        await rig.runtime.create(replace(rig.spec(), limits=Limits(memory="64M")))
    assert refused.value.reason == "LIMIT_UNSUPPORTED"
    assert leftovers(rig) == {}


def own(rig: OciRig, generation: int = 1) -> RunSpec:
    httpd = ("httpd", "-f", "-p", "80", "-h", "/usr/local")
    network = Network(mode="own", addresses=(rig.inside,), gateway=rig.host.partition("/")[0])
    return replace(rig.spec(generation), command=httpd, network=network)


async def fetch(rig: OciRig, path: str) -> bytes:
    """GET it once the server listens: refused connections are tried again."""
    address = rig.inside.partition("/")[0]
    async with asyncio.timeout(10):
        while True:
            try:
                reader, writer = await asyncio.open_connection(address, 80)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer


def neighbour(rig: OciRig) -> str:
    shown = subprocess.run(
        ["ip", "neigh", "show", "dev", rig.network.bridge, rig.inside.partition("/")[0]],
        check=True,
        capture_output=True,
        text=True,
    )
    return shown.stdout


async def test_a_network_of_its_own_is_reached_over_the_bridge_by_one_mac_address_in_every_generation(
    rig: OciRig,
) -> None:
    runtime = await started(rig, own(rig, 1))
    await runtime.create(own(rig, 2))
    assert b"1.0" in await fetch(rig, "/version")
    mac = oci_network.mac(rig.spec().uid)
    assert mac in neighbour(rig)
    await runtime.stop("web", 1)
    await runtime.start("web", 2)
    assert b"1.0" in await fetch(rig, "/version")
    assert mac in neighbour(rig)
    await runtime.remove("web", 1)
    assert b"1.0" in await fetch(rig, "/version")


async def test_a_run_that_is_not_started_is_not_reached(rig: OciRig) -> None:
    await rig.runtime.create(own(rig))
    slaves = hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif"))
    assert slaves == []
    await rig.runtime.start("web", 1)
    assert len(hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif"))) == 1
    await rig.runtime.stop("web", 1)
    assert hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif")) == []


async def test_a_crashed_generation_loses_the_network_to_the_next(rig: OciRig) -> None:
    runtime = await started(rig, own(rig, 1))
    await rig.runtime.create(own(rig, 2))
    (running,) = [run for run in await runtime.runs() if run.running]
    await rig.crash(running)
    await runtime.wait("web", 1)
    await runtime.start("web", 2)
    assert len(hosts_of(Path(f"/sys/class/net/{rig.network.bridge}/brif"))) == 1
    await runtime.remove("web", 1)
    assert b"1.0" in await fetch(rig, "/version")


async def test_announcing_tells_the_neighbours_by_gratuitous_arp(rig: OciRig) -> None:
    runtime = await started(rig, own(rig))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as listener:
        listener.bind((rig.network.bridge, 0x0806))
        listener.setblocking(False)
        await runtime.announce("web", 1)
        address = ipaddress.ip_interface(rig.inside).ip.packed
        mac = bytes.fromhex(oci_network.mac(rig.spec().uid).replace(":", ""))
        async with asyncio.timeout(5):
            while True:
                frame = await asyncio.get_running_loop().sock_recv(listener, 2048)
                if frame[6:12] == mac and frame[28:32] == address and frame[38:42] == address:
                    break


async def test_shared_addresses_are_on_the_hosts_interface_while_it_runs(rig: OciRig) -> None:
    network = Network(mode="shared", addresses=(rig.other,), interface=rig.network.bridge)

    def addresses() -> str:
        shown = subprocess.run(
            ["ip", "-o", "addr", "show", "dev", rig.network.bridge], check=True, capture_output=True, text=True
        )
        return shown.stdout

    await rig.runtime.create(replace(rig.spec(1), network=network))
    await rig.runtime.create(replace(rig.spec(2), network=network))
    assert rig.other not in addresses()
    await rig.runtime.start("web", 1)
    assert rig.other in addresses()
    await rig.runtime.stop("web", 1)
    assert rig.other not in addresses()
    await rig.runtime.start("web", 2)
    await rig.runtime.remove("web", 1)
    assert rig.other in addresses()


async def test_a_bridge_that_is_not_there_is_told_before_anything_is_made(rig: OciRig) -> None:
    network = Network(mode="own", addresses=(rig.inside,), bridge="jl-none")
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), network=network))
    assert refused.value.reason == "NETWORK_MISSING"
    assert leftovers(rig) == {}


async def test_preparing_the_host_twice_changes_nothing(rig: OciRig) -> None:
    address = Path(f"/sys/class/net/{rig.network.bridge}/address")
    before = address.read_text()
    await rig.runtime.prepare_host()
    assert address.read_text() == before


async def test_a_cut_over_is_quick(rig: OciRig) -> None:
    runtime = await started(rig, replace(own(rig, 1), command=SERVE))
    await runtime.create(own(rig, 2))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await runtime.stop("web", 1)
    await runtime.start("web", 2)
    assert loop.time() - begun < 2


async def test_a_run_ends_even_if_the_tool_of_an_exec_was_killed(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    stream = aiter(runtime.exec("web", 1, ("sh", "-c", "echo $$; exec sleep 4711")))
    await anext(stream)
    tools = [p.parent for p in Path("/proc").glob("[0-9]*/cmdline") if str(rig.run_folder).encode() in p.read_bytes()]
    (tool,) = [p for p in tools if b"exec-" in (p / "cmdline").read_bytes()]
    os.kill(int(tool.name), signal.SIGKILL)
    assert [piece.exit_status async for piece in stream][-1] == -9
    assert await runtime.stop("web", 1) < 10
