"""What a FreeBSD host offers, by sysctl(8)."""

from __future__ import annotations

from jaild.model.layers.records import Family
from jaild.ports.runtime import HostFacts

ARGV = ("sysctl", "-n", "kern.osrelease", "kern.osreldate", "hw.machine_arch", "hw.physmem", "hw.ncpu")


# Pages that are free or could be at once, and what ZFS would give back of its cache.
FREE_ARGV = (
    "sysctl",
    "-n",
    "vm.stats.vm.v_page_size",
    "vm.stats.vm.v_free_count",
    "vm.stats.vm.v_inactive_count",
    "kstat.zfs.misc.arcstats.size",
    "kstat.zfs.misc.arcstats.c_min",
)


def free(text: str) -> int:
    """Return the free bytes that `FREE_ARGV` says: a line each, in the order asked for."""
    page, unused, inactive, cached, least = map(int, text.split())
    return page * (unused + inactive) + max(cached - least, 0)


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
