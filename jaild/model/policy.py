"""How far product teams reach on a host: a policy for each grant, as the operator writes it in the configuration.

What is left out of a policy has the default that it has for grants without one: what is safe on a host of which nothing
is known. `jaild.model.jails.policy_check` holds specs and recipes against it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from jaild.model import quantity, syslog
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.spec import PRIVILEGES, Limits, Mode, Positive

Range = ipaddress.IPv4Network | ipaddress.IPv6Network
Limit = Literal["memory", "cpus", "processes", "open_files", "quota"]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT = 65535
_URL = re.compile(r"(pkg\+)?https?://[^/]+(/.*)?")


def _require_size(text: str | None) -> None:
    try:
        if text is not None:
            quantity.parse(text)
    except InvalidArgumentError as error:
        raise ValueError(error.message) from error


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown keys are mistakes."""


class Ceilings(_Strict, frozen=True):
    """The most that a jail's limits may be. One that is named has to be in the spec: without it there is no limit."""

    memory: str | None = None  # bytes, or 512M, 2G
    cpus: Annotated[float, msgspec.Meta(gt=0)] | None = None  # cores, fractions allowed
    processes: Positive | None = None  # at once
    open_files: Positive | None = None  # of one process

    def __post_init__(self) -> None:
        """Raise `ValueError` for a size that is none."""
        _require_size(self.memory)


class BuildPolicy(_Strict, frozen=True):
    """How far builds reach. Their limits and their time are not asked of a recipe: every build has them."""

    networks: tuple[Literal["none", "host"], ...] = ("none", "host")  # that a step may use
    repositories: tuple[str, ...] | None = None  # addresses that packages may come from, and what is below; None: any
    time: Seconds = 86_400.0  # of all steps of a build together
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        """Raise `ValueError` for an address or size that is none."""
        _require_size(self.limits.memory)
        for url in self.repositories or ():
            if not _URL.fullmatch(url):
                raise ValueError(f"{url!r} is not a repository's address: https://pkg.example.org/FreeBSD")


class Policy(_Strict, frozen=True):
    """What the specs of a product team may ask for, beyond what its jails have already."""

    networks: tuple[Mode, ...] = (Mode.NONE, Mode.VNET, Mode.HOST)  # modes that a jail may have
    addresses: tuple[str, ...] | None = None  # ranges; None: the subnet of the host's own address on its bridge
    bridges: tuple[str, ...] = ()  # mode vnet, besides the host's configured one; a VLAN is a bridge of its own
    interfaces: tuple[str, ...] = ()  # mode shared-ip, besides the host's configured one
    ports: tuple[int | str, ...] = ("1024-65535",)  # of the host, that may lead into a jail: 8080, 9000-9099
    allow: tuple[str, ...] = ("raw_sockets", "sysvipc", "mlock")  # what a jail may be allowed beyond the usual
    allow_on_host: tuple[str, ...] = ()  # raw_sockets, socket_af: in modes host and shared-ip, too
    devfs_rulesets: tuple[str, ...] = ()  # besides the default
    limits: Ceilings = Ceilings()
    quota: str | None = None  # the most that a jail's data may take; to be named in the spec then
    volumes: str | None = None  # the most that all volumes of a jail may take together; each needs a quota then
    required: tuple[Limit, ...] = ()  # limits that a spec has to name, however high
    hooks: tuple[str, ...] = ()  # ranges of addresses that hooks may call, from the host
    syslog: tuple[str, ...] = ()  # addresses that jails' logs may be sent to, from the host
    standby: tuple[str, ...] | None = None  # hosts that may keep replicas; None: any
    builds: BuildPolicy = BuildPolicy()

    def __post_init__(self) -> None:
        """Raise `ValueError` for what can be no range, port, privilege or size."""
        for text in (*(self.addresses or ()), *self.hooks):
            ipaddress.ip_network(text)
        for ports in self.ports:
            port_range(ports)
        for name in (*self.allow, *self.allow_on_host):
            if name not in PRIVILEGES:
                raise ValueError(f"{name!r} is not what a jail can be allowed; there are {', '.join(PRIVILEGES)}")
        for address in self.syslog:
            syslog.place(address)
        _require_size(self.quota)
        _require_size(self.volumes)

    @property
    def ranges(self) -> tuple[Range, ...] | None:
        """Its address ranges; None for any address."""
        return None if self.addresses is None else tuple(ipaddress.ip_network(text) for text in self.addresses)


def port_range(text: int | str) -> range:
    """Return the ports of `8080` or `9000-9099`. Raises `ValueError`."""
    match = _PORTS.fullmatch(str(text))
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if not 0 < first <= last <= _LAST_PORT:
        raise ValueError(f"{text!r} is not a port or a range of ports: 8080, 9000-9099")
    return range(first, last + 1)


def on_host(policy: Policy | None, *, address: str | None, bridge: str, shared: str | None) -> Policy:
    """Return a grant's policy (None: the default) with what is known of its host.

    `address` is the host's own on the bridge, with prefix length: where a policy names no ranges, jails belong into
    that subnet. Without it nothing is known, and any address is let through. The host's `bridge` and its interface for
    mode `shared-ip` may be named in a spec, which is the same as not naming them.
    """
    found = policy or Policy()
    addresses = found.addresses
    if addresses is None and address is not None:
        addresses = (str(ipaddress.ip_interface(address).network),)
    return msgspec.structs.replace(
        found,
        addresses=addresses,
        bridges=_with(found.bridges, bridge),
        interfaces=_with(found.interfaces, shared),
    )


def _with(names: Iterable[str], name: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*names, *([name] if name else [])]))
