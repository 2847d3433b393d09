"""A FreeBSD host that is told: for what a runtime does on it, not for what FreeBSD does."""

from __future__ import annotations

from pathlib import Path

from jaild.adapters.freebsd import kernel_commands
from jaild.adapters.freebsd.kernel import System
from jaild.adapters.freebsd.mount_calls import MountCalls
from jaild.adapters.freebsd.runtime import FreebsdRuntime
from jaild.adapters.oci.network import HostNetwork
from jaild.model.jails.mounts import Mount, MountKind
from jaild.ports.runtime import Run, RunSpec, Usage
from tests.contract.runtime_contract import Rig, run_spec
from tests.fakes.freebsd_host import FreebsdHost
from tests.fakes.freebsd_libc import FakeLibc

BASE = ("bin", "dev", "etc", "root", "tmp", "usr/bin", "usr/local/etc", "usr/sbin", "var/db/pkg")
NETWORK = HostNetwork(bridge="jaild0", address="10.0.0.1/24", uplink="em1", shared="em0")


class ToldRig(Rig):
    def __init__(self, folder: Path, network: HostNetwork = NETWORK, *, calls: bool = False) -> None:
        self.folder = folder
        self.calls = calls
        self.network = network
        self.run_folder = folder / "run"
        self.base = folder / "base"
        self.data = folder / "data"
        self.log = folder / "log/web.log"
        self.host = FreebsdHost()
        for name in ("jaild0", "em1"):
            self.host.create(name)
        for inside in BASE:
            (self.base / inside).mkdir(parents=True, exist_ok=True)
        (self.base / "etc/passwd").write_text("root:*:0:0::/root:/bin/sh\nwww:*:80:81::/srv:/usr/sbin/nologin\n")
        (self.base / "etc/group").write_text("wheel:*:0:root\nwww:*:81:\nlogs:*:82:www\n")
        (self.data / "db/pkg").mkdir(parents=True)
        self._runtime = self.restarted()

    @property
    def runtime(self) -> FreebsdRuntime:
        return self._runtime

    def restarted(self) -> FreebsdRuntime:
        return FreebsdRuntime(
            self.host.processes,
            self.run_folder,
            network=self.network,
            events=self.host.events(),
            system=self.system(),
            etc=self.folder / "host-etc",
        )

    def boot(self) -> None:
        """Let a daemon that knows nothing of the host have the runtime."""
        self._runtime = self.restarted()

    def system(self) -> System:
        """Return how the host is asked."""
        libc = FakeLibc(self.host.table, self.host)
        return System(MountCalls(libc), libc.kernel()) if self.calls else kernel_commands.system(self.host.processes)

    def layers(self) -> tuple[Mount, ...]:
        layer = MountKind.LAYER
        return (
            Mount(kind=layer, source=str(self.base), target="/", readonly=True),
            Mount(kind=MountKind.TMPFS, target="/tmp", size=64 << 20),
            Mount(kind=layer, source=str(self.data), target="/var"),
        )

    def spec(self, generation: int = 1) -> RunSpec:
        return run_spec(generation, mounts=self.layers(), log=self.log)

    def expect(self, run: RunSpec, command: tuple[str, ...], output: tuple[int, bytes, bytes]) -> None:
        assert run.jail == "web"  # a fake jail's programs are the same in each of its generations
        self.host.scripts[command] = output

    async def counted(self, used: Usage) -> None:
        assert used.max_age == 1.0
        self.host.count()

    async def crash(self, run: Run) -> None:
        (pid,) = self.host.pids(run.pid)
        self.host.exit(pid, 9)
