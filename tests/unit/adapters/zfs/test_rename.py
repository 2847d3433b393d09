"""Renaming on zfs-fuse, which is busy while anything of a dataset is mounted, and mounts all again when it failed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jaild.adapters.zfs.cli import CliZfs
from jaild.model.errors import AlreadyExistsError
from tests.fakes.processes import Argv, Said, ScriptedProcesses

_USAGE = (Path(__file__).parents[2] / "data/zfs/zfs-fuse-0.7.txt").read_text()


class Fuse:
    """A dataset with a child; `taken`: there is one of the new name."""

    def __init__(self, *, taken: bool = False) -> None:
        self.taken = taken
        self.mounted = {"tank/a", "tank/a/data"}

    async def answer(self, argv: Argv, _: bytes) -> Said:
        match argv[1:]:
            case ["-?"]:
                return Said("", re.sub(r"^(out|err)\| ", "", _USAGE, flags=re.MULTILINE))
            case ["get", *_, "tank/a"]:
                told = {each: "yes" if each in self.mounted else "no" for each in ("tank/a", "tank/a/data")}
                return Said("".join(f"{each}\tmounted\t{yes}\t-\n" for each, yes in told.items()))
            case ["unmount", name]:
                self.mounted.remove(name)
            case ["mount", name]:
                self.mounted.add(name)
            case ["rename", _, new] if self.taken:
                return Said("", f"cannot rename to '{new}': dataset already exists\n", 1)
            case ["rename", old, _] if self.mounted:
                return Said("", f"cannot rename '{old}': dataset is busy\n", 1)
            case ["version"]:
                return Said("", "unrecognized command 'version'\n", 2)
        return Said()


async def test_all_of_it_is_unmounted_before_and_mounted_under_the_new_name() -> None:
    fuse = Fuse()
    await CliZfs(ScriptedProcesses(fuse.answer)).rename("tank/a", "tank/b")
    assert fuse.mounted == {"tank/b", "tank/b/data"}


async def test_what_is_refused_is_mounted_again() -> None:
    fuse = Fuse(taken=True)
    with pytest.raises(AlreadyExistsError):
        await CliZfs(ScriptedProcesses(fuse.answer)).rename("tank/a", "tank/b")
    assert fuse.mounted == {"tank/a", "tank/a/data"}
