"""What a run may use and what it uses: control groups, both the unified hierarchy and the older one per controller."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from jaild.adapters.oci.mounts import Mounted
from jaild.adapters.runtime.refusals import FIELD
from jaild.model.errors import JaildError, ResourceExhaustedError
from jaild.model.jails import cpulist
from jaild.model.jails.spec import Limits
from jaild.ports.runtime import Usage

_UNIFIED = "cgroup.controllers"
_V1_CONTROLLERS = frozenset({"cpu", "cpuacct", "cpuset", "memory", "pids"})
_ONLINE = Path("/sys/devices/system/cpu/online")


def controllers(table: Sequence[Mounted]) -> dict[str, Path]:
    """Return where each controller's hierarchy is mounted. A hybrid host's unified mount has none of them."""
    found: dict[str, Path] = {}
    for mount in table:
        if mount.kind == "cgroup2":
            for name in (mount.target / _UNIFIED).read_text("ascii").split():
                found.setdefault(name, mount.target)
        elif mount.kind == "cgroup":
            for name in mount.super_options & _V1_CONTROLLERS:
                found.setdefault(name, mount.target)
    return found


def online() -> frozenset[int]:
    """Return the CPUs that the kernel runs processes on."""
    return frozenset(cpulist.parse(_ONLINE.read_text("ascii").strip()))


def problems(limits: Limits, known: Mapping[str, Path], cpus: Collection[int], resource: str) -> Iterator[JaildError]:
    """Yield `ResourceExhaustedError` (LIMIT_UNSUPPORTED) for each limit that a host with these CPUs cannot keep."""
    wanted = (
        ("memory", limits.memory, "memory"),
        ("cpus", limits.cpus, "cpu"),
        ("processes", limits.processes, "pids"),
        ("cpuset", limits.cpuset, "cpuset"),
    )
    for field, value, controller in wanted:
        if value is not None and controller not in known:
            yield ResourceExhaustedError(
                "LIMIT_UNSUPPORTED",
                f"limits.{field} cannot be kept: this kernel offers no {controller} cgroup controller",
                hint=f"take limits.{field} out of the spec, or boot the host with the controller",
                resource=resource,
                detail={FIELD: f"$.limits.{field}", "controller": controller},
            )
    if limits.cpuset and (lacking := set(cpulist.parse(limits.cpuset)) - set(cpus)):
        yield ResourceExhaustedError(
            "LIMIT_UNSUPPORTED",
            f"limits.cpuset cannot be kept: this host has no CPU {cpulist.render(lacking)}",
            hint=f"name CPUs that it has: {cpulist.render(cpus)}; or take limits.cpuset out of the spec",
            resource=resource,
            detail={FIELD: "$.limits.cpuset"},
        )


def remove(table: Sequence[Mounted], parent: str) -> list[str]:
    """Remove the group that the runs' groups were in, of every hierarchy; return why it stays where it does."""
    staying = []
    for mount in table:
        group = mount.target / parent.strip("/")
        try:
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:  # EBUSY: a process or a group is in it
            staying.append(f"the control group {group} stays: {error.strerror}")
    return staying


def usage(known: Mapping[str, Path], group: str) -> Usage:
    """Return what the cgroup `group` (`/jaild/web.2`) uses. A number whose controller the host lacks is 0.

    Memory is without the page cache that can be dropped at once.
    """
    unified = (known["memory"] / _UNIFIED).exists() if "memory" in known else False
    memory = _folder(known, "memory", group)
    return Usage(
        memory=_memory(memory, unified=unified) if memory else 0,
        cpu_seconds=_cpu_seconds(known, group),
        processes=_number(pids / "pids.current") if (pids := _folder(known, "pids", group)) else 0,
    )


def killed(known: Mapping[str, Path], group: str) -> int:
    """Return how many processes of a group the kernel killed for lack of memory; 0 where nobody counts that.

    The group is made anew with each container, and stays until that is deleted.
    """
    folder = _folder(known, "memory", group)
    events = folder / "memory.events" if folder is not None else None  # cgroup-v2.rst
    if folder is not None and events is not None and not events.exists():
        events = folder / "memory.oom_control"  # cgroup-v1/memory.rst
    return _fields(events).get("oom_kill", 0) if events is not None and events.exists() else 0


def _folder(known: Mapping[str, Path], controller: str, group: str) -> Path | None:
    folder = known[controller] / group.lstrip("/") if controller in known else None
    return folder if folder is not None and folder.is_dir() else None


def _memory(folder: Path, *, unified: bool) -> int:
    used = _number(folder / ("memory.current" if unified else "memory.usage_in_bytes"))
    return max(0, used - _fields(folder / "memory.stat").get("inactive_file" if unified else "total_inactive_file", 0))


def _cpu_seconds(known: Mapping[str, Path], group: str) -> float:
    if folder := _folder(known, "cpuacct", group):
        return _number(folder / "cpuacct.usage") / 1e9
    if folder := _folder(known, "cpu", group):
        return _fields(folder / "cpu.stat").get("usage_usec", 0) / 1e6
    return 0.0


def _number(file: Path) -> int:
    return int(file.read_text("ascii"))


def _fields(file: Path) -> dict[str, int]:
    rows = (line.split() for line in file.read_text("ascii").splitlines())
    return {name: int(value) for name, value in rows}
