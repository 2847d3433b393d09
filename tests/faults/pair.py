"""Two hosts side by side, each with a zfs-fuse of its own, and one jail that writes and says what it has written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.zfs.fuse_waker import FuseWaker
from jaild.model.jails import specfile
from jaild.model.layers.records import Manifest
from jaild.model.operation import Operation
from tests.demo.programs import run
from tests.e2e import trees
from tests.fakes.host import caller
from tests.fakes.network import Network
from tests.faults import ledger
from tests.faults.host import RealHost
from tests.zfs_fuse import PrivateZfs, private_zfs_fuse

JAIL = "web"
_BASE, _RELEASE = "tiny-1", "web/1"
_SPEC = trees.spec(
    _BASE,
    _RELEASE,
    command=json.dumps(["/bin/sh", "-c", ledger.WRITER]),
    network="{mode: vnet, addresses: [10.77.0.101/24]}",
)


@dataclass(frozen=True)
class Hosts:
    """Both. Which one is the source changes with every migration."""

    alpha: RealHost
    beta: RealHost
    network: Network

    @property
    def both(self) -> tuple[RealHost, RealHost]:
        """Return the two."""
        return self.alpha, self.beta

    def other(self, host: RealHost) -> RealHost:
        """Return the one that is not `host`."""
        return self.beta if host is self.alpha else self.alpha

    def acknowledged(self) -> list[int]:
        """Return all that the jail has said on either."""
        return [number for host in self.both for number in host.acknowledged(JAIL)]


@contextmanager
def _pools(folder: Path) -> Iterator[dict[str, PrivateZfs]]:
    """Run two zfs-fuse whose file systems are seen in this process's mount namespace, each in a tmpfs of its own."""
    places = {name: folder / name / "pool" for name in ("alpha", "beta")}
    with ExitStack() as stack:
        for place in places.values():
            place.mkdir(parents=True)
            run(["mount", "-t", "tmpfs", "-o", "mode=755", "faults", str(place)])
            stack.callback(run, ["umount", "-l", str(place)])
            run(["mount", "--make-shared", str(place)])
        pools = {}
        for name, place in places.items():
            apart = [other for other in places.values() if other is not place]
            pools[name] = stack.enter_context(private_zfs_fuse(place, f"jf{name}", apart=apart))
            FuseWaker(pools[name].pid, pools[name].pool).start()
        yield pools


@asynccontextmanager
async def two_hosts(folder: Path, cgroup: str) -> AsyncIterator[Hosts]:
    """Bring both up, the jail running on alpha; take everything away afterwards."""
    network = Network()
    with _pools(folder) as pools:
        alpha, beta = (RealHost(folder / name, name, network, pool, f"{cgroup}/{name}") for name, pool in pools.items())
        hosts = Hosts(alpha, beta, network)
        try:
            for host in hosts.both:
                await host.start()
            await _furnish(hosts.alpha, folder)
            yield hosts
        finally:
            for host in hosts.both:
                await host.stop()
                await _stop_jails(host)


async def _furnish(host: RealHost, folder: Path) -> None:
    use_cases = host.core.use_cases
    archive = trees.base(folder / "tiny-1.tgz")
    imported = await use_cases.bases.import_path(_BASE, str(archive), sha256="", caller=caller())
    good(await host.end_of(imported))
    files = {"serve": trees.SERVE, "healthy": "", "version": "version 1\n"}
    await host.add_release(_RELEASE, files, Manifest(command=trees.COMMAND))
    spec = specfile.parse(_SPEC, "faults")
    good(
        await host.end_of(await use_cases.jails.create(JAIL, spec, stopped=False, validate_only=False, caller=caller()))
    )


def good(operation: Operation) -> None:
    """Raise if it failed."""
    if operation.failure is not None:
        raise RuntimeError(f"{operation.kind}: {operation.failure.reason}: {operation.failure.message}")


async def _stop_jails(host: RealHost) -> None:
    for left in await host.runtime.runs():
        await host.runtime.stop(left.jail, left.generation)
        await host.runtime.remove(left.jail, left.generation)


async def migrate(source: RealHost, target: RealHost) -> Operation:
    """Begin to move the jail."""
    return await source.core.use_cases.migrations.migrate(
        JAIL,
        target.name,
        max_downtime=30.0,
        proceed_over_budget=True,
        etag="",
        validate_only=False,
        caller=caller(),
    )


async def forget_copy(host: RealHost) -> None:
    """Free the copy that a host kept of the jail that it handed over, and the layers that came with it."""
    use_cases = host.core.use_cases
    migration = next(view.id for view in use_cases.migrations.list() if view.outgoing and view.phase == "activated")
    app, _, version = _RELEASE.partition("/")
    good(await host.end_of(await use_cases.migrations.finalize(migration, caller=caller())))
    good(await host.end_of(await use_cases.releases.delete(app, version, validate_only=False, caller=caller())))
    good(await host.end_of(await use_cases.bases.delete(_BASE, validate_only=False, caller=caller())))
