"""What mounts is carried out one by one on zfs-fuse, which does not survive two at once; side by side on OpenZFS."""

from __future__ import annotations

import asyncio

import pytest

from jaild.adapters.zfs import commands
from jaild.adapters.zfs.cli import CliZfs
from tests.fakes.processes import Argv, Said, ScriptedProcesses
from tests.unit.adapters.zfs.test_unchanged import recorded

MOUNTING = ("create", "clone", "mount", "rename", "rollback")


class Busy:
    """Notes how many of the commands that mount were under way at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def answer(self, argv: Argv, _: bytes) -> Said:
        if argv[1] not in MOUNTING:
            return recorded(" ".join(argv))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return Said()


@pytest.mark.parametrize(("fuse", "most"), [(True, 1), (False, 5)])
async def test_what_mounts_is_one_by_one_on_zfs_fuse_alone(
    monkeypatch: pytest.MonkeyPatch, *, fuse: bool, most: int
) -> None:
    monkeypatch.setattr(commands, "kernel_has_zfs", lambda: not fuse)
    busy = Busy()
    zfs = CliZfs(ScriptedProcesses(busy.answer))
    await asyncio.gather(
        zfs.create("tank/a"),
        zfs.clone("tank/b@s", "tank/c"),
        zfs.mount("tank/d"),
        zfs.rename("tank/e", "tank/f"),
        zfs.rollback("tank/g@s"),
    )
    assert busy.most == most
