"""The daemon: puts adapters, use cases and API together. The only file that names adapters."""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog

from jaild import config as configuration
from jaild import daemon, stdio
from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.files.ballast import Ballast
from jaild.adapters.files.host import HostFiles
from jaild.adapters.files.room import Room
from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.adapters.freebsd import kernel_calls, kernel_commands
from jaild.adapters.freebsd.kernel import System
from jaild.adapters.freebsd.kqueue import KqueueEvents
from jaild.adapters.freebsd.libc import libc
from jaild.adapters.freebsd.runtime import FreebsdRuntime
from jaild.adapters.freebsd.userland import FreebsdUserland
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.runtime import OciRuntime
from jaild.adapters.peers import GrpcPeers
from jaild.adapters.sqlite import SqliteStore
from jaild.adapters.system import memory, own_thread, process
from jaild.adapters.system.bootid import KernelBootId
from jaild.adapters.system.clock import SystemClock
from jaild.adapters.system.lock import after_last_commands, only_daemon
from jaild.adapters.system.probe import SocketProbe
from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.adapters.zfs.embedded import DEFAULT_SIZE, EmbeddedPool, pool_name_for
from jaild.adapters.zfs.libzfs import LibZfs
from jaild.adapters.zfs.private_namespace import enter
from jaild.config import Config, ZfsChoice
from jaild.daemon import Core
from jaild.doctor import command as doctor
from jaild.engine.build import Place, Ports
from jaild.model import quantity
from jaild.model.errors import JaildError, UnavailableError
from jaild.ports.process import Processes
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs
from jaild.server import ApiServer

CONFIG = Path("/usr/local/etc/jaild/jaild.yaml")
_COMMANDS = "commands.lock"  # held by the commands that change state
_GRACE = 30.0  # seconds that a cut-over in progress is given at shutdown


@dataclass
class Daemon:
    """Everything that is started and stopped."""

    core: Core
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
        await self.peers.close()
        await self.store.close()


def assemble(config: Config, zfs: Zfs, runtime: Runtime, processes: Processes) -> Daemon:
    """Put a daemon together on the given ports. Nothing is started."""
    store = SqliteStore(config.state / "jaild.db", Ballast(config.state / "ballast"))
    peers = GrpcPeers(config.peers)
    room = Room(config.state, config.uploads)
    files = HostFiles(config.state / "spool", room)
    archives = BsdtarArchives(processes, room=room)
    ports = Ports(
        zfs=zfs,
        runtime=runtime,
        files=files,
        file_trees=HostFileTrees(),
        archives=archives,
        images=OciImages(archives),
        userland=FreebsdUserland(processes, config.repositories),
        store=store,
        peers=peers,
        probe=SocketProbe(),
        clock=SystemClock(),
        boot_id=KernelBootId(processes),
        unended=lambda: (*process.unended(), *own_thread.unended()),
    )
    place = Place(
        name=config.host_name,
        dataset=config.dataset,
        logs=config.logs,
        templates=config.templates,
        staging=config.state / "staging",
        tool_results=config.state / "tool-results",
        halted=config.state / "halted.json",
        patience=config.boot_patience,
        starts_at_once=config.boot_starts or 2 * (os.cpu_count() or 1),
    )
    return Daemon(daemon.assemble(ports, place), peers, store, files, place.staging)


