"""What a FreeBSD host offers, by sysctl(8)."""

from __future__ import annotations

from jaild.domain.records import Family
from jaild.ports.runtime import HostFacts

ARGV = ("sysctl", "-n", "kern.osrelease", "kern.osreldate", "hw.machine_arch", "hw.physmem", "hw.ncpu")


def parse(text: str) -> HostFacts:
    """Return what `ARGV` says: a line each, in the order asked for."""
    release, osreldate, arch, memory, cpus = text.splitlines()
    return HostFacts(
        runtime="jail(8)",
        family=Family.FREEBSD,
        kernel=release,
        osreldate=int(osreldate),
        machine={"aarch64": "arm64"}.get(arch, arch),
        memory=int(memory),
        cpus=int(cpus),
    )
