"""An increment is raw as what it begins with was: nobody is asked again while a jail is down."""

from __future__ import annotations

import pytest

from jaild.adapters.zfs.cli import CliZfs
from tests.fakes.processes import Argv, Said, ScriptedProcesses
from tests.unit.adapters.zfs.test_unchanged import recorded


@pytest.mark.parametrize("root", ["-", "tank/a"])
async def test_an_increments_base_tells_whether_it_is_raw(root: str) -> None:
    asked = []
    sent = []

    async def answer(argv: Argv, _: bytes) -> Said:
        match argv[1:]:
            case ["get", *_, "encryptionroot", dataset]:
                asked.append(dataset)
                return Said(f"{dataset}\tencryptionroot\t{root}\t-\n")
            case ["send", *options]:
                sent.append("-w" in options)
                return Said("stream")
            case [*words]:
                return recorded(f"zfs {' '.join(words)}")

    zfs = CliZfs(ScriptedProcesses(answer))
    for snapshot, base in (("s1", None), ("s2", "tank/a@s1"), ("s3", "tank/a@s2"), ("s4", "tank/a@other")):
        async with zfs.send(f"tank/a@{snapshot}", base=base) as stream:
            assert b"".join([piece async for piece in stream]) == b"stream"
    assert asked == ["tank/a"] * 2  # the first, and the one whose base nobody sent
    assert sent == [root != "-"] * 4
