"""`jaild doctor`: looks at the host and says how to fix it.

It needs no daemon, and no configuration that can be read: a broken one is a problem. Facts are gathered by
`jaild.doctor.facts`, what they mean is decided by `jaild.doctor.checks`. Nothing is changed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from jaild.adapters.peers import GrpcPeers
from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.system.keys import ConfiguredKeys
from jaild.adapters.zfs.embedded import file_of
from jaild.adapters.zfs.private_namespace import kernel_has_zfs, running
from jaild.config import Config, Network
from jaild.doctor.checks import backups as backup_targets
from jaild.doctor.checks import certificates, registries, report
from jaild.doctor.checks import freebsd as freebsd_host
from jaild.doctor.checks import host as any_host
from jaild.doctor.checks import linux as linux_host
from jaild.doctor.checks import sinks as event_sinks
from jaild.doctor.checks import zfs as any_zfs
from jaild.doctor.checks.freebsd import FreebsdFacts
from jaild.doctor.checks.linux import LinuxFacts
from jaild.doctor.checks.report import Check, Report
from jaild.doctor.facts import backups as target_facts
from jaild.doctor.facts import freebsd, host, keys, linux, tls
from jaild.doctor.facts import peers as greetings
from jaild.doctor.facts import registries as registry_facts
from jaild.doctor.facts import sinks as sink_facts
from jaild.doctor.facts import zfs as pools
from jaild.model.errors import JaildError
from jaild.ports.process import Processes

Load = Callable[[], Config]


def main(processes: Processes, path: Path, load: Load, *, as_json: bool, embedded: Path | None = None) -> int:
    """Print the report; return the exit status: 0 if nothing keeps jaild from working, else 1."""
    found = asyncio.run(examine(processes, path, load, embedded=embedded))
    sys.stdout.write((report.json(found) if as_json else report.text(found)) + "\n")
    return 1 if found.errors else 0


async def examine(
    processes: Processes, path: Path, load: Load, *, system: str = sys.platform, embedded: Path | None = None
) -> Report:
    """Look at everything of a host of `system`. `load` reads the configuration that is at `path`.

    Of an `embedded` host (its folder) that does not run, what its start needs is looked at, and not what it makes.
    """
    config, problem = None, ""
    try:
        config = load()
    except JaildError as error:
        problem = error.message
    checks = [any_host.root(os.geteuid()), any_host.configuration(str(path), problem)]
    on_freebsd = system.startswith("freebsd")
    for topic, look in (_freebsd if on_freebsd else _linux)(processes, config, embedded):
        checks += await guarded(topic, look)
    checks += await guarded("zfs", _zfs(processes, config, embedded, on_freebsd=on_freebsd))
    if config is not None:
        checks += await guarded("pool", _pool(processes, config, embedded))
        checks += await guarded("folders", _folders(config))
        checks += await guarded("daemon", _daemon(config, embedded))
        checks += await guarded("certificates", _certificates(processes, config))
        checks += await guarded("event sinks", _sinks(processes, config))
        checks += await guarded("registries", _registries(config))
        checks += await guarded("backup targets", _targets(config))
        checks += await guarded("keys", _keys(processes, config))
        checks += await guarded("peers", _peers(processes, config))
    name = config.host_name if config is not None else os.uname().nodename.partition(".")[0]
    return Report(host=name, version=version("jaild"), checks=tuple(checks))


async def guarded(topic: str, work: Awaitable[list[Check]]) -> list[Check]:
    """Return the checks; one that says so if the facts cannot be had: the others are wanted all the same."""
    try:
        return await work
    except (JaildError, OSError, ValueError, LookupError) as error:
        message = f"cannot be looked at: {error.message if isinstance(error, JaildError) else error!r}"
        hint = error.hint if isinstance(error, JaildError) else "this is a defect of jaild: please report it"
        return [Check(topic=topic, problems=(report.error("CHECK_FAILED", message, hint),))]


def _freebsd(
    processes: Processes, config: Config | None, _: Path | None
) -> Iterator[tuple[str, Awaitable[list[Check]]]]:
    bridge = bool((config.network if config is not None else Network()).bridge)
    run = (config if config is not None else Config()).run

    async def of(topic: str, check: Callable[[FreebsdFacts], Check]) -> list[Check]:
        return [check(await freebsd.facts(topic, processes, bridge=bridge, run_folder=run))]

    async def clock() -> list[Check]:
        return [any_host.clock(host.clock(await freebsd.processes_running(processes)))]

    for topic, check in freebsd_host.CHECKS.items():
        yield topic, of(topic, check)
    yield "programs", _programs(freebsd.PROGRAMS, freebsd.PACKAGES)
    yield "clock", clock()


def _linux(
    processes: Processes, config: Config | None, embedded: Path | None
) -> Iterator[tuple[str, Awaitable[list[Check]]]]:
    bridge = (config.network if config is not None else Network()).bridge

    async def of(topic: str, check: Callable[[LinuxFacts], Check]) -> list[Check]:
        return [check(await linux.facts(topic, processes, bridge=bridge))]

    async def clock() -> list[Check]:
        return [any_host.clock(host.clock(linux.processes_running()))]

    for topic, check in linux_host.CHECKS.items():
        yield topic, of(topic, check)
    own_zfs = ("zfs-fuse",) if embedded is not None and not kernel_has_zfs() else ()
    yield "programs", _programs((*linux.PROGRAMS, *own_zfs), linux.PACKAGES)
    yield "clock", clock()


async def _programs(programs: Sequence[str], packages: str) -> list[Check]:
    return [any_host.programs(host.missing(programs), packages)]


async def _zfs(processes: Processes, config: Config | None, embedded: Path | None, *, on_freebsd: bool) -> list[Check]:
    if embedded is not None and not kernel_has_zfs():
        return [any_zfs.own_fuse(runs=running(embedded) is not None)]
    kernel = await freebsd.kernel(processes) if on_freebsd else ""
    facts = await pools.zfs(processes, kernel=kernel)
    if config is None or facts.problem:
        return [any_zfs.version(facts)]
    found = await pools.properties(processes, config.dataset)
    jails = await pools.properties(processes, f"{config.dataset}/jails") or found
    encrypted = found.get("encryption", "off") not in {"off", "-", ""}
    return [any_zfs.version(facts, encrypted=encrypted, atime=jails.get("atime") == "on")]


async def _pool(processes: Processes, config: Config, embedded: Path | None) -> list[Check]:
    if embedded is not None and not kernel_has_zfs() and running(embedded) is None:
        return _own_pool(embedded)
    facts = await pools.zfs(processes)
    if facts.problem:  # which the check of ZFS tells
        return []
    pool = await pools.pool(processes, config.dataset, fuse=facts.fuse)
    return _own_pool(embedded) if pool.problem and embedded is not None else [any_zfs.pool(pool)]


def _own_pool(embedded: Path) -> list[Check]:
    file = file_of(embedded)
    return [any_zfs.own_pool(str(file), there=file.exists())]


async def _folders(config: Config) -> list[Check]:
    paths = {"state": config.state, "run": config.run, "logs": config.logs, "socket": config.socket}
    return [any_host.places(host.places(paths))]


async def _daemon(config: Config, embedded: Path | None) -> list[Check]:
    answers = await host.answers(config.socket)
    if embedded is not None and not answers:
        return [Check(topic="daemon", summary=f"not started: jaild --embedded {embedded}")]
    found = any_host.daemon(str(config.socket), answers)
    told = event_sinks.warned(await sink_facts.warnings(config.socket)) if answers else ()
    return [msgspec.structs.replace(found, problems=(*found.problems, *told))]


async def _keys(processes: Processes, config: Config) -> list[Check]:
    return await keys.keys(sorted(config.keys), ConfiguredKeys(processes, config.keys))


async def _sinks(processes: Processes, config: Config) -> list[Check]:
    return event_sinks.check(sink_facts.sinks(config.event_sinks, SinkAdapters(processes)))


async def _registries(config: Config) -> list[Check]:
    files = registry_facts.files(config.registries)
    return registries.check(len(config.registries), registry_facts.skopeo(), files)


async def _targets(config: Config) -> list[Check]:
    return backup_targets.check(target_facts.targets(config.backups))


async def _certificates(processes: Processes, config: Config) -> list[Check]:
    found = await tls.certificates(processes, config.tls_files())
    return [certificates.check(config.host_name, found, host.clock(()).now)]


async def _peers(processes: Processes, config: Config) -> list[Check]:
    record = await pools.host_id(processes, config.dataset) if config.peers else ""
    identity = msgspec.json.decode(record, type=dict[str, object]).get("id", "") if record else ""
    peers = GrpcPeers(config.peers)
    try:
        addresses = {name: peer.address for name, peer in config.peers.items()}
        answers = await greetings.greet(peers, addresses, str(identity), config.host_name)
        return any_host.peers(answers, is_new=not identity)
    finally:
        await peers.close()
