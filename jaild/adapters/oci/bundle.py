"""A run as the config.json of an OCI bundle (runtime-spec 1.0.2): pure, so that it can be read in a test."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jaild.adapters.runtime.accounts import Account
from jaild.adapters.runtime.refusals import FIELD
from jaild.model import quantity
from jaild.model.errors import FailedPreconditionError, JaildError, ResourceExhaustedError
from jaild.model.jails.spec import Limits, Mode
from jaild.ports.runtime import Demands, RunSpec

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Docker's default set without MKNOD (a jail makes no devices), NET_RAW (jail(8) forbids raw sockets by default too).
_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
# What `PRIVILEGES` of a spec lists, as capabilities. The others every jail may here: System V IPC is of the
# jail's own namespace, and no family of sockets is forbidden.
ALLOW: Mapping[str, tuple[str, ...]] = {
    "raw_sockets": ("CAP_NET_RAW",),
    "sysvipc": (),
    "mlock": ("CAP_IPC_LOCK",),
    "socket_af": (),
}
_MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug"),
    *("/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"),
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_SYS_RESOURCE = 24  # CAP_SYS_RESOURCE
_PERIOD = 100_000  # microseconds: the kernel's default
_LEAST_QUOTA = 1_000  # microseconds: the kernel refuses less


def _mount(target: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": list(options)}


_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)  # as this process was given them: it raises its own

_SYSTEM_MOUNTS = (
    _mount("/proc", "proc", "nosuid", "noexec", "nodev"),
    _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    _mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),  # noqa: S108 - the jail's
    _mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
)


def process(
    run: RunSpec, account: Account, command: tuple[str, ...], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the `process` object of a command in `run`; `environment` is added to the run's own."""
    merged = {"PATH": _PATH, "HOME": account.home, **run.environment, **(environment or {})}
    soft, hard = (run.limits.open_files,) * 2 if run.limits.open_files else _OPEN_FILES
    capabilities = (*_CAPABILITIES, *(name for allowed in run.allow for name in ALLOW[allowed]))
    return {
        "terminal": False,
        "user": {"uid": account.uid, "gid": account.gid, "additionalGids": list(account.groups)},
        "args": list(command),
        "env": [f"{name}={value}" for name, value in merged.items()],
        "cwd": "/",
        "capabilities": {kind: list(capabilities) for kind in ("bounding", "effective", "permitted")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": hard, "soft": soft}],
        "noNewPrivileges": True,
    }


def config(
    run: RunSpec, *, root: Path, account: Account, cgroup: str, namespace: Path | None, hidden: frozenset[str]
) -> dict[str, Any]:
    """Return the whole config.json.

    `root` is where the tree is mounted, `namespace` the network namespace of mode `vnet` (None in other modes),
    `hidden` are the kinds of further namespaces that this kernel has (`cgroup`).
    """
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", *sorted(hidden))]
    sysctl = {}
    if namespace is not None:
        namespaces.append({"type": "network", "path": str(namespace)})
        sysctl = _sysctl(run)
    elif run.network.mode is Mode.NONE:
        namespaces.append({"type": "network"})  # a new one; the runtime brings its loopback interface up
    return {
        "ociVersion": "1.0.2",
        "process": process(run, account, run.command),
        "root": {"path": str(root), "readonly": True},
        "hostname": run.hostname,
        "mounts": list(_SYSTEM_MOUNTS),
        "annotations": {"jaild.jail": run.jail, "jaild.generation": str(run.generation), "jaild.uid": run.uid},
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": namespaces,
            "resources": {"devices": [{"allow": False, "access": "rwm"}], **resources(run.limits)},
            "sysctl": sysctl,
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READONLY),
        },
    }


@cache
def _most_open_files() -> int:
    """Return the highest limit that a process of a jail can be given here: setrlimit(2), capabilities(7)."""
    status = dict(line.partition(":")[::2] for line in Path("/proc/self/status").read_text().splitlines())
    raises = int(status["CapEff"], 16) >> _SYS_RESOURCE & 1
    hard = _OPEN_FILES[1]
    return int(Path("/proc/sys/fs/nr_open").read_text()) if raises or hard == resource.RLIM_INFINITY else hard


def problems(demands: Demands, name: str) -> list[JaildError]:
    """Return DEVFS_RULESET_UNKNOWN if a ruleset is named, which Linux has not; LIMIT_UNSUPPORTED for too many files."""
    found: list[JaildError] = []
    files, most = demands.limits.open_files, _most_open_files()
    if files is not None and files > most:
        found.append(
            ResourceExhaustedError(
                "LIMIT_UNSUPPORTED",
                f"limits.open_files cannot be {files}: a process may be given {most} here",
                hint="lower limits.open_files, or start jaild with a higher hard limit (ulimit -Hn)",
                resource=name,
                detail={FIELD: "$.limits.open_files"},
            )
        )
    if demands.devfs_ruleset is None:
        return found
    return [
        *found,
        FailedPreconditionError(
            "DEVFS_RULESET_UNKNOWN",
            f"this host has no devfs ruleset {demands.devfs_ruleset}: devfs is FreeBSD's",
            hint="take devfs_ruleset out of the spec, or run the jail on FreeBSD",
            resource=name,
            detail={FIELD: "$.devfs_ruleset"},
        ),
    ]


def resources(limits: Limits) -> dict[str, Any]:
    """Return the limits that a cgroup keeps; an absent one is absent."""
    found: dict[str, Any] = {}
    if limits.memory is not None:
        found["memory"] = {"limit": quantity.parse(limits.memory)}
    if limits.cpus is not None:
        found["cpu"] = {"period": _PERIOD, "quota": max(_LEAST_QUOTA, int(limits.cpus * _PERIOD))}
    if limits.cpuset is not None:
        found.setdefault("cpu", {})["cpus"] = limits.cpuset
    if limits.processes is not None:
        found["pids"] = {"limit": limits.processes}
    return found


def _sysctl(run: RunSpec) -> dict[str, str]:
    # A jail's namespace is its own: any of its users may take port 80 there, as in jail(8) with its own addresses.
    found = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.conf.eth0.arp_notify": "1"}
    if any(":" in address for address in run.network.addresses):
        found["net.ipv6.conf.eth0.ndisc_notify"] = "1"
    return found
