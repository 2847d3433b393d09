"""What a FreeBSD host needs beside ZFS: jails, their kernel modules, limits, device rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jaild.doctor.checks.report import Check, error, note, warning
from jaild.model.problems import Problem

OLDEST = 1301000  # osreldate of 13.1: kern.boot_id and OpenZFS 2.1 are there
NEEDED = ("nullfs", "tmpfs")
FOR_OWN_NETWORK = ("if_bridge", "if_epair")
# Defaults that every new jail takes over where its configuration does not say: jail(8), security.jail.
OPEN_DEFAULTS = (
    "security.jail.mount_allowed",
    "security.jail.allow_raw_sockets",
    "security.jail.sysvipc_allowed",
    "security.jail.chflags_allowed",
)
SYSCTLS = {  # what each check asks for
    "system": ("kern.osreldate", "kern.osrelease"),
    "jails": ("security.jail.jailed", "kern.features.vimage", "security.jail.enforce_statfs", *OPEN_DEFAULTS),
    "modules": ("kern.securelevel",),
    "limits": ("kern.racct.enable",),
}
_KLD = re.compile(r"^\s*\d+\s+\d+\s+0x\S+\s+\S+\s+(\S+)\.ko$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class FreebsdFacts:
    """What sysctl(8), kldstat(8), devfs(8) and pkg(8) said; for one check no more than it needs."""

    sysctls: Mapping[str, str] = field(default_factory=dict)  # absent: the kernel does not know it
    modules: frozenset[str] = frozenset()  # loaded, or part of the kernel
    loadable: frozenset[str] = frozenset()  # there as a file
    device_rules: int = 0  # in the ruleset that jails get
    packages: str = ""  # what `pkg -N` says; '' if pkg is not installed
    bridge: bool = True  # network.bridge is set
    run_folder: str = "/var/run/jaild"


def modules_of(kldstat: str) -> frozenset[str]:
    """Return the names of the files that kldstat(8) lists; what is part of the kernel is not among them."""
    return frozenset(_KLD.findall(kldstat))


def _system(facts: FreebsdFacts) -> Check:
    release, date = facts.sysctls.get("kern.osrelease", "?"), _number(facts, "kern.osreldate")
    problems: tuple[Problem, ...] = ()
    if date < OLDEST:
        problems = (error("SYSTEM_TOO_OLD", f"FreeBSD {release} is too old", "update to 13.1 or later"),)
    if " " in facts.run_folder:
        what = f"run: {facts.run_folder} has a blank in its name, and mount(8) tells mounts in columns"
        problems += (error("PLACE_UNUSABLE", what, "set `run` to a path without blanks"),)
    return Check(topic="system", summary=f"FreeBSD {release}, osreldate {date}", problems=problems)


def _jails(facts: FreebsdFacts) -> Check:
    problems: list[Problem] = []
    if facts.sysctls.get("security.jail.jailed") == "1":
        what = "this host is itself a jail"
        problems.append(
            error("INSIDE_A_JAIL", what, "run jaild on the host: jails of a jail have neither vnet nor pools")
        )
    if facts.bridge and facts.sysctls.get("kern.features.vimage") != "1":
        hint = (
            'boot a kernel with "options VIMAGE" (GENERIC has it), or set network.bridge to "" and do without mode vnet'
        )
        problems.append(error("VNET_MISSING", "this kernel has no vnet", hint))
    if "security.jail.enforce_statfs" in facts.sysctls and _number(facts, "security.jail.enforce_statfs") < 2:  # noqa: PLR2004
        what = "jails see the host's mounts (security.jail.enforce_statfs below 2)"
        problems.append(warning("JAIL_DEFAULT_OPEN", what, "sysctl security.jail.enforce_statfs=2, and in sysctl.conf"))
    for name in OPEN_DEFAULTS:
        if facts.sysctls.get(name) == "1":
            what = f"every new jail gets what {name}=1 allows"
            problems.append(warning("JAIL_DEFAULT_OPEN", what, f"sysctl {name}=0, and take it out of sysctl.conf"))
    return Check(topic="jails", summary="jail(8), vnet" if not problems else "jail(8)", problems=tuple(problems))


def _modules(facts: FreebsdFacts) -> Check:
    wanted = (*NEEDED, *(FOR_OWN_NETWORK if facts.bridge else ()))
    problems = []
    locked = _number(facts, "kern.securelevel") > 0
    for name in (name for name in wanted if name not in facts.modules):
        line = f'{name}_load="YES" in /boot/loader.conf, and a boot'
        if name not in facts.loadable:
            hint = "install the kernel's modules (the package or set `kernel`), or build a kernel with it"
            problems.append(error("MODULE_MISSING", f"the kernel has no {name}, and no such module is there", hint))
        elif locked:
            what = f"{name} is not loaded, and the securelevel forbids loading it"
            problems.append(error("MODULE_MISSING", what, line))
        else:
            problems.append(note("MODULE_NOT_LOADED", f"{name} is not loaded: jaild loads it when it starts", line))
    return Check(topic="modules", summary=", ".join(wanted), problems=tuple(problems))


def _limits(facts: FreebsdFacts) -> Check:
    if facts.sysctls.get("kern.racct.enable") == "1":
        return Check(topic="limits", summary="racct is on")
    what = "racct is off: limits in specs are refused, but for a whole number of CPUs; usage is counted by ps(1)"
    hint = 'kern.racct.enable="1" in /boot/loader.conf, and a boot'
    if "kern.racct.enable" not in facts.sysctls:
        what, hint = (
            "this kernel has no racct: limits in specs are refused",
            "boot a kernel with options RACCT and RCTL",
        )
    return Check(topic="limits", problems=(warning("RACCT_OFF", what, hint),))


def _devices(facts: FreebsdFacts) -> Check:
    if facts.device_rules:
        return Check(topic="devices", summary=f"devfs ruleset 4 has {facts.device_rules} rules")
    hint = "sysrc devfs_load_rulesets=YES; service devfs restart"
    problem = error("DEVFS_RULESET_MISSING", "devfs ruleset 4 is empty: jails would see every device", hint)
    return Check(topic="devices", problems=(problem,))


def _packages(facts: FreebsdFacts) -> Check:
    if facts.packages:
        return Check(topic="pkg", summary=facts.packages)
    # A recipe's packages need none: each build gets pkg from the recipe's repository, in its own jail.
    what = "pkg is not installed, or registers no package: no base can be put together from packages"
    problem = warning("PKG_MISSING", what, "pkg bootstrap, if you use base install")
    return Check(topic="pkg", problems=(problem,))


def _number(facts: FreebsdFacts, name: str) -> int:
    text = facts.sysctls.get(name, "")
    return int(text) if text.lstrip("-").isdigit() else 0


# By topic. Each has facts of its own, so that what cannot be learned for one keeps no other from its problems.
CHECKS: Mapping[str, Callable[[FreebsdFacts], Check]] = {
    "system": _system,
    "jails": _jails,
    "modules": _modules,
    "limits": _limits,
    "devices": _devices,
    "pkg": _packages,
}
