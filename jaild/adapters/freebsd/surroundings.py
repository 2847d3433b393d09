"""What a run needs of the host besides its tree and its jail: network, ports, limits, devices."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jaild.adapters.freebsd.devfs import Rulesets
from jaild.adapters.freebsd.kernel import Kernel
from jaild.adapters.freebsd.links import Links
from jaild.adapters.freebsd.pf import Redirects
from jaild.adapters.freebsd.rctl import Rctl
from jaild.adapters.freebsd.records import Record
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.runtime import refusals
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, RunSpec


class Surroundings:
    """Those of one daemon's runs. `links` and `rctl` are for what concerns only them."""

    def __init__(self, processes: Processes, kernel: Kernel, run_folder: Path, network: HostNetwork, etc: Path) -> None:
        self.links = Links(processes, kernel, run_folder, network)
        self.rctl = Rctl(processes, kernel)
        self._redirects = Redirects(processes, kernel)
        self._rulesets = Rulesets(processes, etc)

    async def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return what of `demands` this host cannot carry out."""
        found = await self._but_devices(demands, resource)
        try:
            await self._rulesets.number(demands.devfs_ruleset)
        except FailedPreconditionError as error:
            found.append(error)
        return found

    async def _but_devices(self, demands: Demands, resource: str) -> list[JaildError]:
        return [
            *await self.links.problems(demands, resource),
            *await self._redirects.problems(demands, resource),
            *await self.rctl.problems(demands, resource),
        ]

    async def prepare(self, run: RunSpec, held: Collection[str]) -> int:
        """Refuse a run that this host cannot carry out; return the ruleset of its devices.

        `held` are addresses that other generations of the jail have on the host's interfaces.
        """
        refusals.require_none(await self._but_devices(run, run.name))
        refusals.require_none(await self.links.taken(run, held))
        return await self._rulesets.number(run.devfs_ruleset)

    async def attach(self, record: Record) -> None:
        """Make a run reachable, and limit what will be its jail."""
        await self.links.attach(record.spec)
        await self._redirects.load(record.spec)
        await self.rctl.apply(record)

    async def detach(self, record: Record) -> None:
        """Make a run without a jail unreachable. No error if it is so."""
        await self.links.detach(record.spec)
        await self.rctl.lift(record)
        await self._redirects.clear(record.spec)  # last: the administrator's pf must not keep an address on the host
