"""A daemon put together: adapters, use cases and API. The only file that names adapters."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from jaild import config as configuration
from jaild import daemon, ownlog
from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.archives.skopeo import SkopeoRegistries
from jaild.adapters.backups.making import VaultAdapters
from jaild.adapters.files.ballast import Ballast
from jaild.adapters.files.host import HostFiles
from jaild.adapters.files.jailtrees import HostJailTrees
from jaild.adapters.files.remove import remove
from jaild.adapters.files.room import Room
from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.adapters.files.uploads import UploadFolder
from jaild.adapters.foreign import HostForeign
from jaild.adapters.freebsd import kernel_calls, kernel_commands
from jaild.adapters.freebsd.kernel import System
from jaild.adapters.freebsd.kqueue import KqueueEvents
from jaild.adapters.freebsd.libc import libc
from jaild.adapters.freebsd.runtime import FreebsdRuntime
from jaild.adapters.freebsd.userland import FreebsdUserland
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.runtime import OciRuntime
from jaild.adapters.peers import GrpcPeers
from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.sqlite import SqliteStore
from jaild.adapters.system import memory, own_thread, process, terminals
from jaild.adapters.system.bootid import KernelBootId
from jaild.adapters.system.clock import SystemClock
from jaild.adapters.system.filters import ProgramFilters
from jaild.adapters.system.keys import ConfiguredKeys
from jaild.adapters.system.lock import after_last_commands, only_daemon
from jaild.adapters.system.outside import HostPrograms
from jaild.adapters.system.probe import SocketProbe
from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.adapters.zfs.embedded import EmbeddedPool, pool_name_for, token_of
from jaild.adapters.zfs.libzfs import LibZfs
from jaild.config import Config, ZfsChoice
from jaild.daemon import Core
from jaild.doctor import command as doctor
from jaild.engine.build import Place, Ports
from jaild.model.errors import UnavailableError
from jaild.ports.process import Processes
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from jaild.reloading import FileConfiguration
from jaild.rpc import spans
from jaild.server import ApiServer

if TYPE_CHECKING:
    from jaild.metrics.build import MetricsParts

_COMMANDS = "commands.lock"  # held by the commands that change state
_LOCK = "lock"  # of an embedded host's folder
# What an embedded host has in its folder beside its pool; the lock last.
_OWN = ("state", "run", "log", "jaild.sock", "zfs-fuse.log", _COMMANDS, _LOCK)
_GRACE = 30.0  # seconds that a cut-over in progress is given at shutdown


@dataclass
class Daemon:
    """Everything that is started and stopped."""

    core: Core
    configuration: FileConfiguration
    peers: GrpcPeers
    store: SqliteStore
    files: HostFiles
    staging: Path

    async def start(self, began: float) -> None:
        """Read and repair; the API can be served after this."""
        await self.store.open()
        await self.files.sweep()
        await self.files.remove(self.staging)  # what a crash left of a push
        await self.files.make_folder(self.staging)
        await self.files.restrict([self.staging])
        await self.core.start(began)

    async def stop(self) -> None:
        """End what may be interrupted, wait for what may not. The jails go on."""
        await self.core.stop(_GRACE)
        await self.core.jails.logs.close()
        await self.peers.close()
        await self.store.close()


def assemble(config: Config, load: Callable[[], Config], zfs: Zfs, runtime: Runtime, processes: Processes) -> Daemon:
    """Put a daemon together on the given ports. Nothing is started. `load` reads what `config` was read from."""
    store = SqliteStore(config.state / "jaild.db", Ballast(config.state / "ballast"))
    peers = GrpcPeers(config.peers, config.host_name)
    room = Room(config.state, config.uploads)
    files = HostFiles(config.state / "spool", room)
    reloading = FileConfiguration(load, config, peers)
    archives = BsdtarArchives(processes, room=room)
    ports = Ports(
        zfs=zfs,
        runtime=runtime,
        files=files,
        file_trees=HostFileTrees(),
        jail_trees=HostJailTrees(),
        archives=archives,
        images=OciImages(archives, room=room),
        registries=SkopeoRegistries(processes, config.registries, room=room),
        userland=FreebsdUserland(processes, config.repositories),
        foreign=HostForeign(processes),
        store=store,
        peers=peers,
        probe=SocketProbe(),
        clock=SystemClock(),
        boot_id=KernelBootId(processes),
        configuration=reloading,
        sinks=SinkAdapters(processes),
        vaults=VaultAdapters(processes),
        filters=ProgramFilters(processes),
        keys=ConfiguredKeys(processes, config.keys),
        uploads=UploadFolder(config.state / "uploads", room),
        outside=HostPrograms(processes, config.dataset.partition("/")[0], config.tls_files),
        unended=lambda: (*process.unended(), *own_thread.unended()),
    )
    cpus = os.cpu_count() or 1
    place = Place(
        name=config.host_name,
        dataset=config.dataset,
        backups=config.backups,
        logs=config.logs,
        log_times=config.state / "log-times",
        logs_sent=config.state / "logs-sent.json",
        rotation=config.log_rotation,
        templates=(config.templates, configuration.TEMPLATES),
        staging=config.state / "staging",
        tool_results=config.state / "tool-results",
        contents=config.state / "contents",
        shut_down=config.state / "halted.json",  # its name in the first version, which may have written it
        pool_health=config.state / "pool.json",
        patience=config.boot_patience,
        starts_at_once=config.boot_starts or 2 * cpus,
        stagings_at_once=2 * cpus,
        metrics=config.metrics.url if config.metrics is not None else "",
    )
    return Daemon(daemon.assemble(ports, place), reloading, peers, store, files, place.staging)


async def serve(
    config: Config,
    load: Callable[[], Config],
    zfs: Zfs,
    processes: ProcessRunner,
    began: float,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Run the daemon until SIGTERM, SIGINT or the end of its terminal; at SIGHUP it reads its configuration again.

    `ready` is called when it answers.

    `FailedPreconditionError` (ALREADY_RUNNING) if one does, `UnavailableError` (COMMANDS_UNENDED) if commands of an
    earlier one do.
    """
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)  # one that is there may be shared: it is left as it is
    for folder in (config.run, config.logs, config.socket.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with only_daemon(config.state / _LOCK):
        async with after_last_commands(config.state / _COMMANDS, processes, SystemClock()):
            await _serve(config, load, zfs, processes, began, ready)


async def _serve(
    config: Config,
    load: Callable[[], Config],
    zfs: Zfs,
    processes: Processes,
    began: float,
    ready: Callable[[], None],
) -> None:
    memory.keep_freed()
    trace(config)
    process.await_by_pidfd()
    daemon = assemble(config, load, zfs, runtime_of(config, processes), processes)
    engine = daemon.core.engine
    server = ApiServer(
        engine.services, engine.audit, socket=config.socket, grants=config.grants_here, tcp=config.listen
    )
    metrics = metrics_of(config, daemon.core)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    has_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and terminals.is_there()

    def hung_up() -> None:
        if has_terminal and not terminals.is_there():  # it was started by hand, and whoever did is gone
            stop.set()
        else:
            daemon.core.host.host.told_to_reload()

    try:
        await daemon.start(began)
        await daemon.core.sinks.run(config.event_sinks)  # before anybody can ask for what they are to tell
        daemon.configuration.serves(server, metrics.endpoint if metrics is not None else None, daemon.core.sinks)
        gc.freeze()  # what is known by now lasts: looking for garbage in 10,000 jails holds every call up for 0.3 s
        await server.start()
        if metrics is not None:
            metrics.start()
        structlog.get_logger("jaild").info("ready", socket=str(config.socket), port=server.port)
        loop.add_signal_handler(signal.SIGHUP, hung_up)
        ready()
        daemon.core.resume()
        daemon.core.jails.confirmations.run()
        daemon.core.jails.staging.run()
        daemon.core.backups.schedule.run()
        daemon.core.backups.backups.run()
        daemon.core.jails.logs.run()
        daemon.core.jails.forwarding.run()
        daemon.core.host.pool.run()
        daemon.core.replication.standbys.run()
        await stop.wait()
    finally:
        await engine.supervisor.close()  # before the API: a call that waits for an activation is answered now
        if metrics is not None:
            await metrics.endpoint.stop()
        await server.stop(1.0)
        await daemon.stop()


def metrics_of(config: Config, core: Core) -> MetricsParts | None:
    """Return what answers where metrics are asked for, if they are to be.

    `UnavailableError` (METRICS_MISSING) without the libraries for it, which nobody else needs.
    """
    if config.metrics is None:
        return None
    try:
        from jaild.metrics import build as metrics_room  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "METRICS_MISSING",
            f"the configuration has metrics, and this Python has no {error.name}",
            hint="install prometheus-client and h11 (pip install 'jaild[metrics]'), or take `metrics` out",
        ) from error
    return metrics_room.build(
        core.engine,
        core.jails,
        core.transfer,
        core.rollouts,
        core.sinks,
        core.host,
        core.engine.ports.outside,
        config.metrics,
        config.grants_here,
    )


