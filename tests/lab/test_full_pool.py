"""A pool that is full to the last block: OpenZFS leaves room for what stopping and deleting jails need of it."""

from __future__ import annotations

import pytest

from jaild.adapters.zfs.cli import CliZfs
from jaild.model.errors import ResourceExhaustedError
from tests.lab.machine import Machine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

FILL = """
truncate -s 128M /tmp/small && zpool create -O compression=off -m /small small /tmp/small
zfs create small/jail && zfs create -o canmount=off -o mountpoint=none -o reservation=16M small/reserve
for size in 65536 4096 512; do dd if=/dev/urandom of=/small/jail/$size bs=$size 2>/dev/null; sync; done
zfs get -Hp -o value available small/jail
"""


async def test_a_record_is_written_and_a_jail_destroyed_in_a_full_pool(machine: Machine) -> None:
    zfs = CliZfs(machine.processes)
    try:
        filled = await machine.processes.run(["sh", "-c", FILL])
        assert int(filled.text.split()[-1]) < 1 << 20
        with pytest.raises(ResourceExhaustedError):
            await zfs.create("small/other")
        for number in range(20):
            await zfs.set("small/jail", {"jaild:jail": f"{number} {'x' * 2000}"})
        await zfs.destroy("small/reserve", recursive=True)
        await zfs.destroy("small/jail", recursive=True)
    finally:
        await machine.processes.run(["zpool", "destroy", "-f", "small"], check=False)
