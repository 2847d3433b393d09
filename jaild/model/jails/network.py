"""The rules of a jail's network: modes, addresses, ports of the host, and what two jails cannot both have."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from jaild.model.jails.spec import JailSpec, Mode, Network, Port
from jaild.model.problems import Problem, Severity

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")  # IFNAMSIZ is 16 with the NUL, on both systems
_HTTP = 80  # the port where a URL names none
_V4_WITHOUT_BROADCAST = 31  # from this prefix length on every address is a host's (RFC 3021)


def addresses(spec: JailSpec) -> tuple[Address, ...]:
    """Return the jail's addresses without prefixes. The spec must have passed `mistakes`."""
    return tuple(ipaddress.ip_interface(text).ip for text in spec.network.addresses)


def mistakes(spec: JailSpec) -> Iterator[tuple[str, str]]:
    """Yield path and message of each broken rule of `$.network`."""
    network = spec.network
    yield from _mode_mistakes(network)
    found: list[Interface] = []
    for index, text in enumerate(network.addresses):
        path = f"$.network.addresses[{index}]"
        address = _interface(text)
        if isinstance(address, str):
            yield path, address
        elif address.ip in {other.ip for other in found}:
            yield path, f"{address.ip} is there twice"
        else:
            found.append(address)
            if network.mode is Mode.VNET and address.ip.is_loopback:
                yield path, "a loopback address cannot be reached in mode vnet"
    if network.gateway is not None:
        yield from _gateway_mistakes(network.gateway, found)
    yield from _port_mistakes(network)


def conflicts(name: str, spec: JailSpec, others: Mapping[str, JailSpec]) -> tuple[Problem, ...]:
    """Return what `spec` for jail `name` takes that another jail has already: ADDRESS_IN_USE, PORT_IN_USE.

    An entry of `others` under `name` itself is skipped.
    """
    taken = {
        address: other
        for other in sorted(others, reverse=True)
        if other != name
        for address in addresses(others[other])
    }
    found = tuple(
        Problem(
            severity=Severity.ERROR,
            code="ADDRESS_IN_USE",
            message=f"{address} is the address of jail {taken[address]}",
            subject=f"$.network.addresses[{index}]",
            hint=f"give {name} another address, or take it from {taken[address]} first",
            evidence=(f"jails/{taken[address]}",),
        )
        for index, address in enumerate(addresses(spec))
        if address in taken
    )
    return (*found, *_port_conflicts(name, spec, others))


def probe_mistakes(path: str, text: str, spec: JailSpec) -> Iterator[tuple[str, str]]:
    """Yield why a health check cannot be sent to the address `text`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        yield path, f"{text!r} is not an address: write it without a prefix length"
        return
    own = [entry.ip for entry in map(_interface, spec.network.addresses) if not isinstance(entry, str)]
    if spec.network.mode is Mode.VNET and address not in own:
        yield path, f"{address} is not one of the jail's own addresses"


def hook_target(url: str) -> tuple[Address, int, str]:
    """Return address, port and path (with the query) of a hook's URL. Raises `ValueError` if it cannot be one."""
    if not re.fullmatch(r"[!-~]+", url):
        raise ValueError("it must hold no white space and nothing beyond ASCII; escape other characters with %")
    split = urlsplit(url)
    if split.scheme != "http":
        raise ValueError("only http:// can be called")
    if "@" in split.netloc or split.fragment:
        raise ValueError("no user and no fragment may be in it")
    try:
        address = ipaddress.ip_address(split.hostname or "")
    except ValueError:
        raise ValueError("its host must be an address: a name may lead elsewhere by the time it is called") from None
    if address.is_multicast or address.is_unspecified or "%" in str(address):
        raise ValueError(f"{address} is not an address that can be called")
    return address, split.port or _HTTP, (split.path or "/") + (f"?{split.query}" if split.query else "")


def ports_overlap(one: Port, two: Port) -> bool:
    """Tell whether a packet could be meant by both."""
    same = one.protocol == two.protocol and one.host == two.host
    return same and (one.address is None or two.address is None or _equal(one.address, two.address))


def spoken_port(port: Port) -> str:
    """Return a port as people write it: `tcp/8080`, `tcp/8080 at 192.0.2.7`."""
    return f"{port.protocol}/{port.host}" + (f" at {port.address}" if port.address else "")


def port_targets(network: Network) -> list[tuple[Port, Address]]:
    """Return where each port leads: for each family that the port and the jail have, the jail's first address."""
    first: dict[int, Address] = {}
    for text in network.addresses:
        address = ipaddress.ip_interface(text).ip
        first.setdefault(address.version, address)
    return [
        (port, address)
        for port in network.ports
        for version, address in sorted(first.items())
        if port.address is None or ipaddress.ip_address(port.address).version == version
    ]


