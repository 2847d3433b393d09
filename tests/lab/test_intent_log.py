"""A copy whose host lost its power while its intent log was in use: an increment still goes onto it, and is allowed."""

from __future__ import annotations

import pytest

from jaild.adapters.zfs.cli import CliZfs
from tests.lab.machine import Machine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
_SYNCED = "import os; file = open('/tank/copy/file', 'w'); file.write('x'); file.flush(); os.fsync(file)"


async def test_the_intent_log_that_an_import_put_in_order_is_no_change(machine: Machine) -> None:
    machine.must("zfs", "create", "tank/copy")
    machine.must("python3", "-c", _SYNCED)
    machine.must("zfs", "snapshot", "tank/copy@s1")
    machine.must("zfs", "set", "canmount=noauto", "tank/copy")
    machine.cut_power()
    machine.start()
    zfs = CliZfs(machine.processes)
    try:
        assert machine.must("zfs", "get", "-Hpo", "value", "written@s1", "tank/copy") != b"0\n"
        assert await zfs.is_unchanged("tank/copy@s1")
        machine.must("zfs", "mount", "tank/copy")
        machine.must("python3", "-c", _SYNCED)
        machine.must("zfs", "unmount", "tank/copy")
        assert not await zfs.is_unchanged("tank/copy@s1")
    finally:
        machine.must("zfs", "destroy", "-r", "tank/copy")
