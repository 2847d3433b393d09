"""What a Linux host needs: an OCI runtime that works with its control groups, namespaces, a bridge, FUSE. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaild.doctor.checks.report import Check, error, warning
from jaild.model.problems import Problem

CONTROLLERS = {"memory": "limits.memory", "cpu": "limits.cpus", "pids": "limits.processes"}
OLDEST = (5, 12)  # mount_setattr(2)
_RELEASE = re.compile(r"(\d+)\.(\d+)")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "uts")


@dataclass(frozen=True, kw_only=True)
class LinuxFacts:
    """What /proc, /sys and the runtimes said; for one check no more than it needs."""

    kernel: str = ""
    layout: str = "none"  # of control groups: unified, hybrid, legacy, none
    controllers: frozenset[str] = frozenset()
    runtimes: tuple[tuple[str, str], ...] = ()  # name, version: those that answer, in the order in which they are taken
    namespaces: frozenset[str] = frozenset()
    bridge: str = ""  # network.bridge; '' for none
    bridges: bool = True  # the kernel has bridges, or a module of them
    kernel_zfs: bool = False
    fuse: bool = True  # /dev/fuse is there


def _runtime(facts: LinuxFacts) -> Check:
    if not facts.runtimes:
        problem = error("RUNTIME_MISSING", "neither runc nor crun works here", "install runc")
        return Check(topic="runtime", problems=(problem,))
    name, version = facts.runtimes[0]
    problems: tuple[Problem, ...] = ()
    if name == "crun" and facts.layout == "hybrid":
        what = "crun refuses hybrid control groups, which this host has"
        problems = (error("RUNTIME_REFUSED", what, "install runc, or boot with systemd.unified_cgroup_hierarchy=1"),)
    return Check(topic="runtime", summary=f"{name} {version}", problems=problems)


def _groups(facts: LinuxFacts) -> Check:
    problems: list[Problem] = []
    if facts.layout == "none":
        what = "no control groups are mounted"
        problems.append(
            error("CGROUP_MISSING", what, "mount -t cgroup2 none /sys/fs/cgroup, or boot with an init that does")
        )
    else:
        for controller, setting in CONTROLLERS.items():
            if controller not in facts.controllers:
                what = f"there is no controller {controller}: {setting} in a spec is refused"
                hint = f"boot with cgroup_enable={controller}, or leave that limit out"
                problems.append(warning("CGROUP_CONTROLLER_MISSING", what, hint, subject=controller))
    known = ", ".join(sorted(facts.controllers)) or "no controllers"
    return Check(topic="control groups", summary=f"{facts.layout}: {known}", problems=tuple(problems))


def _kernel(facts: LinuxFacts) -> Check:
    problems = []
    lacking = [name for name in NAMESPACES if name not in facts.namespaces]
    if lacking:
        what = f"this kernel has no {', '.join(lacking)} namespaces"
        problems.append(error("NAMESPACE_MISSING", what, "boot a kernel with them; a container may forbid them"))
    release = _RELEASE.match(facts.kernel)
    if release is not None and (int(release[1]), int(release[2])) < OLDEST:
        what = f"this kernel is {facts.kernel}: trees are mounted by calls that came with {OLDEST[0]}.{OLDEST[1]}"
        problems.append(error("LINUX_TOO_OLD", what, "boot a newer kernel"))
    if facts.bridge and not facts.bridges:
        what = f"network.bridge is {facts.bridge}, and this kernel has no bridges"
        problems.append(
            error("BRIDGE_MISSING", what, 'modprobe bridge, or set network.bridge to "" and do without mode vnet')
        )
    bridge = f", bridge {facts.bridge}" if facts.bridge else ""
    return Check(topic="system", summary=f"Linux {facts.kernel}, namespaces{bridge}", problems=tuple(problems))


def _fuse(facts: LinuxFacts) -> Check:
    if facts.kernel_zfs:
        return Check(topic="zfs module", summary="the kernel has ZFS")
    if facts.fuse:
        return Check(topic="zfs module", summary="none; /dev/fuse is there for zfs-fuse")
    problem = error("FUSE_MISSING", "neither the kernel's ZFS nor /dev/fuse is there", "modprobe zfs, or modprobe fuse")
    return Check(topic="zfs module", problems=(problem,))


# By topic, as those of a FreeBSD host.
CHECKS: Mapping[str, Callable[[LinuxFacts], Check]] = {
    "runtime": _runtime,
    "control groups": _groups,
    "system": _kernel,
    "zfs module": _fuse,
}
