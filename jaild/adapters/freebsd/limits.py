"""What a jail may use and what it uses, by rctl(8) and cpuset(1): pure.

`kern.racct.enable` must be 1, which only the loader can set. Without it nothing can be kept but a whole number of CPUs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from jaild.adapters.runtime.refusals import FIELD
from jaild.model import quantity
from jaild.model.errors import JaildError, ResourceExhaustedError
from jaild.model.jails import cpulist
from jaild.model.jails.spec import Limits
from jaild.ports.runtime import RunSpec, Usage

_KIBI = 1024
_COUNTED = 1.0  # seconds between two counts of memory and CPU by the kernel (racctd, vmdaemon); seen on 15.1


def rules(run: RunSpec, name: str) -> tuple[str, ...]:
    """Return rctl's rules for the jail `name`. They attach by name and may come before the jail."""
    limits = run.limits
    found = []
    if limits.memory is not None:
        found.append(f"memoryuse:deny={quantity.parse(limits.memory)}")
    if limits.cpus is not None:
        found.append(f"pcpu:deny={max(1, round(limits.cpus * 100))}")  # percent of one core
    if limits.processes is not None:
        # nthr too: on Linux threads count, and the same spec must not mean more here.
        found += [f"maxproc:deny={limits.processes}", f"nthr:deny={limits.processes}"]
    if limits.open_files is not None:
        found.append(f"openfiles:deny={limits.open_files}/process")  # each process's, as on Linux
    return tuple(f"jail:{name}:{rule}" for rule in found)


def cpus(limits: Limits, uid: str, ncpu: int, *, racct: bool) -> str:
    """Return the CPUs that a jail is bound to, as cpuset(1) takes them; '' if to none.

    Those of `cpuset`; where racct does not keep `cpus`, as many of them as it says. Which ones follows from the jail's
    uid, so that several jails spread over the host without a plan.
    """
    have = cpulist.parse(limits.cpuset) if limits.cpuset else tuple(range(ncpu))
    wanted = len(have) if racct or limits.cpus is None else min(int(limits.cpus), len(have))
    if wanted >= len(have):
        return cpulist.render(have) if limits.cpuset else ""
    first = int(hashlib.sha256(f"jaild-cpus:{uid}".encode()).hexdigest(), 16) % len(have)
    return cpulist.render(have[(first + i) % len(have)] for i in range(wanted))


def problems(limits: Limits, resource: str, *, racct: bool, ncpu: int) -> Iterator[JaildError]:
    """Yield `ResourceExhaustedError` (LIMIT_UNSUPPORTED) for each limit that this host cannot keep."""
    whole = limits.cpus is None or limits.cpus == int(limits.cpus)
    wanted = {
        "memory": limits.memory is not None,
        "cpus": not whole,
        "processes": limits.processes is not None,
        "open_files": limits.open_files is not None,
    }
    for field, needs_racct in wanted.items():
        if needs_racct and not racct:
            yield ResourceExhaustedError(
                "LIMIT_UNSUPPORTED",
                f"limits.{field} cannot be kept: kern.racct.enable is not 1 on this host",
                hint='put kern.racct.enable="1" into /boot/loader.conf and boot again, '
                f"or take limits.{field} out of the spec",
                resource=resource,
                detail={FIELD: f"$.limits.{field}", "sysctl": "kern.racct.enable"},
            )
    if limits.cpuset and (lacking := [n for n in cpulist.parse(limits.cpuset) if n >= ncpu]):
        yield ResourceExhaustedError(
            "LIMIT_UNSUPPORTED",
            f"limits.cpuset cannot be kept: this host has no CPU {cpulist.render(lacking)}, only 0 to {ncpu - 1}",
            hint="name CPUs that the host has (`sysctl hw.ncpu`), or take limits.cpuset out of the spec",
            resource=resource,
            detail={FIELD: "$.limits.cpuset"},
        )


def parse_rctl(text: str) -> Usage:
    """Return what `rctl -u jail:NAME` says. It says zeros for a jail that is not there: ask first.

    Memory and CPU are 0 until they were counted for the first time.
    """
    values = {key: int(value) for key, _, value in (line.partition("=") for line in text.splitlines()) if value}
    return Usage(
        max_age=_COUNTED,
        memory=values["memoryuse"],
        cpu_seconds=float(values["cputime"]),
        processes=values["maxproc"],
        cpus=values["pcpu"] / 100,
        read_rate=values.get("readbps"),
        write_rate=values.get("writebps"),
    )


def parse_ps(text: str) -> Usage:
    """Return what `ps -J NAME -o pid,rss,time` says: for hosts without racct. Shared pages are counted once each."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return Usage(
        memory=sum(int(rss) * _KIBI for _, rss, _ in rows),
        cpu_seconds=round(sum(_seconds(time) for _, _, time in rows), 2),
        processes=len(rows),
    )


def _seconds(text: str) -> float:
    """Read ps(1)'s `time`: minutes and seconds, `12:34.56`."""
    minutes, _, seconds = text.rpartition(":")
    return int(minutes) * 60 + float(seconds)
