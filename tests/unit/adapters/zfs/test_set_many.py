"""One property of many datasets: side by side where each has to wait for a transaction group, else by one command."""

from __future__ import annotations

import asyncio

import pytest

from jaild.adapters.zfs.cli import CliZfs
from jaild.model.errors import NotFoundError
from tests.fakes.processes import Argv, Said, ScriptedProcesses
from tests.unit.adapters.zfs.test_unchanged import recorded

DATASETS = ("tank/a", "tank/a/b", "tank/a/c")


async def test_openzfs_is_told_of_all_at_once_and_what_fails_is_raised_when_all_have_ended() -> None:
    all_of_them, ended = asyncio.Barrier(len(DATASETS)), []

    async def answer(argv: Argv, _: bytes) -> Said:
        match argv[1:]:
            case ["set", "readonly=off", name]:
                async with asyncio.timeout(30):
                    await all_of_them.wait()
                if name == "tank/a":
                    return Said("", "cannot open 'tank/a': dataset does not exist\n", 1)
                await asyncio.sleep(0)
                ended.append(name)
                return Said()
            case [*words]:
                return recorded(f"zfs {' '.join(words)}")

    with pytest.raises(NotFoundError):
        await CliZfs(ScriptedProcesses(answer)).set(DATASETS[0], {"readonly": "off"}, *DATASETS[1:])
    assert sorted(ended) == ["tank/a/b", "tank/a/c"]


async def test_zfs_fuse_is_told_by_one_command() -> None:
    async def answer(argv: Argv, _: bytes) -> Said:
        return Said("create", "", 0 if argv[1] == "set" else 1)

    processes = ScriptedProcesses(answer)
    await CliZfs(processes).set(DATASETS[0], {"readonly": "off"}, *DATASETS[1:])
    assert processes.calls[-1].argv[1:] == ("set", "readonly=off", *DATASETS)
