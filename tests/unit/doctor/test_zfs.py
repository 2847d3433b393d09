"""What is said of a ZFS and its pool: decisions by tables, facts from what real commands printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.doctor.checks import zfs
from jaild.doctor.checks.zfs import PoolFacts, ZfsFacts
from jaild.doctor.facts import zfs as gathering
from tests.fakes.processes import Argv, Said, ScriptedProcesses

DATA = Path(__file__).parents[1] / "data" / "zfs"
GOOD = PoolFacts(dataset="tank/jaild", health="ONLINE", capacity=7, free=5 << 30, mountpoint="/tank/jaild")


def both(version: str) -> str:
    return f"zfs-{version}\nzfs-kmod-{version}\n"


def codes(text: str, *, kernel: str = "", encrypted: bool = False, atime: bool = False) -> list[str]:
    check = zfs.version(ZfsFacts(version=text, kernel=kernel), encrypted=encrypted, atime=atime)
    return [problem.subject or problem.code for problem in check.problems]


HOLES = "openzfs issue 15526"


@pytest.mark.parametrize(
    ("version", "kernel", "found"),
    [
        ("2.1.9-FreeBSD_g92e0d9d18", "13.2-RELEASE", [HOLES]),
        ("2.1.9-FreeBSD_g92e0d9d18", "13.2-RELEASE-p5", [HOLES]),
        ("2.1.9-FreeBSD_g92e0d9d18", "13.2-RELEASE-p6", []),  # FreeBSD-EN-23:16: fixed, under the same number
        ("2.1.9-FreeBSD_g92e0d9d18", "13.2-STABLE", [HOLES]),
        ("2.2.0-FreeBSD_g95785196f", "14.0-RELEASE", [HOLES]),
        ("2.2.0-FreeBSD_g95785196f", "14.0-RELEASE-p1", []),
        ("2.1.14-FreeBSD_gd99134be8", "13.3-RELEASE", []),
        ("2.1.11-1+deb12u1", "", [HOLES]),
        ("2.1.15-1", "", []),
        ("2.2.1-1", "", [HOLES]),
        ("2.2.2-1", "", []),
        ("2.3.9-0+deb13u1", "", []),
        ("2.4.0-rc4-FreeBSD_g099f69ff5", "15.0-RELEASE", ["ZFS_PRERELEASE"]),
        ("2.4.0-FreeBSD_g1234567", "15.0-RELEASE", []),
    ],
)
def test_fixes_are_compared_and_not_one_lowest_version(version: str, kernel: str, found: list[str]) -> None:
    assert codes(both(version), kernel=kernel) == found


def test_a_known_bug_is_told_only_to_whom_it_matters() -> None:
    assert codes(both("2.2.3")) == []
    assert codes(both("2.2.3"), atime=True) == ["atime-only streams"]
    assert codes(both("2.3.2"), encrypted=True) == ["non-raw sends of encrypted datasets"]
    assert codes(both("2.3.3"), encrypted=True) == []


def test_commands_of_another_version_than_the_kernels_are_told() -> None:
    assert codes("zfs-2.3.9-1\nzfs-kmod-2.3.2-2\n") == ["ZFS_VERSION_MISMATCH"]


def test_commands_without_a_kernel_module_are_an_error() -> None:
    assert codes("zfs-2.3.9-1\n") == ["ZFS_MISSING"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"health": "DEGRADED"}, ["warning POOL_UNHEALTHY"]),
        ({"health": "SUSPENDED"}, ["error POOL_UNHEALTHY"]),
        ({"capacity": 79}, []),
        ({"capacity": 80}, ["warning POOL_ALMOST_FULL"]),
        ({"capacity": 90}, ["error POOL_ALMOST_FULL"]),
        ({"features": frozenset({"bookmarks", "embedded_data", "large_blocks"})}, ["warning POOL_FEATURES_MISSING"]),
        ({"there": False, "mounted": False}, ["error ROOT_DATASET_MISSING"]),
        ({"mounted": False}, ["error ROOT_DATASET_UNMOUNTED"]),
        ({"mountpoint": "legacy"}, ["error ROOT_DATASET_UNMOUNTED"]),
        ({"settings": {"atime": "on"}}, ["note INHERITED_PROPERTY"]),
        ({"settings": {"atime": "on", "sync": "disabled"}, "own": {"atime": "off"}}, []),
        ({"own": {"sync": "disabled", "xattr": "off"}}, ["warning INHERITED_PROPERTY"] * 2),
        ({"settings": {"readonly": "on"}}, ["error INHERITED_PROPERTY"]),
        ({"quotas": {"tank": 1 << 30}}, ["note QUOTA_ABOVE"]),
        ({"encryption": "aes-256-gcm"}, ["warning DATASET_ENCRYPTED"]),
        ({"problem": "cannot open 'tank': no such pool"}, ["error POOL_MISSING"]),
    ],
)
def test_what_is_wrong_with_a_pool(changes: dict[str, object], found: list[str]) -> None:
    facts = PoolFacts(**{**{name: getattr(GOOD, name) for name in GOOD.__dataclass_fields__}, **changes})
    assert [f"{each.severity} {each.code}" for each in zfs.pool(facts).problems] == found
    assert all(each.hint for each in zfs.pool(facts).problems)


def recorded(file: str) -> ScriptedProcesses:
    """Programs that say what was recorded, word for word."""
    said = {}
    for record in (DATA / file).read_text().split("\n@@@ ")[1:]:
        _, command, status, *lines = record.splitlines()
        out, err = ("".join(f"{line[5:]}\n" for line in lines if line.startswith(kind)) for kind in ("out| ", "err| "))
        said[command[2:]] = Said(out, err, int(status.removeprefix("# status ")))
    said["zpool list -Hp -o name,size,alloc,free,cap,health,frag tank"] = said.get(
        "zpool list -Hp -o name,size,alloc,free,cap,health,frag", Said(status=1)
    )

    async def answer(argv: Argv, _stdin: bytes) -> Said:
        missing = Said(stderr=f"cannot open '{argv[-1]}': dataset does not exist\n", status=1)
        return said.get(" ".join(argv), missing)

    return ScriptedProcesses(answer)


async def test_what_freebsd_13_2_said_is_read_as_it_was_meant() -> None:
    processes = recorded("freebsd-13.2-openzfs-2.1.9.txt")
    facts = await gathering.zfs(processes, kernel="13.2-RELEASE")
    assert zfs.version(facts).summary == "OpenZFS 2.1.9-FreeBSD_g92e0d9d18"
    pool = await gathering.pool(processes, "tank/jaild", fuse=False)
    assert (pool.health, pool.capacity, pool.there) == ("ONLINE", 7, False)
    assert pool.features is not None
    assert {"bookmarks", "large_blocks", "draid"} <= pool.features
    assert [problem.code for problem in zfs.pool(pool).problems] == ["ROOT_DATASET_MISSING"]


async def test_what_zfs_fuse_said_is_taken_for_zfs_fuse() -> None:
    facts = await gathering.zfs(recorded("zfs-fuse-0.7.txt"))
    assert [problem.code for problem in zfs.version(facts).problems] == ["ZFS_FUSE"]


async def test_a_pool_that_is_not_there_is_told_in_zpools_own_words() -> None:
    facts = await gathering.pool(recorded("freebsd-13.2-openzfs-2.1.9.txt"), "none/jaild", fuse=False)
    (problem,) = zfs.pool(facts).problems
    assert (problem.code, "cannot open 'none'" in problem.message) == ("POOL_MISSING", True)
    assert "zpool import none" in problem.hint
