"""ZFS, its pool and the root dataset: what is known to be bad is compared by fixes, not by one lowest version. Pure.

Distributors carry fixes back without changing OpenZFS's number, so a match on Linux is a warning. FreeBSD's own errata
level (`freebsd-version -k`) says whether its fix is in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaild.doctor.checks.report import Check, error, note, warning
from jaild.model import quantity, settings
from jaild.model.problems import Problem

Version = tuple[int, ...]

_VERSION = re.compile(r"^zfs(?P<kmod>-kmod)?-(?P<number>\d+(?:\.\d+)+)(?P<rest>\S*)", re.MULTILINE)
_FUSE = "zfs-fuse: for evaluation only (about 100 MB/s, no resumed receives)"
_FULL = 80  # percent: above it ZFS slows down, and a cut-over needs room
_ALMOST = 90
_FEATURES = ("extensible_dataset", "large_blocks", "embedded_data", "bookmarks")  # what send -L -e and bookmarks need


@dataclass(frozen=True, kw_only=True)
class KnownBug:
    """`affected` are half-open ranges [first bad, first good), one for each branch. `patched`: FreeBSD's errata."""

    name: str
    what: str
    affected: tuple[tuple[Version, Version], ...]
    patched: tuple[tuple[Version, int], ...] = ()  # ((13, 2), 6): 13.2-RELEASE-p6 and later have the fix
    hint: str = ""


KNOWN_BUGS = (
    KnownBug(
        name="openzfs issue 15526",
        what="a file that is read while it is written may be copied with holes of zeros",
        affected=(((0,), (2, 1, 14)), ((2, 2, 0), (2, 2, 2))),
        patched=(((13, 2), 6), ((14, 0), 1)),  # FreeBSD-EN-23:16.openzfs
        hint="update ZFS; until then set vfs.zfs.dmu_offset_next_sync=0 (Linux: zfs.zfs_dmu_offset_next_sync=0)",
    ),
    KnownBug(
        name="atime-only streams",
        what="an interrupted receive of a stream that only changes access times cannot be resumed",
        affected=(((0,), (2, 2, 4)),),
        hint="keep atime=off on the root dataset",
    ),
    KnownBug(
        name="non-raw sends of encrypted datasets",
        what="a send without -w of an encrypted dataset may damage its key mapping",
        affected=(((0,), (2, 2, 8)), ((2, 3, 0), (2, 3, 3))),
        hint="do not put jaild's dataset below an encrypted one",
    ),
)


@dataclass(frozen=True, kw_only=True)
class ZfsFacts:
    """What the commands said."""

    version: str = ""  # output of `zfs version`
    fuse: bool = False  # it is zfs-fuse, which has no such command
    problem: str = ""  # why there is no answer
    kernel: str = ""  # FreeBSD: freebsd-version -k


@dataclass(frozen=True, kw_only=True)
class PoolFacts:
    """The pool and the root dataset."""

    dataset: str
    health: str = ""
    problem: str = ""  # why the pool cannot be looked at
    capacity: int = 0  # percent
    free: int = 0  # bytes for the dataset
    features: frozenset[str] | None = None  # enabled ones; None: not told (zfs-fuse)
    there: bool = True  # the dataset
    mounted: bool = True
    mountpoint: str = ""
    encryption: str = "off"
    settings: Mapping[str, str] = field(default_factory=dict)  # the root dataset's native properties
    own: Mapping[str, str] = field(default_factory=dict)  # those of what jaild has made below it; empty: not yet
    quotas: Mapping[str, int] = field(default_factory=dict)  # bytes, of the dataset and of what it is in, where set

    @property
    def pool(self) -> str:
        """Its name."""
        return self.dataset.partition("/")[0]


def version(facts: ZfsFacts, *, encrypted: bool = False, atime: bool = False) -> Check:
    """Return what is known of this ZFS."""
    if facts.problem:
        problem = error(
            "ZFS_MISSING",
            facts.problem,
            "FreeBSD: sysrc zfs_enable=YES; service zfs start. Debian: zfs-dkms, or zfs-fuse and a host of its own: "
            "jaild doctor --embedded DIR",
        )
        return Check(topic="zfs", problems=(problem,))
    if facts.fuse:
        return Check(topic="zfs", problems=(warning("ZFS_FUSE", _FUSE, "use the kernel's OpenZFS"),))
    told = {bool(match["kmod"]): match for match in _VERSION.finditer(facts.version)}
    user, kernel = told.get(False), told.get(True)
    if kernel is None:
        first = facts.version.strip().partition("\n")[0]
        problem = error(
            "ZFS_MISSING", f"the kernel's ZFS tells no version: {first}", "load its module: kldload zfs, modprobe zfs"
        )
        return Check(topic="zfs", problems=(problem,))
    problems: list[Problem] = []
    if user is None or (user["number"], user["rest"]) != (kernel["number"], kernel["rest"]):
        commands = user.group().removeprefix("zfs-") if user else "of another version"
        what = f"the commands are {commands}, the kernel's ZFS is {kernel.group().removeprefix('zfs-kmod-')}"
        problems.append(warning("ZFS_VERSION_MISMATCH", what, "boot the kernel that was installed with these commands"))
    if re.match(r"-?rc", kernel["rest"]):
        what = f"{kernel['number']}{kernel['rest']} is a release candidate"
        problems.append(warning("ZFS_PRERELEASE", what, "update to the release when your system offers it"))
    number = _number(kernel["number"])
    for bug in KNOWN_BUGS:
        if (
            _affected(bug, number)
            and not _patched(bug, facts.kernel)
            and _matters(bug, encrypted=encrypted, atime=atime)
        ):
            hint = "" if facts.kernel else " (your distributor may have carried the fix back: see its changelog)"
            what = f"{kernel['number']} has {bug.name}: {bug.what}{hint}"
            problems.append(warning("ZFS_KNOWN_BUG", what, bug.hint, subject=bug.name))
    return Check(topic="zfs", summary=f"OpenZFS {kernel.group().removeprefix('zfs-kmod-')}", problems=tuple(problems))


