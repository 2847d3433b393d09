"""How much memory an embedded host's zfs-fuse is given."""

from __future__ import annotations

import pytest

from jaild.adapters.zfs.embedded import cache_for


@pytest.mark.parametrize(
    ("gigabytes", "settings", "megabytes"),
    [
        (64.0, "", 1024),
        (2.0, "", 256),
        (0.0625, "", 16),
        (64.0, "# max-arc-size = 4000\nmax-arc-size = 100\n", 1024),
        (64.0, "max-arc-size=2048\nzfs-prefetch-disable\n", 2048),
    ],
)
def test_a_zfs_fuse_may_keep_an_eighth_of_the_memory_or_what_its_administrator_said(
    gigabytes: float, settings: str, megabytes: int
) -> None:
    assert cache_for(int(gigabytes * (1 << 30)), settings) == megabytes