def trace(config: Config) -> None:
    """Make spans, if the configuration wants them. `UnavailableError` (TRACING_MISSING) without the packages for it."""
    if not config.tracing:
        return
    try:
        from jaild.adapters import opentelemetry  # noqa: PLC0415 -- of an extra
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "TRACING_MISSING",
            f"the configuration has tracing, and this Python has no {error.name}",
            hint="pip install 'jaild[tracing]' opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or take"
            " `tracing` out",
        ) from error
    provider = opentelemetry.provider_of(config.tracing, config.host_name)
    spans.use(opentelemetry.OpenTelemetry(provider))


def runtime_of(config: Config, processes: Processes) -> Runtime:
    """Return the runtime for this system. `UnavailableError` (RUNTIME_MISSING) where there is none."""
    network = HostNetwork(
        bridge=config.network.bridge,
        address=config.network.address,
        uplink=config.network.uplink,
        shared=config.network.shared,
    )
    if sys.platform.startswith("freebsd"):
        system = freebsd_system(processes, calls=config.system_calls)
        return FreebsdRuntime(processes, config.run, network=network, events=KqueueEvents(), system=system)
    if sys.platform.startswith("linux"):
        return OciRuntime(processes, config.run, network=network, cgroup_parent=config.cgroup)
    raise UnavailableError(
        "RUNTIME_MISSING",
        f"there is no runtime for {sys.platform}",
        hint="run jaild on FreeBSD, or on Linux with runc",
    )


