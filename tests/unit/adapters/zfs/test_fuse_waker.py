"""Which mounts a zfs-fuse that waits is asked by, and how one that waits is recognised."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaild.adapters.zfs import fuse_waker

MOUNTINFO = """\
29 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
90 29 0:57 / /srv/my\\040pool/zfs rw,noatime - fuse.zfs-fuse tank/jaild rw,user_id=0
91 90 0:58 / /srv/my\\040pool/zfs/bases rw,noatime - fuse.zfs-fuse tank/jaild/bases rw,user_id=0
92 29 0:58 /root /run/trees/web/1 ro,noatime - fuse.zfs-fuse tank/jaild/bases rw,user_id=0
93 29 0:59 / /other rw,noatime - fuse.zfs-fuse tank2/jaild rw,user_id=0
94 29 0:60 / /srv/sshfs rw - fuse.sshfs tank:/ rw
95 29 0:61 / /kernel rw - zfs tank/x rw
"""


def test_each_dataset_of_the_pool_is_asked_once_however_often_it_is_mounted() -> None:
    assert fuse_waker.mount_points(MOUNTINFO, "tank") == {
        "0:57": "/srv/my pool/zfs",
        "0:58": "/srv/my pool/zfs/bases",
    }


def test_a_process_that_waits_for_no_mount_or_is_gone_has_no_reading_threads() -> None:
    assert fuse_waker.reading(os.getpid()) == frozenset()
    assert fuse_waker.reading(2**22 + 1) == frozenset()


@pytest.mark.skipif(fuse_waker.USTAT is None, reason="this architecture has no ustat(2): mounts are asked by path")
def test_a_mount_is_asked_by_its_number_so_that_none_on_the_way_to_it_is() -> None:
    assert fuse_waker.ask_device(Path("/proc").stat().st_dev)
    assert not fuse_waker.ask_device(os.makedev(4000, 4000))
