"""A jail's network on FreeBSD as arguments of ifconfig(8) and parameters of jail.conf(5): pure.

Mode `vnet`: vnet with an epair, made with the run and not on the bridge before it starts. jail(8) moves its inner end
into the jail, and the kernel gives it back, under its name and without addresses, when the jail is gone.
Mode `shared-ip`: jail(8) puts the addresses on the host's interface and takes them away. Mode `host`: inherited.
Mode `none`: vnet with no interface but its own lo0, which has the addresses if there are any.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from pathlib import Path

from jaild.adapters.freebsd.jailconf import Value
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import HostNetwork, mac
from jaild.model.jails.spec import Mode
from jaild.ports.runtime import RunSpec, Traffic

Argv = tuple[str, ...]
EPAIR_MTU = "1500"  # of a new one


def ends(run_folder: Path, uid: str, generation: int) -> tuple[str, str]:
    """Return the names of a run's epair: the host's end and the jail's, 15 characters each, which is the most."""
    stem = "jl" + hashlib.sha256(f"{run_folder}:{uid}:{generation}".encode()).hexdigest()[:12]
    return f"{stem}a", f"{stem}b"


def parse_counters(text: str) -> dict[str, Traffic]:
    """Return what interfaces carried out of netstat(1)'s JSON, by name, as the other end of an epair sees it.

    An interface has a line for itself, of the network `<Link#N>`, and one for each of its addresses.
    """
    told = json.loads(text).get("statistics", {}).get("interface", ())
    return {
        each["name"]: Traffic(received=int(each["sent-bytes"]), sent=int(each["received-bytes"]))
        for each in told
        if each.get("network", "").startswith("<Link")
    }


def parse_members(text: str) -> frozenset[str]:
    """Return a bridge's members out of `ifconfig BRIDGE`."""
    rows = (line.split() for line in text.splitlines())
    return frozenset(row[1] for row in rows if len(row) > 1 and row[0] == "member:")


def parse_addresses(text: str) -> frozenset[str]:
    """Return the addresses, without prefix or scope, out of `ifconfig INTERFACE`."""
    rows = (line.split() for line in text.splitlines())
    return frozenset(row[1].partition("%")[0] for row in rows if len(row) > 1 and row[0] in {"inet", "inet6"})


def parse_ether(text: str) -> str:
    """Return the MAC address out of `ifconfig INTERFACE`; '' if it has none, as lo0."""
    rows = (line.split() for line in text.splitlines())
    return next((row[1] for row in rows if len(row) > 1 and row[0] == "ether"), "")


def bridge_made(host: HostNetwork, run_folder: Path, created: str) -> list[Argv]:
    """Return what makes the just created bridge `created` the one that is wanted."""
    named = [("ifconfig", created, "name", host.bridge)] if created != host.bridge else []
    return [*named, ("ifconfig", host.bridge, "description", oci_network.maker(run_folder))]


def parse_description(text: str) -> str:
    """Return the description out of `ifconfig INTERFACE`; '' if it has none."""
    rows = (line.strip().partition(": ") for line in text.splitlines())
    return next((rest for key, _, rest in rows if key == "description"), "")


def bridge_brought_up(host: HostNetwork, shown: str) -> list[Argv]:
    """Return what brings a bridge, as `ifconfig BRIDGE` shows it, to what is wanted."""
    found: list[Argv] = []
    if host.address and _plain(host.address) not in parse_addresses(shown):
        found.append(("ifconfig", host.bridge, _family(host.address), host.address, "alias"))
    if host.uplink and host.uplink not in parse_members(shown):
        found.append(("ifconfig", host.bridge, "addm", host.uplink))
        found.append(("ifconfig", host.uplink, "up"))
    return [*found, ("ifconfig", host.bridge, "up")]


