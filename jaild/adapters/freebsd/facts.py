"""What a FreeBSD host offers, by sysctl(8)."""

from __future__ import annotations

from collections.abc import Mapping

from jaild.model.layers.records import Family
from jaild.ports.runtime import HostFacts

NAMES = ("kern.osrelease", "kern.osreldate", "hw.machine_arch", "hw.physmem", "hw.ncpu")
# Pages that are free or could be at once, and what ZFS would give back of its cache.
_PAGE, _UNUSED, _INACTIVE = (f"vm.stats.vm.v_{name}" for name in ("page_size", "free_count", "inactive_count"))
_CACHED, _LEAST = "kstat.zfs.misc.arcstats.size", "kstat.zfs.misc.arcstats.c_min"
FREE_NAMES = (_PAGE, _UNUSED, _INACTIVE, _CACHED, _LEAST)


def free(values: Mapping[str, str]) -> int:
    """Return the free bytes that the values of `FREE_NAMES` say."""
    page, unused, inactive, cached, least = (int(values[name]) for name in FREE_NAMES)
    return page * (unused + inactive) + max(cached - least, 0)


def parse(values: Mapping[str, str]) -> HostFacts:
    """Return what the values of `NAMES` say."""
    release, osreldate, arch, memory, cpus = (values[name] for name in NAMES)
    return HostFacts(
        runtime="jail(8)",
        family=Family.FREEBSD,
        kernel=release,
        osreldate=int(osreldate),
        machine={"aarch64": "arm64"}.get(arch, arch),
        memory=int(memory),
        cpus=int(cpus),
    )