def _mode_mistakes(network: Network) -> Iterator[tuple[str, str]]:
    if network.mode in {Mode.HOST, Mode.NONE}:
        if network.addresses:
            why = "has the host's addresses" if network.mode is Mode.HOST else "has no addresses"
            yield "$.network.addresses", f"mode {network.mode} {why}: leave them out, or use mode vnet or shared-ip"
    elif not network.addresses:
        yield "$.network.addresses", f"mode {network.mode} needs at least one address"
    for field, value, mode in (
        ("gateway", network.gateway, Mode.VNET),
        ("bridge", network.bridge, Mode.VNET),
        ("interface", network.interface, Mode.SHARED_IP),
    ):
        if value is None:
            continue
        if network.mode is not mode:
            yield f"$.network.{field}", f"only mode {mode} has it, and this is mode {network.mode}"
        if field != "gateway" and not _INTERFACE.fullmatch(value):
            yield f"$.network.{field}", f"{value!r} is not an interface's name of at most 15 characters"


def _interface(text: str) -> Interface | str:
    """Return the address, or what is wrong with it."""
    host, slash, prefix = text.partition("/")
    if not slash or not prefix.isdecimal() or "%" in host:
        return f"{text!r} needs its prefix length, as in 10.0.0.5/24 or 2001:db8::5/64"
    try:
        address = ipaddress.ip_interface(text)
    except ValueError as error:
        return f"{text!r} is not an address: {error}"
    if address.ip.is_multicast or address.ip.is_unspecified:
        return f"{address.ip} is not an address that a jail can have"
    if isinstance(address, ipaddress.IPv4Interface) and address.network.prefixlen < _V4_WITHOUT_BROADCAST:
        if address.ip == address.network.network_address:
            return f"{address.ip} is the address of the network {address.network} itself"
        if address.ip == address.network.broadcast_address:
            return f"{address.ip} is the broadcast address of {address.network}"
    return address


def _gateway_mistakes(text: str, found: list[Interface]) -> Iterator[tuple[str, str]]:
    path = "$.network.gateway"
    try:
        gateway = ipaddress.ip_address(text)
    except ValueError:
        yield path, f"{text!r} is not an address"
        return
    if any(gateway == address.ip for address in found):
        yield path, f"{gateway} is the jail's own address"
    elif not (gateway.version == 6 and gateway.is_link_local) and not any(gateway in a.network for a in found):  # noqa: PLR2004
        yield path, f"{gateway} is in none of the subnets of the jail's addresses"


def _port_mistakes(network: Network) -> Iterator[tuple[str, str]]:
    if network.ports and network.mode not in {Mode.VNET, Mode.SHARED_IP}:
        yield "$.network.ports", f"mode {network.mode} has none: leave them out, or use mode vnet or shared-ip"
        return
    versions = {6 if ":" in address else 4 for address in network.addresses}
    for index, port in enumerate(network.ports):
        path = f"$.network.ports[{index}]"
        if port.address is not None:
            yield from _port_address_mistakes(f"{path}.address", port.address, versions)
        elif network.mode is Mode.SHARED_IP:
            yield f"{path}.address", "mode shared-ip needs it: the jail's own addresses are among the host's"
        if any(ports_overlap(port, other) for other in network.ports[:index]):
            yield path, f"{spoken_port(port)} is there twice"


def _port_address_mistakes(path: str, text: str, versions: set[int]) -> Iterator[tuple[str, str]]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        yield path, f"{text!r} is not an address: write it without a prefix length"
        return
    if address.is_multicast or address.is_unspecified or "%" in text:
        yield path, f"{text} is not an address that a host has: leave it out for all of the host's"
    elif address.version not in versions:
        yield path, f"the jail has no IPv{address.version} address that it could lead to"


def _port_conflicts(name: str, spec: JailSpec, others: Mapping[str, JailSpec]) -> tuple[Problem, ...]:
    taken = [(other, port) for other in sorted(others) if other != name for port in others[other].network.ports]
    return tuple(
        Problem(
            severity=Severity.ERROR,
            code="PORT_IN_USE",
            message=f"{spoken_port(port)} of the host leads into jail {other} already",
            subject=f"$.network.ports[{index}]",
            hint=f"give {name} another port, or take it from {other} first",
            evidence=(f"jails/{other}: {spoken_port(theirs)}",),
        )
        for index, port in enumerate(spec.network.ports)
        for other, theirs in taken
        if ports_overlap(port, theirs)
    )


def _equal(one: str, two: str) -> bool:
    return ipaddress.ip_address(one) == ipaddress.ip_address(two)
