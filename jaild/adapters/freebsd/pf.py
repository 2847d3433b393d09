"""Ports of the host that lead into a jail: redirects in a pf(4) anchor of the jail's own, `jaild/NAME`.

The administrator's pf.conf says `rdr-anchor "jaild/*"`; jaild touches nothing but what is below that.
"""

from __future__ import annotations

from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Kernel
from jaild.adapters.runtime import hostports
from jaild.model.errors import JaildError
from jaild.model.jails import network as netcheck
from jaild.model.jails.spec import Mode, Network
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, RunSpec

ANCHORS = 'rdr-anchor "jaild/*"'
_FORWARDING = {4: ("net.inet.ip.forwarding", "gateway_enable"), 6: ("net.inet6.ip6.forwarding", "ipv6_gateway_enable")}
# What is said where there is nothing to clear: pf is not loaded, or there is no such anchor (15.1, with status 0).
_NOTHING_THERE = ("/dev/pf: No such file or directory", "DIOCGETRULES: Invalid argument")


def anchor(jail: str) -> str:
    """Return the anchor of a jail's redirects; one for all generations, since only one is reachable at a time."""
    return f"jaild/{jail}"


def rules(network: Network) -> str:
    """Return the redirects in the words of pf.conf(5).

    `pass`: a port that the spec opens is open. `(self)`: every address of the host, also those that come later.
    """
    lines = []
    for port, address in netcheck.port_targets(network):
        family = "inet6" if address.version == 6 else "inet"  # noqa: PLR2004
        here, there = f"{port.address or '(self)'} port {port.host}", f"{address} port {port.jail or port.host}"
        lines.append(f"rdr pass {family} proto {port.protocol} from any to {here} -> {there}\n")
    return "".join(lines)


class Redirects:
    """The redirects of one host's jails."""

    def __init__(self, processes: Processes, kernel: Kernel) -> None:
        self._processes = processes
        self._kernel = kernel

    async def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return why this host cannot redirect what is wanted: PORTS_UNSUPPORTED, PORT_TAKEN, NETWORK_MISSING."""
        network = demands.network
        if not network.ports:
            return []
        info = await self._processes.run(("pfctl", "-s", "info"), check=False)
        if "Status: Enabled" not in info.text:
            why, hint = "pf is not enabled", "`sysrc pf_enable=YES` and `service pf start`"
            return [hostports.unsupported(why, hint, resource)]
        found: list[JaildError] = []
        nat = await self._processes.run(("pfctl", "-s", "nat"), check=False)
        if ANCHORS not in nat.text:
            hint = "put that line into pf.conf before the filter rules, and `service pf reload`"
            found.append(hostports.unsupported(f"pf.conf does not say {ANCHORS}", hint, resource))
        for version in sorted({address.version for _, address in netcheck.port_targets(network)}):
            name, variable = _FORWARDING[version]
            if network.mode is Mode.VNET and (await self._kernel.values(name)).get(name) != "1":
                why, hint = f"{name} is not 1", f"`sysrc {variable}=YES` and `sysctl {name}=1`"
                found.append(hostports.unsupported(why, hint, resource))
        return [*found, *hostports.problems(network.ports, resource)]

    async def load(self, run: RunSpec) -> None:
        """Let the run's ports lead into it, and no others of the jail."""
        if run.network.ports:
            argv = ("pfctl", "-a", anchor(run.jail), "-f", "-")
            done = await self._processes.run(argv, stdin=rules(run.network).encode(), check=False)
            if done.status != 0:
                raise explain(done, run.name)

    async def clear(self, run: RunSpec) -> None:
        """Let none lead into it. No error if none does."""
        if run.network.ports:
            done = await self._processes.run(("pfctl", "-a", anchor(run.jail), "-F", "nat"), check=False)
            if done.status != 0 and not any(said in done.error_text for said in _NOTHING_THERE):
                raise explain(done, run.name)
