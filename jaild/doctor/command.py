"""`jaild doctor`: looks at the host and says how to mend it.

It needs no daemon, and no configuration that can be read: a broken one is a finding. Facts are gathered by
`jaild.doctor.facts`, what they mean is decided by `jaild.doctor.checks`. Nothing is changed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import msgspec

from jaild.adapters.peers import GrpcPeers
from jaild.config import Config, Network
from jaild.doctor.checks import certificates, report
from jaild.doctor.checks import freebsd as freebsd_host
from jaild.doctor.checks import host as any_host
from jaild.doctor.checks import linux as linux_host
from jaild.doctor.checks import zfs as any_zfs
from jaild.doctor.checks.report import Check, Report
from jaild.doctor.checks.zfs import PoolFacts, ZfsFacts
from jaild.doctor.facts import freebsd, host, linux, tls
from jaild.doctor.facts import peers as greetings
from jaild.doctor.facts import zfs as pools
from jaild.model.errors import JaildError
from jaild.ports.process import Processes

Load = Callable[[], Config]


def main(processes: Processes, path: Path, load: Load, *, as_json: bool) -> int:
    """Print the report; return the exit status: 0 if nothing keeps jaild from working, else 1."""
    found = asyncio.run(examine(processes, path, load))
    sys.stdout.write((report.json(found) if as_json else report.text(found)) + "\n")
    return 1 if found.errors else 0


async def examine(processes: Processes, path: Path, load: Load) -> Report:
    """Look at everything. `load` reads the configuration that is at `path`."""
    config, problem = None, ""
    try:
        config = load()
    except JaildError as error:
        problem = error.message
    checks = [any_host.root(os.geteuid()), any_host.configuration(str(path), problem)]
    checks += await guarded("system", _system(processes, config))
    checks += await guarded("zfs", _zfs(processes, config))
    if config is not None:
        checks += await guarded("folders", _folders(config))
        checks += await guarded("certificates", _certificates(processes, config))
        checks += await guarded("peers", _peers(processes, config))
    name = config.host_name if config is not None else os.uname().nodename.partition(".")[0]
    return Report(host=name, version=version("jaild"), checks=tuple(checks))


async def guarded(topic: str, work: Awaitable[list[Check]]) -> list[Check]:
    """Return the checks; one that says so if the facts cannot be had: the others are wanted all the same."""
    try:
        return await work
    except (JaildError, OSError, ValueError) as error:
        message = f"cannot be looked at: {error.message if isinstance(error, JaildError) else error!r}"
        remedy = error.remedy if isinstance(error, JaildError) else "this is a defect of jaild: please report it"
        return [Check(topic=topic, findings=(report.error("CHECK_FAILED", message, remedy),))]


async def _system(processes: Processes, config: Config | None) -> list[Check]:
    network = config.network if config is not None else Network()
    if sys.platform.startswith("freebsd"):
        run = config.run if config is not None else Config().run
        facts = await freebsd.facts(processes, bridge=bool(network.bridge), run_folder=run)
        checks = freebsd_host.checks(facts)
        running, programs, packages = await freebsd.processes_running(processes), freebsd.PROGRAMS, freebsd.PACKAGES
    else:
        checks = linux_host.checks(await linux.facts(processes, bridge=network.bridge))
        running, programs, packages = linux.processes_running(), linux.PROGRAMS, linux.PACKAGES
    clock = any_host.clock(host.clock(running))
    return [*checks, any_host.programs(host.missing(programs), packages), clock]


async def _zfs(processes: Processes, config: Config | None) -> list[Check]:
    kernel = await freebsd.kernel(processes) if sys.platform.startswith("freebsd") else ""
    facts: ZfsFacts = await pools.zfs(processes, kernel=kernel)
    if config is None or facts.problem:
        return [any_zfs.version(facts)]
    pool: PoolFacts = await pools.pool(processes, config.dataset, fuse=facts.fuse)
    encrypted = pool.encryption not in {"off", "-", ""}
    return [any_zfs.version(facts, encrypted=encrypted, atime=pool.atime == "on"), any_zfs.pool(pool)]


async def _folders(config: Config) -> list[Check]:
    paths = {"state": config.state, "run": config.run, "logs": config.logs, "socket": config.socket}
    places = any_host.places(host.places(paths))
    return [places, any_host.daemon(str(config.socket), await host.answers(config.socket))]


async def _certificates(processes: Processes, config: Config) -> list[Check]:
    files = {f"peers.{name}.tls": peer.tls for name, peer in sorted(config.peers.items())}
    if config.listen is not None:
        files = {"listen.tls": config.listen.tls} | files
    found = await tls.certificates(processes, files)
    return [certificates.check(config.host_name, found, host.clock(()).now)]


async def _peers(processes: Processes, config: Config) -> list[Check]:
    record = await pools.host_id(processes, config.dataset) if config.peers else ""
    identity = msgspec.json.decode(record, type=dict[str, object]).get("id", "") if record else ""
    peers = GrpcPeers(config.peers)
    try:
        addresses = {name: peer.address for name, peer in config.peers.items()}
        return any_host.peers(await greetings.greet(peers, addresses, str(identity), config.host_name))
    finally:
        await peers.close()
