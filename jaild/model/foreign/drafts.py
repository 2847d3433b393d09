"""Parts of a spec that all tools say in their own words: addresses, commands, limits, flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from jaild.model.foreign import texts
from jaild.model.foreign.jail import Left
from jaild.model.jails.spec import Limits, Mode, Network

_SHELL = re.compile(r"[;&|<>$`()*?\[\]{}~#\\'\"]")  # jail(8) gives such a command to sh(1), others it splits
_AMOUNT = re.compile(r"(?:(?P<action>\w+)=)?(?P<amount>\d+)(?P<unit>[bkmgtp]?)(?:/jail)?", re.IGNORECASE)
_V6_HOST, _V4_HOST = "/128", "/32"
_PERCENT = 100  # rctl(8)'s pcpu is of one CPU
LAST, USUAL = 1000, 99  # places in the order at boot


def command(text: str) -> tuple[str, ...]:
    """Return the argument vector that jail(8) makes of a command."""
    if _SHELL.search(text):
        return ("/bin/sh", "-c", text)
    return tuple(text.split())


@dataclass
class Addresses:
    """Addresses as tools list them: INTERFACE|ADDRESS/PREFIX, with commas or spaces between."""

    addresses: list[str] = field(default_factory=list)
    interfaces: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def take(self, key: str, text: str) -> None:
        """Take a list. What is no address, such as DHCP, is left."""
        for item in filter(None, re.split(r"[,\s]+", text)):
            interface, bar, address = item.rpartition("|")
            if not re.fullmatch(r"[0-9a-fA-F.:]+(/\d+)?", address) or address.isalpha():
                why = "an address of DHCP or SLAAC: a spec names addresses"
                self.left.append(Left(key=key, value=item, why=why))
                continue
            if "/" not in address:
                address += _V6_HOST if ":" in address else _V4_HOST
            self.addresses.append(address)
            if bar and interface not in self.interfaces:
                self.interfaces.append(interface)

    def shared(self, key: str) -> Network:
        """Return the network of a jail with these on one of the host's interfaces."""
        for other in self.interfaces[1:]:
            self.left.append(Left(key=key, value=other, why="a spec names one interface for all addresses"))
        interface = self.interfaces[0] if self.interfaces else None
        return Network(mode=Mode.SHARED_IP, addresses=tuple(self.addresses), interface=interface)


def limits(values: Iterable[tuple[str, str, str]], cpuset: str | None = None) -> tuple[Limits, list[Left]]:
    """Return rctl(8)'s limits: key as the tool has it, resource, and action=amount. `cpuset`: a list of CPUs."""
    found = Limits(cpuset=cpuset.replace(" ", ",") if cpuset else None)
    left = []
    for key, resource, text in values:
        match = _AMOUNT.fullmatch(text)
        if match is None or resource not in _LIMITS or (match["action"] or "deny").lower() != "deny":
            left.append(Left(key=key, value=text, why="a spec has limits of memory, CPUs, processes and open files"))
        else:
            found = msgspec.structs.replace(found, **_LIMITS[resource](int(match["amount"]), match["unit"].upper()))
    return found, left


_LIMITS: Mapping[str, Callable[[int, str], dict[str, str | int | float]]] = {
    "memoryuse": lambda amount, unit: {"memory": f"{amount}{unit.replace('B', '')}"},
    "pcpu": lambda amount, _: {"cpus": amount / _PERCENT},
    "maxproc": lambda amount, _: {"processes": amount},
    "openfiles": lambda amount, _: {"open_files": amount},
}


def ruleset(number: str, devfs: str, left: list[Left]) -> str | None:
    """Return the name of a devfs ruleset; None for that of all jails. `devfs`: the text of /etc/devfs.rules."""
    if number in {"", "4", "devfsrules_jail"}:
        return None
    names = texts.rulesets(devfs)
    if number not in names and number not in names.values():
        left.append(Left(key="devfs_ruleset", value=number, why="/etc/devfs.rules does not name it"))
        return None
    return names.get(number, number)


def shares_sysvipc(values: Mapping[str, str], left: list[Left]) -> bool:
    """Return whether a jail has System V IPC of its own, by jail(8)'s three parameters."""
    for key, value in values.items():
        if value == "inherit":
            left.append(Left(key=key, value=value, why="a jail of jaild has System V IPC of its own, or none"))
    return "new" in values.values()


def order(text: str) -> int:
    """Return a priority at boot as `boot.order` takes it; lower is first in all tools."""
    return min(int(text), LAST) if text.isdecimal() else USUAL