def epair_named(created: str, run: RunSpec, run_folder: Path) -> list[Argv]:
    """Return what makes the just created epair, told by its first end's name (`epair0a`), the run's.

    The kernel's own MAC addresses depend on the host (if_epair(4)), so both are set: the jail's moves with the jail.
    ifconfig(8) does one after the other, the address last, by the name that the interface has by then.
    """
    outer, inner = ends(run_folder, run.uid, run.generation)
    return [
        ("ifconfig", created, "ether", mac(f"{run.uid}:host:{run.generation}"), "name", outer, "up"),
        ("ifconfig", created[:-1] + "b", "ether", mac(run.uid), "name", inner),
    ]


def joined(outer: str, inner: str, bridge: str, shown: str) -> list[Argv]:
    """Return what puts an epair on a bridge, as `ifconfig BRIDGE` shows it: with its MTU, or it would be refused."""
    found = re.search(r"\bmtu (\d+)", shown)
    mtu = found[1] if found else EPAIR_MTU
    fitted: list[Argv] = [] if mtu == EPAIR_MTU else [("ifconfig", end, "mtu", mtu) for end in (outer, inner)]
    return [*fitted, ("ifconfig", bridge, "addm", outer)]


def ether(inner: str, run: RunSpec) -> Argv:
    """Return what gives the jail's end the jail's own MAC address."""
    return ("ifconfig", inner, "ether", mac(run.uid))


def parameters(run: RunSpec, host: HostNetwork, run_folder: Path) -> dict[str, Value]:
    """Return the network's parameters in jail.conf."""
    if run.network.mode is Mode.VNET:
        return {"vnet": None, "vnet.interface": ends(run_folder, run.uid, run.generation)[1]}
    if run.network.mode is Mode.NONE:
        return {"vnet": None}
    if run.network.mode is Mode.HOST:
        return {"ip4": "inherit", "ip6": "inherit"}
    interface = oci_network.interface(run, host)
    found: dict[str, list[str]] = {}
    for address in run.network.addresses:
        key = "ip6.addr" if ":" in address else "ip4.addr"
        found.setdefault(key, []).append(f"{interface}|{address}")
    return dict(found)


def inside(run: RunSpec, run_folder: Path) -> list[str]:
    """Return exec.start's commands that set up a vnet jail's interfaces, in words that need no quoting.

    They run in the jail, by its own ifconfig(8) and route(8): the host's can do so (`-j`) from FreeBSD 14 only.
    """
    if run.network.mode not in {Mode.VNET, Mode.NONE}:
        return []
    found = ["/sbin/ifconfig lo0 inet 127.0.0.1/8 up"]
    if run.network.mode is Mode.NONE:
        return found + [f"/sbin/ifconfig lo0 {_family(address)} {address} alias" for address in run.network.addresses]
    interface = ends(run_folder, run.uid, run.generation)[1]
    # A new epair has IFDISABLED (as recorded). no_dad: to wait for a second whether somebody else has the address would
    # be downtime, and the address moves with the jail. One command sets both flags and the first IPv6 address.
    flags = "-ifdisabled no_dad "
    changes = []
    for address in run.network.addresses:
        changes.append(f"{_family(address)} {flags if ':' in address else ''}{address} alias ")
        flags = "" if ":" in address else flags
    *others, last = changes or [""]
    found += [f"/sbin/ifconfig {interface} {change.rstrip()}" for change in others]
    found.append(f"/sbin/ifconfig {interface} {last}up")
    if run.network.gateway:
        gateway = run.network.gateway
        scope = f"%{interface}" if ipaddress.ip_address(gateway).is_link_local else ""
        found.append(f"/sbin/route add -{_family(gateway)} default {gateway}{scope}")
    return found


def left_aliases(run: RunSpec, host: HostNetwork, shown: str) -> list[Argv]:
    """Return what takes a shared run's addresses off the interface that `shown` describes, those that are there."""
    interface, there = oci_network.interface(run, host), parse_addresses(shown)
    plain = (_plain(address) for address in run.network.addresses)
    return [("ifconfig", interface, _family(a), a, "-alias") for a in plain if a in there]


def _family(address: str) -> str:
    return "inet6" if ":" in address else "inet"


def _plain(address: str) -> str:
    """Return an address without its prefix length, as ifconfig(8) writes it."""
    return str(ipaddress.ip_interface(address).ip)