def freebsd_system(processes: Processes, *, calls: bool) -> System:
    """Return how a FreeBSD host is asked: by its programs also where libc has not the calls."""
    found = libc() if calls else None
    if found is not None:
        return kernel_calls.system(found)
    if calls:
        structlog.get_logger("jaild").warning("system asked by commands", because="libc has not all of its calls")
    return kernel_commands.system(processes)


def zfs_of(choice: ZfsChoice, processes: Processes) -> Zfs:
    """Return this host's ZFS. `UnavailableError` (LIBZFS_MISSING) if py-libzfs was asked for and is not there."""
    cli = CliZfs(processes)
    if choice == "cli":
        return cli
    try:
        return LibZfs.installed(cli)
    except UnavailableError as error:
        if choice == "libzfs":
            raise
        structlog.get_logger("jaild").info("zfs by its commands", because=error.message)
        return cli


async def embedded(folder: Path, path: Path | None, size: int, began: float, log: Mapping[str, Any]) -> None:
    """Run the daemon of a folder, with a pool of its own. Raises as `serve`, and what `EmbeddedPool.start` raises.

    `log`: what of the setting of that name was given otherwise.
    """
    processes = ProcessRunner()
    pool = EmbeddedPool(processes, folder, pool_name_for(folder), size=size)
    with only_daemon(folder / _LOCK):  # both held over the pool's start too
        async with after_last_commands(folder / _COMMANDS, processes, SystemClock()):
            zfs = await pool.start()
            load = partial(_embedded_config, folder, path, pool.root)
            config = load()
            ownlog.write(msgspec.structs.replace(config.log, **log))
            await serve(config, load, zfs, processes, began, lambda: _print_address(config.socket))


def _print_address(socket: Path) -> None:
    """Print what to type so that jailctl talks to this daemon."""
    sys.stdout.write(f"export JAILCTL_ADDRESS={shlex.quote(f'unix://{socket}')}\n")


def _embedded_config(folder: Path, path: Path | None, dataset: str) -> Config:
    return configuration.load(path, configuration.embedded(folder, dataset, token_of(folder)))


async def destroy(folder: Path, path: Path | None) -> list[str]:
    """Stop the jails of an embedded host and remove all that is its own, the folder too; return what stays, with why.

    May be asked again, whatever the last time came to.
    """
    processes = ProcessRunner()
    pool = EmbeddedPool(processes, folder, pool_name_for(folder))
    config = _embedded_config(folder, path, pool.root)
    with only_daemon(folder / _LOCK):
        async with after_last_commands(folder / _COMMANDS, processes, SystemClock()):
            runtime = runtime_of(config, processes)
            for run in await runtime.runs():
                await runtime.stop(run.jail, run.generation)
                await runtime.remove(run.jail, run.generation)
            staying = await runtime.withdraw_host()
            await pool.destroy()
            for name in _OWN:
                await asyncio.to_thread(remove, folder / name)
    return [*staying, *_left(folder, config)]


def _left(folder: Path, config: Config) -> list[str]:
    """Remove the folder if nothing is in it any more, and say what is not."""
    told = {config.state: "state", config.run: "run", config.logs: "logs", config.socket: "socket"}
    left = [f"{path} stays: {key} of the configuration" for path, key in told.items() if path.exists()]
    if others := sorted(path.name for path in folder.iterdir() if path not in told):
        return [*left, f"{folder} stays: {', '.join(others)} in it, which jaild did not make"]
    try:
        folder.rmdir()
    except OSError as error:  # EBUSY: something is mounted there
        left.append(f"{folder} stays: {error.strerror}")
    return left


async def configured(path: Path, began: float, log: Mapping[str, Any]) -> None:
    """Run the daemon of this host. `log`: see `embedded`. Raises as `serve`."""
    processes = ProcessRunner()
    load = partial(configuration.load, path, {})
    config = load()
    ownlog.write(msgspec.structs.replace(config.log, **log))
    await serve(config, load, zfs_of(config.zfs, processes), processes, began)


def examine(path: Path, *, as_json: bool) -> int:
    """Print what the doctor finds on this host; return the exit status."""
    return doctor.main(ProcessRunner(), path, partial(configuration.load, path, {}), as_json=as_json)


def examine_embedded(folder: Path, path: Path | None, *, as_json: bool) -> int:
    """Print the same of a folder's host."""
    load = partial(_embedded_config, folder, path, f"{pool_name_for(folder)}/jaild")
    return doctor.main(ProcessRunner(), path or folder, load, as_json=as_json, embedded=folder)
