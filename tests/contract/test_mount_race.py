"""What root in a jail swaps while its next tree is mounted and its last one taken away never reaches the host.

The jail is a thread that swaps a folder of the data for a link, and the host a folder of the test's own.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jaild.adapters.oci import mount_syscalls, mounts
from jaild.model.errors import JaildError
from jaild.model.jails.mounts import Mount, MountKind

pytestmark = pytest.mark.real("Linux", "mount")

TIMES = 200
# What a tree that was swapped under the mounting may be refused for.
REFUSALS = {"MOUNT_TARGET_SYMLINK", "MOUNT_TARGET_MISSING", "MOUNT_MISPLACED"}
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def exchange(one: Path, other: Path) -> None:
    """Have two entries of a folder change places at once, as mv(1) --exchange does (renameat2(2))."""
    failed = ctypes.CDLL(None).renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    assert failed == 0


class Jail:
    """A base, data with a volume's mount point below `db`, and a host's folder that looks the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.tree = self.folder / "run/trees/web/1"
        self.victim = self.folder / "victim"
        for name in ("base/var", "data/db/volume", "volume", "victim/volume", "run/trees/web"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "volume/inside").touch()

    def mounts(self) -> tuple[Mount, ...]:
        layer = MountKind.LAYER
        return (
            Mount(kind=layer, source=str(self.folder / "base"), target="/", readonly=True),
            Mount(kind=layer, source=str(self.folder / "data"), target="/var"),
            Mount(kind=layer, source=str(self.folder / "volume"), target="/var/db/volume"),
        )

    @contextmanager
    def swapping(self) -> Iterator[Counter[str]]:
        """Exchange the volume's ancestor with a link to the victim and back, until the block ends."""
        over, swaps = threading.Event(), Counter[str]()
        real, link = self.folder / "data/db", self.folder / "data/link"
        link.symlink_to(self.victim)

        def swap() -> None:
            while not over.wait(random.uniform(0, 0.001)) or swaps["done"] % 2:  # noqa: S311 -- no secret
                exchange(real, link)
                swaps["done"] += 1

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            yield swaps
        finally:
            over.set()
            thread.join()
            link.unlink()

    def mount_at_victim(self) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.victim / "volume"], check=True)

    def clear(self) -> None:
        for target in mounts.below(self.folder, mounts.mounted()):
            subprocess.run(["umount", "-l", target], check=False)

    def at_victim(self) -> list[str]:
        return [str(m.target) for m in mounts.mounted() if m.target.is_relative_to(self.victim)]


@pytest.fixture
async def jail(tmp_path: Path) -> AsyncIterator[Jail]:
    jail = Jail(tmp_path)
    yield jail
    jail.clear()


async def test_a_volume_whose_ancestor_is_swapped_is_never_mounted_on_a_folder_of_the_host(jail: Jail) -> None:
    outcomes = Counter[str]()
    for _ in range(TIMES):
        with jail.swapping():
            try:
                await mounts.mount_tree(jail.tree, jail.mounts())
                outcomes["mounted"] += 1
            except JaildError as refused:
                outcomes[refused.reason] += 1
        assert jail.at_victim() == []
        await mounts.unmount_tree(jail.tree)
    assert outcomes.keys() <= {"mounted", *REFUSALS}, outcomes
    assert outcomes["mounted"] > 0, outcomes
    assert outcomes.total() - outcomes["mounted"] > 0, outcomes


async def test_a_mount_of_the_host_is_never_unmounted_in_the_place_of_a_volumes(jail: Jail) -> None:
    jail.mount_at_victim()
    swapped = 0
    for _ in range(TIMES):
        await mounts.mount_tree(jail.tree, jail.mounts())
        with jail.swapping() as swaps:
            await mounts.unmount_tree(jail.tree)
        assert jail.at_victim() == [str(jail.victim / "volume")]
        assert mounts.below(jail.tree, mounts.mounted()) == []
        assert (jail.folder / "volume/inside").exists()
        swapped += swaps["done"]
    assert swapped > 0
    assert os.path.lexists(jail.folder / "data/db")


async def test_mounts_that_hang_hold_up_no_other(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, tmpfs = threading.Event(), Mount(kind=MountKind.TMPFS, target="/var/db")
    monkeypatch.setattr(mount_syscalls, "tmpfs", lambda _: answers.wait() and os.open("/", os.O_PATH))
    hanging = [
        asyncio.create_task(mounts.mount_tree(jail.tree.with_name(f"hangs-{number}"), (*jail.mounts()[:2], tmpfs)))
        for number in range(40)  # more than the event loop has threads for all
    ]
    try:
        await asyncio.wait_for(mounts.mount_tree(jail.tree, jail.mounts()), 20)
        await asyncio.wait_for(mounts.unmount_tree(jail.tree), 20)
    finally:
        answers.set()
        ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(error, JaildError) for error in ended)