async def serve(config: Config, zfs: Zfs, processes: ProcessRunner, began: float) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    `FailedPreconditionError` (ALREADY_RUNNING) if one does, `UnavailableError` (COMMANDS_UNENDED) if commands of an
    earlier one do.
    """
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)  # one that is there may be shared: it is left as it is
    for folder in (config.run, config.logs, config.socket.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with only_daemon(config.state / "lock"):
        async with after_last_commands(config.state / _COMMANDS, processes, SystemClock()):
            await _serve(config, zfs, processes, began)


async def _serve(config: Config, zfs: Zfs, processes: Processes, began: float) -> None:
    memory.keep_freed()
    process.await_by_pidfd()
    daemon = assemble(config, zfs, runtime_of(config, processes), processes)
    engine = daemon.core.engine
    server = ApiServer(
        engine.services, engine.audit, socket=config.socket, grants=config.grants_here, tcp=config.listen
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await daemon.start(began)
        gc.freeze()  # what is known by now lasts: looking for garbage in 10,000 jails holds every call up for 0.3 s
        await server.start()
        structlog.get_logger("jaild").info("ready", socket=str(config.socket), port=server.port)
        daemon.core.resume()
        daemon.core.jails.confirmations.run()
        daemon.core.jails.staging.run()
        daemon.core.replication.standbys.run()
        await stop.wait()
    finally:
        await engine.supervisor.close()  # before the API: a call that waits for an activation is answered now
        await server.stop(1.0)
        await daemon.stop()


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
        remedy="run jaild on FreeBSD, or on Linux with runc",
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


async def _embedded(folder: Path, path: Path | None, size: int, began: float) -> None:
    processes = ProcessRunner()
    pool = EmbeddedPool(processes, folder, pool_name_for(folder), size=size)
    with only_daemon(folder / "lock"):  # both held over the pool's start too
        async with after_last_commands(folder / _COMMANDS, processes, SystemClock()):
            zfs = await pool.start()
            await serve(_embedded_config(folder, path, pool.root), zfs, processes, began)


def _embedded_config(folder: Path, path: Path | None, dataset: str) -> Config:
    defaults = configuration.embedded(folder, dataset)
    defaults["cgroup"] = f"jaild-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    return configuration.load(path, defaults)


async def _destroy(folder: Path, path: Path | None) -> None:
    """Stop the jails of an embedded host and remove its pool; logs and state stay."""
    processes = ProcessRunner()
    pool = EmbeddedPool(processes, folder, pool_name_for(folder))
    with only_daemon(folder / "lock"):
        async with after_last_commands(folder / _COMMANDS, processes, SystemClock()):
            runtime = runtime_of(_embedded_config(folder, path, pool.root), processes)
            for run in await runtime.runs():
                await runtime.stop(run.jail, run.generation)
                await runtime.remove(run.jail, run.generation)
            await pool.destroy()


async def _configured(path: Path, began: float) -> None:
    processes = ProcessRunner()
    config = configuration.load(path, {})
    await serve(config, zfs_of(config.zfs, processes), processes, began)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the daemon."""
    began = time.monotonic()
    stdio.settle()  # the log, too, must not end what it tells of
    arguments = _arguments(argv)
    _log_to_stderr(arguments.log_level)
    path = arguments.config or CONFIG
    try:
        if arguments.embedded is None:
            if arguments.command == "doctor":
                load = functools.partial(configuration.load, path, {})
                sys.exit(doctor.main(ProcessRunner(), path, load, as_json=arguments.json))
            asyncio.run(_configured(path, began))
            return
        folder = arguments.embedded.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        enter(folder, [sys.executable, "-m", "jaild", *(sys.argv[1:] if argv is None else argv)])
        if arguments.command == "doctor":
            load = functools.partial(_embedded_config, folder, arguments.config, f"{pool_name_for(folder)}/jaild")
            sys.exit(doctor.main(ProcessRunner(), arguments.config or folder, load, as_json=arguments.json))
        if arguments.destroy:
            asyncio.run(_destroy(folder, arguments.config))
            return
        asyncio.run(_embedded(folder, arguments.config, quantity.parse(arguments.pool_size), began))
    except (JaildError, OSError) as error:  # a folder that cannot be made, an address in use, a report on a full disk
        sys.exit(f"jaild: {error}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jaild", description="Jails from versioned ZFS datasets.")
    parser.add_argument(
        "command", nargs="?", choices=("doctor",), help="check this host and say how to mend it; status 1: something is"
    )
    parser.add_argument("--config", type=Path, help=f"default: {CONFIG}")
    parser.add_argument(
        "--embedded", type=Path, metavar="DIR", help="keep everything in DIR: a pool on a file, state, socket, logs"
    )
    parser.add_argument(
        "--pool-size",
        default=quantity.render(DEFAULT_SIZE),
        metavar="SIZE",
        help="with --embedded: of a new pool's file, which is sparse; 64M at least (default: %(default)s)",
    )
    parser.add_argument("--destroy", action="store_true", help="with --embedded: remove the pool and all that is in it")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--json", action="store_true", help="with doctor: the report for programs")
    parser.add_argument("--version", action="version", version=f"jaild {version('jaild')}")
    arguments = parser.parse_args(argv)
    for given in sys.argv[1:] if argv is None else argv:
        if given != given.encode(errors="replace").decode():
            parser.error(f"{os.fsencode(given)!r} is no UTF-8: paths go into the names of pools, and into records")
    if arguments.embedded is None and arguments.destroy:
        parser.error("--destroy goes with --embedded DIR")
    if arguments.json and arguments.command is None:
        parser.error("--json goes with doctor")
    return arguments


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.getLevelNamesMapping()[level.upper()], format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
