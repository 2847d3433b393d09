"""What FreeBSD's own tools say of the host."""

from __future__ import annotations

from pathlib import Path

from jaild.doctor.checks import freebsd
from jaild.doctor.checks.freebsd import FreebsdFacts
from jaild.ports.process import Processes

PROGRAMS = (
    *("jail", "jls", "jexec", "mount", "umount", "ifconfig", "rctl", "cpuset", "devfs", "daemon", "ps", "sysctl"),
    *("zfs", "zpool", "bsdtar", "openssl", "pwd_mkdb", "cap_mkdb", "services_mkdb"),
)
PACKAGES = "it is part of FreeBSD's base: install the set or package that it is missing from"
_RULESET = "4"  # what jails get: devfsrules_jail of /etc/defaults/devfs.rules


async def facts(processes: Processes, *, bridge: bool, run_folder: Path) -> FreebsdFacts:
    """Ask for all of them."""
    wanted = (*freebsd.NEEDED, *freebsd.FOR_OWN_NETWORK)
    rules = await processes.run(("devfs", "rule", "-s", _RULESET, "show"), check=False)
    return FreebsdFacts(
        sysctls={name: value for name in freebsd.SYSCTLS if (value := await sysctl(processes, name))},
        modules=await _modules(processes, wanted),
        loadable=frozenset(name for name in wanted if (Path("/boot/kernel") / f"{name}.ko").exists()),
        device_rules=len(rules.text.splitlines()),
        packages=await _packages(processes),
        bridge=bridge,
        run_folder=str(run_folder),
    )


async def sysctl(processes: Processes, name: str) -> str:
    """Return a value; '' if the kernel does not know it."""
    return (await processes.run(("sysctl", "-n", name), check=False)).text.strip()


async def kernel(processes: Processes) -> str:
    """Return the installed kernel's version with its patch level: 13.2-RELEASE-p7."""
    return (await processes.run(("freebsd-version", "-k"), check=False)).text.strip()


async def processes_running(processes: Processes) -> list[str]:
    """Return the names of all processes."""
    return (await processes.run(("ps", "-ax", "-o", "comm="), check=False)).text.split()


async def _modules(processes: Processes, wanted: tuple[str, ...]) -> frozenset[str]:
    loaded = freebsd.modules_of((await processes.run(("kldstat",), check=False)).text)
    built_in = [  # parts of the kernel are modules too, but not listed as files
        name
        for name in wanted
        if name not in loaded and (await processes.run(("kldstat", "-q", "-m", name), check=False)).status == 0
    ]
    return loaded | frozenset(built_in)


async def _packages(processes: Processes) -> str:
    # Without -N the stub in base would offer to fetch pkg (pkg(7)).
    answer = await processes.run(("pkg", "-N"), check=False)
    return answer.text.strip() or answer.error_text.strip() if answer.status == 0 else ""
