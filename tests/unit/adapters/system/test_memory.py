"""What a piece of a stream took is there for the next one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
from jaild.adapters.system import memory
if sys.argv[1] == "keep":
    memory.keep_freed()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    pieces = [b"x" * ((1 << 20) + number) for number in range(3)]
    del pieces
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc(3)")
def test_pieces_of_streams_take_no_new_pages_after_the_first_ones() -> None:
    assert faults("keep") < 5000 < faults("without")
