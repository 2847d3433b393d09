"""A whole daemon in this process: what it stands on survives it, so that `restart` finds what a crash leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from jaild import daemon
from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.archives.skopeo import SkopeoRegistries
from jaild.adapters.backups.making import VaultAdapters
from jaild.adapters.files.host import HostFiles
from jaild.adapters.files.jailtrees import HostJailTrees
from jaild.adapters.files.room import Room
from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.adapters.files.uploads import UploadFolder
from jaild.adapters.foreign import HostForeign
from jaild.adapters.freebsd.userland import FreebsdUserland
from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.sqlite import SqliteStore
from jaild.adapters.system.keys import ConfiguredKeys, KeySource
from jaild.adapters.system.process import ProcessRunner
from jaild.engine.build import Place, Ports
from jaild.engine.inventory import Layer, LayerRecord
from jaild.layers.sealing import Fill, Sealer
from jaild.model import layout
from jaild.model.access import Role
from jaild.model.backups.targets import TargetSettings
from jaild.model.layers.records import BaseRecord, Family, Manifest, ReleaseRecord
from jaild.model.layers.registry import Registries
from jaild.model.operation import Operation
from jaild.model.views import Caller, Reloaded
from jaild.ports.backups import Vault
from jaild.ports.clock import Clock
from jaild.ports.foreign import ForeignHost
from jaild.ports.probe import HostProbe
from jaild.ports.process import Processes
from jaild.ports.runtime import Runtime
from jaild.ports.salvage import FileTrees
from jaild.ports.sinks import Sinks
from jaild.ports.zfs import Zfs
from tests.fakes import zfs_trees as trees
from tests.fakes.clock import FakeClock
from tests.fakes.core import HostCore
from tests.fakes.edge import Server, served_as
from tests.fakes.faults import Life, Mortal
from tests.fakes.filters import FakeFilters
from tests.fakes.network import LinkedPeers, Network
from tests.fakes.outside import FakeOutside
from tests.fakes.runtime import FakeRuntime
from tests.fakes.zfs import FakeZfs
from tests.fakes.zfs_pool import Filesystem

ROOT = "tank/jaild"
_JOURNALED = frozenset({"put_journal", "put_deleted_jail", "put_rollout", "put_restarts", "forget_restarts"})
_SEALED: dict[bytes, tuple[Filesystem, BaseRecord | ReleaseRecord]] = {}  # by what a layer is
_CHANGING = frozenset(
    {"write", "remove", "make_folder", "make_folders", "write_tree", "copy", "reduce", "spool", "own"}
)


class QuickClock(FakeClock):
    """A fake clock that lets threads and other hosts get on while somebody sleeps."""

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds`."""
        await super().sleep(seconds)
        await asyncio.sleep(0.0005)


class Healthy:
    """Implements `jaild.ports.probe.HostProbe`: answers `problem`; calls by what `refused` has of their path."""

    def __init__(self) -> None:
        self.problem = ""
        self.called: list[str] = []  # paths
        self.refused: dict[str, str] = {}

    async def tcp(self, address: str, port: int, timeout: float) -> str:  # noqa: ARG002 -- the port's
        """Answer."""
        return self.problem

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:  # noqa: ARG002 -- the port's
        """Answer."""
        return self.problem

    async def call(
        self,
        method: str,  # noqa: ARG002 -- the port's
        address: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        path: str,
        status: int | None,  # noqa: ARG002
        timeout: float,  # noqa: ARG002
    ) -> str:
        """Take a call down, and answer it."""
        self.called.append(path)
        return self.refused.get(path, "")


