"""What a Linux kernel and the OCI runtimes say of the host."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from jaild.adapters.oci import cgroup as oci_cgroup
from jaild.adapters.oci import mounts
from jaild.adapters.oci.mounts import Mounted
from jaild.adapters.zfs.private_namespace import kernel_has_zfs
from jaild.doctor.checks.linux import NAMESPACES, LinuxFacts
from jaild.model.errors import UnavailableError
from jaild.ports.process import Processes

PROGRAMS = ("zfs", "zpool", "bsdtar", "ip", "mount", "umount", "unshare", "nsenter", "openssl")
PACKAGES = "on Debian: apt-get install libarchive-tools iproute2 util-linux openssl, and zfsutils-linux or zfs-fuse"
_RUNTIMES = ("runc", "crun")  # in the order in which the daemon takes them
_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")


async def facts(topic: str, processes: Processes, *, bridge: str) -> LinuxFacts:
    """Look and ask for what the check of `topic` needs, and for nothing else."""
    return LinuxFacts(bridge=bridge, **await _GATHER[topic](processes))


async def _runtime(processes: Processes) -> dict[str, Any]:
    found = [(name, version) for name in _RUNTIMES if (version := await _version(processes, name))]
    return {"runtimes": tuple(found), "layout": layout(mounts.mounted())}


async def _groups(_: Processes) -> dict[str, Any]:
    table = mounts.mounted()
    return {"layout": layout(table), "controllers": frozenset(oci_cgroup.controllers(table))}


async def _system(processes: Processes) -> dict[str, Any]:
    namespaces = frozenset(name for name in NAMESPACES if Path("/proc/self/ns", name).exists())
    return {"kernel": platform.release(), "namespaces": namespaces, "bridges": await _bridges(processes)}


async def _fuse(_: Processes) -> dict[str, Any]:
    return {"kernel_zfs": kernel_has_zfs(), "fuse": Path("/dev/fuse").exists()}


_GATHER: Mapping[str, Callable[[Processes], Awaitable[dict[str, Any]]]] = {
    "runtime": _runtime,
    "control groups": _groups,
    "system": _system,
    "zfs module": _fuse,
}


def layout(table: list[Mounted]) -> str:
    """Return how control groups are mounted: unified, hybrid, legacy or none."""
    old = any(mount.kind == "cgroup" and "name=systemd" not in mount.super_options for mount in table)
    new = any(mount.kind == "cgroup2" for mount in table)
    return "hybrid" if old and new else "legacy" if old else "unified" if new else "none"


def processes_running() -> list[str]:
    """Return the names of all processes, as far as this one sees them."""
    found = []
    for process in Path("/proc").glob("[0-9]*/comm"):
        try:
            found.append(process.read_text("utf-8", "replace").strip())
        except OSError:  # it ended meanwhile
            continue
    return found


async def _version(processes: Processes, name: str) -> str:
    try:
        answer = await processes.run((name, "--version"), check=False)
    except UnavailableError:
        return ""
    return answer.text.partition("\n")[0].rpartition(" ")[2] if answer.status == 0 else ""


async def _bridges(processes: Processes) -> bool:
    if Path("/sys/module/bridge").exists() or any(Path("/sys/class/net").glob("*/bridge")):
        return True
    try:
        return (await processes.run(("modprobe", "-n", "-q", "bridge"), check=False)).status == 0
    except UnavailableError:  # no modprobe: what there is is part of the kernel, and shows when a bridge is made
        return True
