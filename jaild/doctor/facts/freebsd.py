"""What FreeBSD's own tools say of the host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from jaild.doctor.checks import freebsd
from jaild.doctor.checks.freebsd import FreebsdFacts
from jaild.model.errors import UnavailableError
from jaild.ports.process import Processes

PROGRAMS = (
    *("jail", "jls", "jexec", "mount", "umount", "ifconfig", "rctl", "cpuset", "devfs", "daemon", "ps", "sysctl"),
    *("kldload", "kldstat", "freebsd-version"),
    *("zfs", "zpool", "bsdtar", "openssl", "pwd_mkdb", "cap_mkdb", "services_mkdb"),
)
PACKAGES = "it is part of FreeBSD's base: install the set or package that it is missing from"
_RULESET = "4"  # what jails get: devfsrules_jail of /etc/defaults/devfs.rules


async def facts(topic: str, processes: Processes, *, bridge: bool, run_folder: Path) -> FreebsdFacts:
    """Ask for what the check of `topic` needs, and for nothing else."""
    names = freebsd.SYSCTLS.get(topic, ())
    values = {name: value for name in names if (value := await sysctl(processes, name))}
    more = await _MORE[topic](processes) if topic in _MORE else {}
    return FreebsdFacts(sysctls=values, bridge=bridge, run_folder=str(run_folder), **more)


async def sysctl(processes: Processes, name: str) -> str:
    """Return a value; '' if the kernel does not know it."""
    return (await processes.run(("sysctl", "-n", name), check=False)).text.strip()


async def kernel(processes: Processes) -> str:
    """Return the installed kernel's version with its patch level: 13.2-RELEASE-p7; '' if nothing tells it."""
    try:
        return (await processes.run(("freebsd-version", "-k"), check=False)).text.strip()
    except UnavailableError:  # told among the programs
        return ""


async def processes_running(processes: Processes) -> list[str]:
    """Return the names of all processes."""
    return (await processes.run(("ps", "-ax", "-o", "comm="), check=False)).text.split()


async def _modules(processes: Processes) -> dict[str, Any]:
    wanted = (*freebsd.NEEDED, *freebsd.FOR_OWN_NETWORK)
    loaded = freebsd.modules_of((await processes.run(("kldstat",), check=False)).text)
    built_in = [  # parts of the kernel are modules too, but not listed as files
        name
        for name in wanted
        if name not in loaded and (await processes.run(("kldstat", "-q", "-m", name), check=False)).status == 0
    ]
    files = [name for name in wanted if (Path("/boot/kernel") / f"{name}.ko").exists()]
    return {"modules": loaded | frozenset(built_in), "loadable": frozenset(files)}


async def _devices(processes: Processes) -> dict[str, Any]:
    rules = await processes.run(("devfs", "rule", "-s", _RULESET, "show"), check=False)
    return {"device_rules": len(rules.text.splitlines())}


async def _packages(processes: Processes) -> dict[str, Any]:
    try:
        # Without -N the stub in base would offer to fetch pkg (pkg(7)).
        answer = await processes.run(("pkg", "-N"), check=False)
    except UnavailableError:  # not even the stub: a base need not have it
        return {}
    return {"packages": answer.text.strip() or answer.error_text.strip()} if answer.status == 0 else {}


_MORE: Mapping[str, Callable[[Processes], Awaitable[dict[str, Any]]]] = {
    "modules": _modules,
    "devices": _devices,
    "pkg": _packages,
}