class InProcessHost:
    """One host. `life` is its present daemon's, `core` that daemon's use cases.

    `zfs`, `runtime`, `probe` and `clock` are the host's own, as a test looks at them; its daemon has them by `life`.
    """

    patience = 20.0  # seconds, for what must end by itself

    def __init__(self, folder: Path, name: str, network: Network, root: str) -> None:
        self.folder = folder
        self.name = name
        self.root = root
        self.zfs: Zfs
        self.runtime: Runtime
        self.probe: HostProbe
        self.clock: Clock
        self.files = HostFiles(folder / "spool")
        self.trees: FileTrees = HostFileTrees()
        self.sinks: Sinks = SinkAdapters(ProcessRunner())
        self.keys: dict[str, KeySource] = {}  # where it has them
        self.outside = FakeOutside()
        self.programs: Processes = ProcessRunner()  # what FreeBSD's own tools are run by
        self.registries: Registries = {}  # that it may use
        self.foreign: ForeignHost | None = None  # jails of other tools; None: the host's own
        self.network = network
        self.life = Life()
        self.boot_patience, self.starts_at_once, self.stagings_at_once = 120.0, 8, 4
        self.metrics_url = ""
        self.vaults: dict[str, Vault] = {}  # by their destinations; what is not there is made
        self.targets: dict[str, TargetSettings] = {}
        self.unended: tuple[str, ...] = ()  # programs that do not end although they were killed
        self.reachable = False  # peers are answered from the end of `start` on
        self.serving: list[asyncio.Task[Any]] = []  # calls of peers under way
        self.store: SqliteStore | None = None
        self._core: HostCore | None = None
        self._server: Server | None = None
        self.boots = 1

    async def read(self) -> str:
        """Which boot of the host this is (implements `jaild.ports.bootid.BootId`)."""
        return f"boot {self.boots}"

    async def reload(self, *, validate_only: bool) -> Reloaded:  # noqa: ARG002 -- the port's
        """Find nothing changed (implements `jaild.ports.configuration.Configuration`)."""
        return Reloaded()

    def make(self, settings: TargetSettings) -> Vault:
        """Return a vault (implements `jaild.ports.backups.Vaults`)."""
        return self.vaults.get(settings.destination) or VaultAdapters(self.programs).make(settings)

    def ground(self, life: Life) -> tuple[Zfs, Runtime]:  # noqa: ARG002 -- of subclasses that start processes
        """Return the ZFS and the runtime that a daemon stands on during its life."""
        return self.zfs, self.runtime

    async def make_root(self) -> None:
        """Make the dataset that everything is below, if it is not there."""

    @property
    def core(self) -> HostCore:
        """The present daemon's."""
        assert self._core is not None
        return self._core

    @property
    def server(self) -> Server:
        """What answers its peers."""
        assert self._server is not None
        return self._server

    async def start(self, life: Life | None = None) -> None:
        """Bring a daemon up (to live `life`): read, repair, resume, boot."""
        self.network.hosts[self.name] = self
        await self.make_root()
        for folder in ("logs", "templates"):
            (self.folder / folder).mkdir(exist_ok=True)
        self.life = life or Life()
        self.life.on_hang_up = self._hang_up
        self.store = SqliteStore(self.folder / "jaild.db")
        await self.store.open()
        self._core = self._assembled(self.store)
        self._server = Server(self)
        await self._core.start(self.clock.monotonic())
        self.reachable = True
        self._core.resume()

    def _assembled(self, store: SqliteStore) -> HostCore:
        def mortal(port: object, name: str, counted: frozenset[str] | None = None) -> Any:
            return cast("Any", Mortal(port, name, self.life, counted))

        none: frozenset[str] = frozenset()
        zfs, runtime = self.ground(self.life)
        archives = BsdtarArchives(ProcessRunner())
        ports = Ports(
            zfs=mortal(zfs, "zfs"),
            runtime=mortal(runtime, "runtime"),
            files=mortal(self.files, "files", _CHANGING),
            file_trees=mortal(self.trees, "trees", none),
            jail_trees=HostJailTrees(),
            archives=archives,
            images=OciImages(archives),
            registries=SkopeoRegistries(self.programs, self.registries, room=Room(self.folder)),
            foreign=mortal(self.foreign or HostForeign(self.programs, self.folder / "elsewhere"), "foreign"),
            userland=FreebsdUserland(self.programs, self.folder / "repos", conf=self.folder / "freebsd-update.conf"),
            store=mortal(store, "store", _JOURNALED),
            peers=LinkedPeers(self.network, self),
            probe=self.probe,
            clock=mortal(self.clock, "clock", none),
            boot_id=self,
            configuration=self,
            sinks=self.sinks,
            vaults=self,
            filters=FakeFilters(),
            keys=ConfiguredKeys(self.programs, self.keys),
            uploads=UploadFolder(self.folder / "uploads", Room(self.folder)),
            outside=self.outside,
            unended=lambda: self.unended,
        )
        place = Place(
            name=self.name,
            dataset=self.root,
            backups=self.targets,
            logs=self.folder / "logs",
            log_times=self.folder / "log-times",
            logs_sent=self.folder / "logs-sent.json",
            templates=(self.folder / "templates",),
            staging=self.folder / "staging",
            tool_results=self.folder / "tool-results",
            contents=self.folder / "contents",
            shut_down=self.folder / "halted.json",
            pool_health=self.folder / "pool.json",
            patience=self.boot_patience,
            starts_at_once=self.starts_at_once,
            stagings_at_once=self.stagings_at_once,
            metrics=self.metrics_url,
        )
        return HostCore(daemon.assemble(ports, place))

    def _hang_up(self) -> bool:
        task = served_as.get(None)
        return task in self.serving and task.cancel()

    async def quiet(self) -> None:
        """Wait until boot and everything that goes on in the background has ended by itself, or the daemon is dead."""
        ended = asyncio.create_task(self._ended())
        died = asyncio.create_task(self.life.died.wait())
        try:
            async with asyncio.timeout(self.patience):
                await asyncio.wait({ended, died}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ended, died):
                task.cancel()
            await asyncio.gather(ended, died, return_exceptions=True)

    async def _ended(self) -> None:
        await self.core.supervisor.idle()
        while await self.core.dispatcher.idle():
            await self.core.supervisor.idle()
        await self.core.start_guard.settled()

    async def stop(self) -> None:
        """End the daemon in order; the jails go on."""
        if not self.life.dead:
            await self.core.stop(1.0)
        await self.kill()

    async def kill(self) -> None:
        """End the daemon as it stands."""
        self.life.kill()
        self.reachable = False
        for task in self.serving:
            task.cancel()
        self.server.close()
        await self.core.supervisor.close()
        if self.store is not None:
            await self.store.close()
            self.store = None
        await self.life.idle()

    async def restart(self, *, reboot: bool = False, life: Life | None = None) -> None:
        """Let the daemon die as it stands (with `reboot` the whole host) and start its successor."""
        await self.kill()
        if reboot:
            self.boots += 1
            await self.lose_power()
        await self.start(life)

    async def lose_power(self) -> None:
        """Let everything end that runs on the host, and mount its datasets as a boot does."""
        raise NotImplementedError

    # -- what there is

    async def add_base(
        self, name: str, files: Mapping[str, str] | None = None, *, family: Family = Family.LINUX
    ) -> None:
        """Seal a tiny base with these files (paths from its root); a FreeBSD one is 14.1."""

        async def fill(folder: Path) -> BaseRecord:
            brought = {"etc/motd": f"welcome to {name}\n", "var/lib/empty/.keep": ""}
            _write(folder / layout.TREE, {**brought, **(files or {})})
            await self.files.make_mount_points(folder / layout.TREE, family)
            if family is Family.FREEBSD:
                abi = "FreeBSD:14:amd64"
                return BaseRecord(name=name, family=family, version="14.1-RELEASE", abi=abi, osreldate=1401000)
            return BaseRecord(name=name, family=family, version="12", abi="debian:12:amd64")

        index, what = self.core.inventory, (name, files, family)
        index.bases[name] = await self._sealed(index.where.base(name), layout.BASE_PROPERTY, fill, what)

    async def add_release(
        self, reference: str, files: Mapping[str, str] | None = None, manifest: Manifest | None = None, parent: str = ""
    ) -> None:
        """Seal a tiny release (`app/version`); with `parent` (a version) as a clone."""
        app, _, version = reference.partition("/")
        said = manifest or Manifest(command=("/usr/local/bin/run",))

        async def fill(folder: Path) -> ReleaseRecord:
            tree = folder / layout.TREE
            _write(tree, {"etc/app.conf": f"version={version}\n", "bin/run": "#!/bin/sh\n", **(files or {})})
            return ReleaseRecord(app=app, version=version, manifest=said, parent=parent)

        index, what = self.core.inventory, (reference, files, said)
        dataset = index.where.release(app, version)
        await Sealer(self.zfs, self.files).ensure_parent(dataset)
        origin = index.release(f"{app}/{parent}").dataset if parent else ""
        index.releases[reference] = await self._sealed(dataset, layout.RELEASE_PROPERTY, fill, what, origin)

    async def _sealed(
        self,
        dataset: str,
        prop: str,
        fill: Fill[LayerRecord],
        what: object,  # noqa: ARG002 -- of hosts that keep what was sealed once
        origin: str = "",
    ) -> Layer[LayerRecord]:
        return await Sealer(self.zfs, self.files).seal(dataset, prop, fill, origin=origin)

    async def end_of(self, operation: Operation) -> Operation:
        """Wait until an operation is done, or its daemon is dead."""
        done = asyncio.create_task(self.core.use_cases.operations.wait(operation.id, None))
        died = asyncio.create_task(self.life.died.wait())
        try:
            async with asyncio.timeout(self.patience):
                await asyncio.wait({done, died}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            died.cancel()
            done.cancel()
            await asyncio.gather(done, died, return_exceptions=True)
        if not self.life.dead:
            await self.core.dispatcher.idle(operation.target)  # its end is on disk too
        return self.core.use_cases.operations.get(operation.id)


class FakeHost(InProcessHost):
    """One on fakes."""

    def __init__(self, folder: Path, name: str = "alpha", network: Network | None = None) -> None:
        super().__init__(folder, name, network or Network(), ROOT)
        self.clock: QuickClock = QuickClock()
        self.zfs: FakeZfs = FakeZfs(folder / "pool", now=self.clock.now)
        self.runtime: FakeRuntime = FakeRuntime(now=self.clock.now, sleep=self.clock.sleep)
        self.probe: Healthy = Healthy()

    async def _sealed(
        self, dataset: str, prop: str, fill: Fill[LayerRecord], what: object, origin: str = ""
    ) -> Layer[LayerRecord]:
        """Have the same layer as other hosts before it: sealing it was half of what a host with layers takes."""
        if origin:
            return await super()._sealed(dataset, prop, fill, what, origin)
        key = msgspec.json.encode((dataset, what))
        if key not in _SEALED:
            scratch = FakeZfs(self.folder / "sealing")
            parents = dataset.split("/")[:-1]
            for depth in range(2, len(parents) + 1):
                await scratch.create("/".join(parents[:depth]))
            layer = await Sealer(scratch, self.files).seal(dataset, prop, fill)
            _SEALED[key] = (scratch.pool.fs(dataset), layer.record)
            trees.remove(str(self.folder / "sealing"))
        sealed, record = _SEALED[key]
        await self.zfs.create(dataset)
        self.zfs.pool.fill(dataset, sealed)
        return await Sealer(self.zfs, self.files).layer(dataset, cast("LayerRecord", record))

    async def make_root(self) -> None:
        """Make `tank/jaild`."""
        if ROOT not in [dataset.name for dataset in await self.zfs.datasets("tank")]:
            await self.zfs.create(ROOT)

    async def lose_power(self) -> None:
        """Forget the runs, and let the monotonic clock begin again."""
        self.clock.reboot()
        self.runtime.by_name.clear()
        pool = self.zfs.pool
        await self.zfs.unmount(ROOT)
        for filesystem in pool.tree(ROOT):
            filesystem.loaded = False
            if (root := pool.encryption_root(filesystem)) is None or root.loaded:
                pool.mount_if_wanted(filesystem.name)


def _write(tree: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def caller(request_id: str = "", actor: str = "tester") -> Caller:
    """Return who asks: an operator."""
    return Caller(actor=actor, roles=frozenset({Role.OPERATOR}), request_id=request_id)
