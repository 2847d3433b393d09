"""A real host for the OCI runtime: a base of busybox, a release, data, a bridge and names of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from jaild.adapters.oci import mounts, namespaces
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.runtime import OciRuntime
from jaild.adapters.system.process import ProcessRunner
from jaild.model.jails.mounts import Mount, MountKind
from jaild.ports.runtime import Run, RunSpec, Runtime
from tests.contract.runtime_contract import Rig, run_spec

PROCESSES = ProcessRunner()
FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp", "usr/local", "var", "srv")


class OciRig(Rig):
    def __init__(self, folder: Path, sysctls: Path = Path("/proc/sys")) -> None:
        self.sysctls = sysctls
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
        return OciRuntime(
            PROCESSES,
            self.run_folder,
            network=self.network,
            cgroup_parent=f"jaild-test-{self.token}",
            sysctls=self.sysctls,
        )

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
        for name in FOLDERS:
            (self.base / name).mkdir(parents=True)
        shutil.copy2("/bin/busybox", self.base / "bin")
        for applet in (
            "sh",
            "cat",
            "sleep",
            "id",
            "env",
            "touch",
            "httpd",
            "stty",
            "tty",
            "seq",
            "ip",
            "mount",
            "rm",
            "pidof",
            "stat",
            "ls",
        ):
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
        for group in self.groups():
            group.rmdir()

    def groups(self) -> list[Path]:
        """The parents of the runs' control groups that there are."""
        places = (mount.target / f"jaild-test-{self.token}" for mount in mounts.control_groups())
        return [group for group in places if group.is_dir()]


@asynccontextmanager
async def hosted(folder: Path, sysctls: Path = Path("/proc/sys")) -> AsyncIterator[OciRig]:
    """A rig that leaves nothing behind, however its test ends."""
    rig = OciRig(folder, sysctls)
    rig.build()
    try:
        await rig.runtime.prepare_host()
        yield rig
        await rig.clear()
        assert mounts.below(rig.run_folder.resolve(), mounts.mounted()) == []
        assert await rig.runtime.withdraw_host() == []
        assert not Path(f"/sys/class/net/{rig.network.bridge}").exists()
        assert rig.groups() == []
    finally:
        rig.clear_host()


def hosts_of(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir()) if path.is_dir() else []


def leftovers(rig: OciRig) -> dict[str, list[str]]:
    run = rig.run_folder
    found = {name: hosts_of(run / name) for name in ("trees", "runs", "containers")}
    found["netns"] = [n for n in hosts_of(namespaces.FOLDER) if n.startswith(oci_network.prefix(run.resolve()))]
    found["mounts"] = [str(p) for p in mounts.below(run.resolve(), mounts.mounted())]
    return {name: rest for name, rest in found.items() if rest}


async def started_by(runtime: Runtime, spec: RunSpec) -> None:
    await runtime.create(spec)
    await runtime.start(spec.jail, spec.generation)


async def started(rig: OciRig, spec: RunSpec) -> Runtime:
    await started_by(rig.runtime, spec)
    return rig.runtime


async def log_has(log: Path, text: str) -> None:
    async with asyncio.timeout(10):
        while not log.exists() or text not in log.read_text():  # noqa: ASYNC110 - a file that somebody else writes
            await asyncio.sleep(0.01)
