"""What a process wrote to a mapped file and did not sync: without a flush a snapshot of OpenZFS lacks it."""

from __future__ import annotations

import pytest

from tests.lab.initrd import PLACE
from tests.lab.machine import Machine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
# Killed as soon as it has written, like the last process of a jail that does not heed its stop signal.
_WRITER = """
import mmap, os
file = os.open("/tank/mapped/file", os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 1 << 20)
os.fsync(file)
mmap.mmap(file, 1 << 20)[:] = b"x" * (1 << 20)
os.kill(os.getpid(), 9)
"""
_FLUSH = "from pathlib import Path; from jaild.adapters.files.flushing import flush; flush(Path('/tank/mapped'))"


@pytest.mark.parametrize(("flushed", "kept"), [(False, b"\0"), (True, b"x")])
def test_what_was_written_to_a_map_is_in_a_snapshot_once_it_was_flushed(
    machine: Machine, *, flushed: bool, kept: bytes
) -> None:
    machine.must("zfs", "create", "tank/mapped")
    try:
        assert machine.run("python3", "-c", _WRITER).status == -9
        if flushed:
            machine.must("env", f"PYTHONPATH={PLACE}", "python3", "-c", _FLUSH)
        machine.must("zfs", "snapshot", "tank/mapped@s")
        machine.must("zfs", "clone", "tank/mapped@s", "tank/mapped/clone")
        assert machine.must("head", "-c", "1", "/tank/mapped/clone/file") == kept
    finally:
        machine.must("zfs", "destroy", "-R", "tank/mapped")