def own_fuse(*, runs: bool) -> Check:
    """Return what an embedded host has where the kernel has no ZFS. That the program is there, `programs` says."""
    return Check(topic="zfs", summary=_FUSE if runs else f"{_FUSE}; the start begins it")


def own_pool(file: str, *, there: bool) -> Check:
    """Return what the start of an embedded host does about its pool."""
    return Check(topic="pool", summary=f"the start {'brings it up from' if there else 'makes it on'} {file}")


def pool(facts: PoolFacts) -> Check:
    """Return what is wrong with the pool and the root dataset."""
    if facts.problem:
        hint = f"import it (zpool import {facts.pool}), or name another in `dataset`"
        return Check(topic="pool", problems=(error("POOL_MISSING", facts.problem, hint, subject=facts.pool),))
    problems: list[Problem] = []
    if facts.health != "ONLINE":
        make = error if facts.health in {"FAULTED", "OFFLINE", "UNAVAIL", "REMOVED", "SUSPENDED"} else warning
        hint = f"`zpool status -x {facts.pool}` says which disk; move the jails away before you work on it"
        problems.append(make("POOL_UNHEALTHY", f"{facts.pool} is {facts.health}", hint, subject=facts.pool))
    if facts.capacity >= _FULL:
        make = error if facts.capacity >= _ALMOST else warning
        what = f"{facts.pool} is {facts.capacity} % full"
        problems.append(
            make("POOL_ALMOST_FULL", what, "delete releases and bases that nobody uses, or move jails away")
        )
    lacking = [name for name in _FEATURES if facts.features is not None and name not in facts.features]
    if lacking:
        what = f"{facts.pool} lacks the features {', '.join(lacking)}: sends are larger, and peers may refuse them"
        problems.append(
            warning("POOL_FEATURES_MISSING", what, f"zpool upgrade {facts.pool}, when no older system needs it")
        )
    problems += _dataset(facts)
    summary = f"{facts.dataset} on {facts.mountpoint or 'nothing'}, {facts.health}, {quantity.size(facts.free)} free"
    return Check(topic="pool", summary=summary, problems=tuple(problems))


def _dataset(facts: PoolFacts) -> list[Problem]:
    if not facts.there:
        hint = f"make it: zfs create -o mountpoint=/jaild -o atime=off {facts.dataset}"
        return [error("ROOT_DATASET_MISSING", f"the dataset {facts.dataset} does not exist", hint)]
    problems = []
    if not facts.mounted or facts.mountpoint in {"", "none", "legacy"}:
        what = f"{facts.dataset} is not mounted (mountpoint {facts.mountpoint or 'none'})"
        hint = f"zfs set mountpoint=/jaild {facts.dataset}; zfs mount {facts.dataset}"
        problems.append(error("ROOT_DATASET_UNMOUNTED", what, hint))
    problems += settings.problems(facts.dataset, facts.settings, facts.own)
    for name, size in facts.quotas.items():
        what = f"{name} has a quota of {quantity.size(size)}: that is all for jails, layers and snapshots together"
        hint = f"raise it if that is too little: zfs set quota=… {name}"
        problems.append(note("QUOTA_ABOVE", what, hint, subject=name))
    if facts.encryption not in {"off", "-", ""}:
        what = f"{facts.dataset} is encrypted ({facts.encryption}): sends are not raw, so jails leave it in the clear"
        problems.append(warning("DATASET_ENCRYPTED", what, "put jaild on a dataset that is not encrypted"))
    return problems


def _number(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def _affected(bug: KnownBug, number: Version) -> bool:
    return any(first <= number < good for first, good in bug.affected)


def _patched(bug: KnownBug, kernel: str) -> bool:
    """Whether `freebsd-version -k` (13.2-RELEASE-p7) tells a level that has the fix."""
    match = re.match(r"(\d+)\.(\d+)-(?:RELEASE)(?:-p(\d+))?$", kernel)
    if match is None:
        return False
    release, level = (int(match[1]), int(match[2])), int(match[3] or 0)
    return any(release == at and level >= needed for at, needed in bug.patched)


def _matters(bug: KnownBug, *, encrypted: bool, atime: bool) -> bool:
    return {"atime-only streams": atime, "non-raw sends of encrypted datasets": encrypted}.get(bug.name, True)
