"""A jail's network on Linux as requests of rtnetlink(7), the host's as arguments of ip(8): pure.

Mode `vnet`: a namespace with a veth whose inner end is `eth0`. Both ends are up from the beginning, so that no carrier
has to be waited for later, and it has its addresses: no jail may change them (no CAP_NET_ADMIN). Attached it is on the
bridge. A run that is not attached reaches nobody.
Mode `none`: the OCI runtime makes an empty namespace by itself; its loopback interface gets the addresses there are.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.runtime.refusals import FIELD
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails.spec import Mode
from jaild.ports.runtime import Demands, RunSpec, Traffic

INNER = "eth0"
Argv = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HostNetwork:
    """What the host offers its jails."""

    bridge: str  # of mode vnet; made if missing; empty: none
    address: str | None = None  # of the host on the bridge, with prefix length
    uplink: str | None = None  # interface that is put on the bridge
    shared: str | None = None  # interface of mode shared-ip


def mac(uid: str) -> str:
    """Return the jail's MAC address: the same on every host, unicast, locally administered (IEEE 802)."""
    digest = bytearray(hashlib.sha256(f"jaild-mac:{uid}".encode()).digest()[:6])
    digest[0] = digest[0] & 0xFC | 0x02
    return digest.hex(":")


def prefix(run_folder: Path) -> str:
    """Return what this daemon's namespaces begin with: two daemons on one host may run the same jail's generations."""
    return f"jl{hashlib.sha256(str(run_folder).encode()).hexdigest()[:6]}-"


def namespace(run_folder: Path, jail: str, generation: int) -> str:
    """Return the name of a run's namespace."""
    return f"{prefix(run_folder)}{jail}.{generation}"


def outer(run_folder: Path, uid: str, generation: int) -> str:
    """Return the host's end of a run's veth: 14 characters (IFNAMSIZ allows 15)."""
    return "jl" + hashlib.sha256(f"{run_folder}:{uid}:{generation}".encode()).hexdigest()[:12]


def parse_counters(text: str) -> dict[str, Traffic]:
    """Return what interfaces carried out of /proc/net/dev (proc(5)), by name, as the other end of a veth sees it."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, counted = line.partition(":")
        received, *_, sent = counted.split()[:9]  # bytes received first, bytes sent ninth
        found[name.strip()] = Traffic(received=int(sent), sent=int(received))
    return found


def maker(run_folder: Path) -> str:
    """Return the alias (description) of a bridge that this daemon made: it may delete it. 255 bytes at most."""
    return f"jaild {run_folder}"[:255]


def stays(bridge: str, ports: Collection[str]) -> str:
    """Say why a bridge is not deleted."""
    return f"the bridge {bridge} stays: {', '.join(sorted(ports))} on it"


def prepare(host: HostNetwork, run_folder: Path, *, bridge_exists: bool, bridge_mac: str) -> list[Argv]:
    """Return what makes the bridge, or brings an existing one to what is wanted.

    `bridge_mac` is given at its birth: a bridge without one takes its ports' lowest, which each jail may change.
    """
    if not host.bridge:
        return []
    found: list[Argv] = []
    if not bridge_exists:
        kind = ("type", "bridge", "stp_state", "0", "forward_delay", "0")
        found.append(("ip", "link", "add", "name", host.bridge, "address", bridge_mac, *kind))
        found.append(("ip", "link", "set", "dev", host.bridge, "alias", maker(run_folder)))
    if host.address:
        found.append(("ip", "addr", "replace", host.address, "dev", host.bridge))
    if host.uplink:
        found.append(("ip", "link", "set", "dev", host.uplink, "master", host.bridge, "up"))
    found.append(("ip", "link", "set", "dev", host.bridge, "up"))
    return found


def bridge(run: Demands, host: HostNetwork) -> str:
    """Return the bridge of a run in mode vnet; raise `FailedPreconditionError` (NETWORK_MISSING) if none is set."""
    return run.network.bridge or host.bridge or _missing(run, "bridge")


def interface(run: Demands, host: HostNetwork) -> str:
    """Return the interface of a run in mode shared-ip, or raise `FailedPreconditionError` (NETWORK_MISSING)."""
    return run.network.interface or host.shared or _missing(run, "shared interface")


def needed(run: Demands, host: HostNetwork) -> str:
    """Return the interface that a run cannot do without; raise `FailedPreconditionError` (NETWORK_MISSING)."""
    if run.network.mode is Mode.VNET:
        return bridge(run, host)
    return interface(run, host) if run.network.mode is Mode.SHARED_IP else ""


def missing(demands: Demands, host: HostNetwork, there: Collection[str], resource: str) -> list[JaildError]:
    """Return NETWORK_MISSING if the host lacks what `demands` need; `there` are its interfaces."""
    try:
        wanted = needed(demands, host)
    except FailedPreconditionError as error:
        return [error]
    if not wanted or wanted in there:
        return []
    return [
        FailedPreconditionError(
            "NETWORK_MISSING",
            f"network mode {demands.network.mode} needs the interface {wanted}, and this host has none of that name",
            hint="make the interface, or name another in the jail's spec or the daemon's configuration",
            resource=resource,
            detail={FIELD: "$.network"},
        )
    ]


def hosts_own(demands: Demands, host: HostNetwork, resource: str) -> list[JaildError]:
    """Return ADDRESS_IN_USE for the host's own address on the bridge that a jail in mode vnet would be put on."""
    network = demands.network
    if network.mode is not Mode.VNET or host.address is None or network.bridge not in {None, host.bridge}:
        return []
    mine = ipaddress.ip_interface(host.address).ip
    return [
        FailedPreconditionError(
            "ADDRESS_IN_USE",
            f"{mine} is this host's own on the bridge {host.bridge}: all jails there reach it by that address",
            hint="give the jail an address of its own",
            resource=resource,
            detail={FIELD: f"$.network.addresses[{index}]"},
        )
        for index, address in enumerate(network.addresses)
        if ipaddress.ip_interface(address).ip == mine
    ]


def taken(run: RunSpec, held: Collection[str], there: Collection[str]) -> list[JaildError]:
    """Return ADDRESS_IN_USE for addresses of a run in mode shared-ip that are on the host's interface already.

    They are the host's own, or somebody else's: at its stop the jail would take them along. `there` and `held`, what
    another generation of the jail has put there, are without prefix length.
    """
    plain = [str(ipaddress.ip_interface(address).ip) for address in run.network.addresses]
    return [
        FailedPreconditionError(
            "ADDRESS_IN_USE",
            f"{address} is on the host's interface already, and not by {run.jail}",
            hint="give the jail an address of its own: the host would lose this one when the jail stops",
            resource=run.name,
            detail={FIELD: f"$.network.addresses[{index}]"},
        )
        for index, address in enumerate(plain)
        if run.network.mode is Mode.SHARED_IP and address in there and address not in held
    ]


def _missing(run: Demands, what: str) -> str:
    raise FailedPreconditionError(
        "NETWORK_MISSING",
        f"network mode {run.network.mode} is wanted, and this host has no {what}",
        hint="name one in the jail's spec or in the daemon's configuration, or use another network mode",
        detail={FIELD: "$.network"},
    )
