"""Ports of the host that lead into a jail: destination NAT in an nftables table of the jail's own."""

from __future__ import annotations

from pathlib import Path

from jaild.adapters.oci import network as oci_network
from jaild.adapters.runtime import hostports
from jaild.model.errors import JaildError, UnavailableError
from jaild.model.jails import network as netcheck
from jaild.model.jails.spec import Mode, Network
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, RunSpec

_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def table(run_folder: Path, jail: str) -> str:
    """Return the name of a jail's table; one for all generations, since only one is reachable at a time."""
    return f"{oci_network.prefix(run_folder)}{jail}"


def nothing(name: str) -> str:
    """Return the script for nft(8) that takes a table away, also one that is not there."""
    return f"add table inet {name}\ndelete table inet {name}\n"


def script(name: str, network: Network) -> str:
    """Return the script for nft(8) that makes a table, or makes it anew, in one transaction.

    `prerouting` is for what comes in, `output` for what the host itself sends to one of its addresses, but for 127/8:
    the kernel drops packets from there that leave for a jail.
    """
    rules = []
    for port, address in netcheck.port_targets(network):
        v6 = address.version == 6  # noqa: PLR2004
        family, target = ("ip6", f"[{address}]") if v6 else ("ip", str(address))
        here = f"{family} daddr {port.address}" if port.address else "fib daddr type local"
        kind = f"meta nfproto {'ipv6' if v6 else 'ipv4'} {here} {port.protocol} dport {port.host}"
        rules.append(f"{kind} dnat {family} to {target}:{port.jail or port.host}\n")
    incoming = "".join(f"    {rule}" for rule in rules)
    return (
        f"{nothing(name)}table inet {name} {{\n"
        f"  chain prerouting {{\n    type nat hook prerouting priority dstnat;\n{incoming}  }}\n"
        f"  chain output {{\n    type nat hook output priority -100;\n    oif lo ip daddr 127.0.0.0/8 accept\n"
        f"{incoming}  }}\n}}\n"
    )


class Redirects:
    """The redirects of one daemon's jails."""

    def __init__(self, processes: Processes, run_folder: Path, sysctls: Path = Path("/proc/sys")) -> None:
        self._processes = processes
        self._run_folder = run_folder
        self._sysctls = sysctls

    async def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return why this host cannot redirect what is wanted: PORTS_UNSUPPORTED, PORT_TAKEN, NETWORK_MISSING."""
        network = demands.network
        if not network.ports:
            return []
        try:
            await self._processes.run(("nft", "list", "tables"))
        except UnavailableError:
            return [hostports.unsupported("nft(8) is not installed", "install nftables", resource)]
        found: list[JaildError] = []
        for version in sorted({address.version for _, address in netcheck.port_targets(network)}):
            file = self._sysctls / _FORWARDING[version]
            if network.mode is Mode.VNET and not (file.exists() and file.read_text("ascii").strip() == "1"):
                name = _FORWARDING[version].replace("/", ".")
                found.append(
                    hostports.unsupported(f"{name} is not 1", f"`sysctl -w {name}=1`, and in /etc/sysctl.d", resource)
                )
        return [*found, *hostports.problems(network.ports, resource)]

    async def load(self, run: RunSpec) -> None:
        """Let the run's ports lead into it, and no others of the jail."""
        if run.network.ports:
            await self._nft(script(table(self._run_folder, run.jail), run.network))

    async def clear(self, run: RunSpec) -> None:
        """Let none lead into it. No error if none does."""
        if run.network.ports:
            await self._nft(nothing(table(self._run_folder, run.jail)))

    async def _nft(self, text: str) -> None:
        await self._processes.run(("nft", "-f", "-"), stdin=text.encode())
