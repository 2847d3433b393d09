"""The rules of `$.network.ports`, and which ports of the host several jails want at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from jaild.model.findings import Finding, Severity
from jaild.model.jails.spec import JailSpec, Network, Port


def mistakes(network: Network) -> Iterator[tuple[str, str]]:
    """Yield path and message of each broken rule."""
    if network.ports and network.mode not in {"own", "shared"}:
        yield "$.network.ports", f"mode {network.mode} has none: leave them out, or use mode own or shared"
        return
    versions = {6 if ":" in address else 4 for address in network.addresses}
    for index, port in enumerate(network.ports):
        path = f"$.network.ports[{index}]"
        if port.address is not None:
            yield from _address_mistakes(f"{path}.address", port.address, versions)
        elif network.mode == "shared":
            yield f"{path}.address", "mode shared needs it: the jail's own addresses are among the host's"
        if any(overlap(port, other) for other in network.ports[:index]):
            yield path, f"{spoken(port)} is there twice"


def conflicts(name: str, spec: JailSpec, others: Mapping[str, JailSpec]) -> tuple[Finding, ...]:
    """Return what `spec` for jail `name` takes that another jail has already: PORT_IN_USE."""
    taken = [(other, port) for other in sorted(others) if other != name for port in others[other].network.ports]
    return tuple(
        Finding(
            severity=Severity.ERROR,
            code="PORT_IN_USE",
            message=f"{spoken(port)} of the host leads into jail {other} already",
            subject=f"$.network.ports[{index}]",
            remedy=f"give {name} another port, or take it from {other} first",
            evidence=(f"jails/{other}: {spoken(theirs)}",),
        )
        for index, port in enumerate(spec.network.ports)
        for other, theirs in taken
        if overlap(port, theirs)
    )


def overlap(one: Port, two: Port) -> bool:
    """Tell whether a packet could be meant by both."""
    same = one.protocol == two.protocol and one.host == two.host
    return same and (one.address is None or two.address is None or _equal(one.address, two.address))


def spoken(port: Port) -> str:
    """Return a port as people write it: `tcp/8080`, `tcp/8080 at 192.0.2.7`."""
    return f"{port.protocol}/{port.host}" + (f" at {port.address}" if port.address else "")


def targets(network: Network) -> list[tuple[Port, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """Return where each port leads: for each family that the port and the jail have, the jail's first address."""
    first: dict[int, ipaddress.IPv4Address | ipaddress.IPv6Address] = {}
    for text in network.addresses:
        address = ipaddress.ip_interface(text).ip
        first.setdefault(address.version, address)
    return [
        (port, address)
        for port in network.ports
        for version, address in sorted(first.items())
        if port.address is None or ipaddress.ip_address(port.address).version == version
    ]


def _address_mistakes(path: str, text: str, versions: set[int]) -> Iterator[tuple[str, str]]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        yield path, f"{text!r} is not an address: write it without a prefix length"
        return
    if address.is_multicast or address.is_unspecified or "%" in text:
        yield path, f"{text} is not an address that a host has: leave it out for all of the host's"
    elif address.version not in versions:
        yield path, f"the jail has no IPv{address.version} address that it could lead to"


def _equal(one: str, two: str) -> bool:
    return ipaddress.ip_address(one) == ipaddress.ip_address(two)
