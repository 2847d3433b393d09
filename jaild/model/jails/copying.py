"""What a copy of a jail has of the original's spec: all but what there can be only once."""

from __future__ import annotations

import msgspec

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.spec import HealthCheck, JailSpec, Mode, Network, NetworkCheck
from jaild.model.problems import Problem, Severity


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How a copy is reached, where that is to be another way than the original is."""

    addresses: tuple[str, ...] = ()  # with prefix length, in the place of the original's
    gateway: str | None = None  # in the place of the original's
    without_ports: bool = False  # no port of the host leads into it
    without_network: bool = False  # nothing but a loopback interface

    def applied(self, network: Network) -> Network:
        """Return the copy's network. `InvalidArgumentError` (NETWORK_CONTRADICTS)."""
        if self.without_network:
            if self.addresses or self.gateway:
                raise InvalidArgumentError(
                    "NETWORK_CONTRADICTS",
                    "the copy is to have addresses, and no network",
                    hint="ask for the one or the other",
                )
            return Network(mode=Mode.NONE)
        return msgspec.structs.replace(
            network,
            addresses=self.addresses or network.addresses,
            gateway=self.gateway or network.gateway,
            ports=() if self.without_ports else network.ports,
        )


def copied(
    spec: JailSpec, reach: Reach, original: str, *, keeps_name: bool = False
) -> tuple[JailSpec, tuple[Problem, ...]]:
    """Return a copy's spec, and notes of what it has not.

    Its hostname becomes its own name, no host keeps a replica, and without a network no check over one can pass.
    """
    left = {}
    unreached = _unreached(spec) if reach.without_network else spec
    if unreached != spec:
        left["health"] = "the checks over the network, of which the copy has none"
    if spec.hostname is not None and not keeps_name:
        left["hostname"] = f"{spec.hostname}: the copy has its own name"
    if spec.standby is not None:
        left["standby"] = f"{', '.join(spec.standby.peers)}: no host keeps a replica of the copy"
    problems = tuple(
        Problem(
            severity=Severity.NOTE,
            code="NOT_COPIED",
            message=f"{field} of {original} is not copied: {what}",
            subject=f"$.{field}",
            hint="configure the copy if it is to have one",
        )
        for field, what in left.items()
    )
    hostname = spec.hostname if keeps_name else None
    network = reach.applied(spec.network)
    return msgspec.structs.replace(unreached, hostname=hostname, standby=None, network=network), problems


def of_original(spec: JailSpec, reach: Reach, original: str, how: str = "give it others (--ip)") -> tuple[Problem, ...]:
    """Return the warning that a copy gets the addresses of its original, which may still run on another host.

    `how`: what to do about it.
    """
    network = spec.network
    if not network.addresses or reach.addresses or reach.without_network:
        return ()
    told = ", ".join(network.addresses)
    return (
        Problem(
            severity=Severity.WARNING,
            code="ADDRESSES_OF_ORIGINAL",
            message=f"it gets the addresses of {original}, {told}: only one of the two may run",
            subject="$.network.addresses",
            hint=f"{how}, or stop the original",
        ),
    )


def _unreached(spec: JailSpec) -> JailSpec:
    """Return a spec without the checks that ask over the network."""
    liveness = spec.liveness
    if liveness is not None:
        liveness = msgspec.structs.replace(liveness, checks=_without_network(liveness.checks))
    return msgspec.structs.replace(spec, health=_without_network(spec.health), liveness=liveness)


def _without_network(checks: tuple[HealthCheck, ...]) -> tuple[HealthCheck, ...]:
    return tuple(check for check in checks if not isinstance(check, NetworkCheck))
