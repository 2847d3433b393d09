"""Carries out `freebsd_network`'s commands, knowing what is there already."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from jaild.adapters.freebsd import network
from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Kernel
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.runtime import announce
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails.spec import Mode
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, Run, RunSpec, Traffic

_KERNELS_OWN = re.compile(r"bridge[0-9]+")  # a name that a bridge can be created with; others are given afterwards


class Links:
    """The networks of one daemon's runs."""

    def __init__(self, processes: Processes, kernel: Kernel, run_folder: Path, host: HostNetwork) -> None:
        self._processes = processes
        self._kernel = kernel
        self._run_folder = run_folder
        self._host = host
        self._unused: set[str] = set()  # jails' ends that were made here, and in no jail yet

    async def prepare(self) -> None:
        """Make the bridge, or bring it to what is wanted."""
        if not self._host.bridge:
            return
        for module in ("if_bridge", "if_epair"):
            await self._run(("kldload", "-n", module), module)
        if self._host.bridge not in await self._kernel.interfaces():
            created = await self._new_bridge()
            await self._all(network.bridge_made(self._host, self._run_folder, created), created)
        shown = await self._run(("ifconfig", self._host.bridge), self._host.bridge)
        await self._all(network.bridge_brought_up(self._host, shown), self._host.bridge)

    async def withdraw(self) -> list[str]:
        """Delete the bridge if this daemon made it; return why it stays if something is on it."""
        bridge = self._host.bridge
        if not bridge or bridge not in await self._kernel.interfaces():
            return []
        shown = await self._run(("ifconfig", bridge), bridge)
        if network.parse_description(shown) != oci_network.maker(self._run_folder):
            return []
        if members := network.parse_members(shown):
            return [oci_network.stays(bridge, members)]
        await self._run(("ifconfig", bridge, "destroy"), bridge)
        return []

    async def traffic(self, runs: Collection[Run]) -> Mapping[str, Traffic]:
        """Return what went over the networks of those that have their own, by jail, counted at the host's ends."""
        counted = network.parse_counters(
            await self._run(("netstat", "-i", "-b", "-n", "-W", "--libxo", "json"), "netstat")
        )
        names = {run.jail: network.ends(self._run_folder, run.uid, run.generation)[0] for run in runs}
        return {jail: counted[name] for jail, name in names.items() if name in counted}

    async def _new_bridge(self) -> str:
        """Make a bridge, of the wanted name if the kernel takes it: it keeps one from which a bridge was renamed."""
        if _KERNELS_OWN.fullmatch(self._host.bridge):
            made = await self._processes.run(("ifconfig", self._host.bridge, "create"), check=False)
            if made.status == 0:
                return self._host.bridge
        return (await self._run(("ifconfig", "bridge", "create"), "bridge")).strip()

    async def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return NETWORK_MISSING if the host lacks what the network needs, ADDRESS_IN_USE for its own address."""
        if demands.network.mode not in {Mode.VNET, Mode.SHARED_IP}:
            return []
        own = oci_network.hosts_own(demands, self._host, resource)
        return [*own, *oci_network.missing(demands, self._host, await self._kernel.interfaces(), resource)]

    async def taken(self, run: RunSpec, held: Collection[str] = ()) -> list[JaildError]:
        """Return ADDRESS_IN_USE for what is on the shared interface and not in `held`."""
        if run.network.mode is not Mode.SHARED_IP:
            return []
        interface = oci_network.interface(run, self._host)
        there = network.parse_addresses(await self._run(("ifconfig", interface), interface))
        return oci_network.taken(run, held, there)

    async def create(self, run: RunSpec) -> None:
        """Make the run's epair, on no bridge. What a failure leaves of it is taken away."""
        if run.network.mode is not Mode.VNET:
            return
        created = (await self._run(("ifconfig", "epair", "create"), run.name)).strip()
        try:
            await self._all(network.epair_named(created, run, self._run_folder), run.name)
        except JaildError:
            # Under the name that it has by now; the one that is not there fails, and that is right.
            for name in (created, network.ends(self._run_folder, run.uid, run.generation)[0]):
                await self._processes.run(("ifconfig", name, "destroy"), check=False)
            raise
        self._unused.add(network.ends(self._run_folder, run.uid, run.generation)[1])

    async def attach(self, run: RunSpec) -> None:
        """Put the run's epair on the bridge; make it anew if the last jail, dying, has not given its end back."""
        if run.network.mode is not Mode.VNET:
            return
        outer, inner = network.ends(self._run_folder, run.uid, run.generation)
        there = await self._kernel.interfaces()
        if inner not in there or outer not in there:
            await self.delete(run.uid, run.generation)
            await self.create(run)
        elif inner not in self._unused:  # the kernel need not have kept the address of one that comes back from a jail
            await self._run(network.ether(inner, run), run.name)
        self._unused.discard(inner)
        bridge = oci_network.bridge(run, self._host)
        shown = await self._run(("ifconfig", bridge), bridge)
        if outer not in network.parse_members(shown):
            await self._all(network.joined(outer, inner, bridge, shown), run.name)

    async def detach(self, run: RunSpec) -> None:
        """Make a run without a jail unreachable. No error if it is so."""
        if run.network.mode is Mode.VNET:
            bridge = oci_network.bridge(run, self._host)
            outer = network.ends(self._run_folder, run.uid, run.generation)[0]
            try:
                await self._run(("ifconfig", bridge, "deletem", outer), run.name)
            except FailedPreconditionError as error:
                if error.reason != "NETWORK_MISSING":  # no such bridge, or not on it
                    raise
        elif run.network.mode is Mode.SHARED_IP:
            # jail(8) took the addresses away, unless the jail was removed without its configuration.
            interface = oci_network.interface(run, self._host)
            if interface in await self._kernel.interfaces():
                shown = await self._run(("ifconfig", interface), interface)
                await self._all(network.left_aliases(run, self._host, shown), run.name)

    async def delete(self, uid: str, generation: int) -> None:
        """Take a run's epair away, whatever is left of it."""
        ends = network.ends(self._run_folder, uid, generation)
        left = await self._kernel.interfaces() & set(ends)
        self._unused.discard(ends[1])
        if left:  # one end's destruction takes both, wherever the other is (if_epair(4))
            await self._run(("ifconfig", min(left), "destroy"), min(left))

    async def announce(self, run: RunSpec, jid: int) -> None:
        """Tell the neighbours where the addresses of a run in the jail `jid` are: one frame for each."""
        if run.network.mode is Mode.VNET:
            interface, mac = network.ends(self._run_folder, run.uid, run.generation)[1], oci_network.mac(run.uid)
        elif run.network.mode is Mode.SHARED_IP:
            interface, jid = oci_network.interface(run, self._host), 0
            mac = network.parse_ether(await self._run(("ifconfig", interface), interface))
        else:
            return
        if mac:  # without one it has no neighbours
            # -I and -S: nothing of the daemon's environment or site-packages is needed.
            program = (sys.executable, "-I", "-S", announce.__file__, "bpf")
            await self._run((*program, str(jid), interface, mac, *run.network.addresses), run.name)

    async def _all(self, commands: Sequence[network.Argv], resource: str) -> None:
        for command in commands:
            await self._run(command, resource)

    async def _run(self, argv: network.Argv, resource: str) -> str:
        completed = await self._processes.run(argv, check=False)
        if completed.status != 0:
            raise explain(completed, resource)
        return completed.text
