"""The tools by their names: which files of a jail are read, where, and what describes it by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaild.model.foreign import bastille, ezjail, iocage, pot
from jaild.model.foreign.jail import ForeignJail, Tool
from jaild.model.foreign.keys import Key


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How a tool's jails are read."""

    root: str  # where the tool has its things, unless it is said otherwise
    files: Mapping[str, str]  # paths below that root, or absolute; with {name}, and {safe}: what ezjail makes of it
    needed: tuple[str, ...]  # of the files: one of these tells that there is such a jail
    read: Callable[[str, str, Mapping[str, str]], ForeignJail]  # its name, the root, texts of the files that are there
    keys: Mapping[str, Key]
    commands: Mapping[str, tuple[str, ...]]  # what starts and stops a jail, and what keeps it from starting at boot

    def paths(self, name: str) -> dict[str, str]:
        """Return the files of a jail."""
        return {key: path.format(name=name, safe=ezjail.safe(name)) for key, path in self.files.items()}


READERS: Mapping[Tool, Reader] = {
    Tool.IOCAGE: Reader(
        root=iocage.ROOT,
        files=iocage.FILES,
        needed=("config",),
        read=iocage.read,
        keys=iocage.KEYS,
        commands={
            "start": ("iocage", "start", "{name}"),
            "stop": ("iocage", "stop", "{name}"),
            "disable": ("iocage", "set", "boot=off", "{name}"),
        },
    ),
    Tool.BASTILLE: Reader(
        root=bastille.ROOT,
        files=bastille.FILES,
        needed=("config",),
        read=bastille.read,
        keys=bastille.KEYS,
        commands={
            "start": ("bastille", "start", "{name}"),
            "stop": ("bastille", "stop", "{name}"),
            "disable": ("bastille", "config", "{name}", "set", "boot", "off"),
        },
    ),
    Tool.POT: Reader(
        root=pot.ROOT,
        files=pot.FILES,
        needed=("config",),
        read=pot.read,
        keys=pot.KEYS,
        commands={
            "start": ("pot", "start", "{name}"),
            "stop": ("pot", "stop", "{name}"),
            "disable": ("pot", "set-attribute", "-p", "{name}", "-A", "start-at-boot", "-V", "NO"),
        },
    ),
    Tool.EZJAIL: Reader(
        root=ezjail.ROOT,
        files=ezjail.FILES,
        needed=("config", "norun"),
        read=ezjail.read,
        keys=ezjail.KEYS,
        commands={
            "start": ("service", "ezjail", "onestart", "{name}"),
            "stop": ("service", "ezjail", "onestop", "{name}"),
            "disable": ("ezjail-admin", "config", "-r", "norun", "{name}"),
        },
    ),
}


def command(tool: Tool, what: str, name: str) -> tuple[str, ...]:
    """Return what starts or stops a tool's jail, or keeps it from starting at boot."""
    return tuple(word.format(name=name) for word in READERS[tool].commands[what])
