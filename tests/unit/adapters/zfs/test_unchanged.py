"""Whether a dataset is as its snapshot was: OpenZFS counts its intent log as written, which is no change."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.zfs.cli import CliZfs
from tests.fakes.processes import Argv, Said, ScriptedProcesses

RECORDED = Path(__file__).parents[2] / "data/zfs/linux-openzfs-2.3.9.txt"
EMPTY = "x" * 2 * 312  # as long as the first and the last record
GET = "guid mountpoint mounted readonly origin used referenced available quota creation"


def recorded(command: str) -> Said:
    """Return what a command said, whatever its status."""
    _, _, rest = RECORDED.read_text().partition(f"\n$ {command}\n")
    lines = rest.partition("\n@@@ ")[0].splitlines()
    stdout, stderr = (
        "".join(f"{line[5:]}\n" for line in lines if line.startswith(mark)) for mark in ("out| ", "err| ")
    )
    return Said(stdout, stderr)


@pytest.mark.parametrize(
    ("written", "mounted", "stream", "unchanged"),
    [
        ("0", "yes", "", True),
        ("8192", "no", EMPTY, True),  # as after the import that follows a crash
        ("8192", "no", EMPTY + "x", False),
        ("8192", "yes", "", False),  # cannot be sent
    ],
)
async def test_an_intent_log_that_was_put_in_order_is_no_change(
    written: str, mounted: str, stream: str, *, unchanged: bool
) -> None:
    async def answer(argv: Argv, _: bytes) -> Said:
        match argv[1:]:
            case ["get", *_, "written@s1", "tank/a"]:
                return Said(f"tank/a\twritten@s1\t{written}\t-\n")
            case ["get", *_, "encryptionroot", "tank/a"]:
                return Said("tank/a\tencryptionroot\t-\t-\n")
            case ["get", *_, "tank/a"]:
                values = dict.fromkeys(GET.split(), "0") | {"mounted": mounted, "mountpoint": "/tank/a"}
                return Said("".join(f"tank/a\t{name}\t{value}\t-\n" for name, value in values.items()))
            case ["send", "-L", "-e", "-c", "-i", "tank/a@s1", "tank/a"]:
                return Said(stream)
            case [*words]:
                return recorded(f"zfs {' '.join(words)}")

    zfs = CliZfs(ScriptedProcesses(answer))
    assert await zfs.is_unchanged("tank/a@s1") is unchanged
