"""Children are told apart once, however many programs end."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jaild.adapters.runtime import orphans


@pytest.mark.skipif(sys.platform != "linux", reason="PID namespaces are of Linux")
def test_a_child_that_lives_on_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    read = Path.read_text

    def counted(self: Path, *args: str) -> str:
        if found := re.fullmatch(r"/proc/(\d+)/status", str(self)):
            looked_at.append(int(found[1]))
        return read(self, *args)

    children = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    pids = {child.pid for child in children}
    monkeypatch.setattr(Path, "read_text", counted)
    try:
        orphans.bury()
        assert pids <= set(looked_at)
        looked_at.clear()
        for _ in range(3):
            orphans.bury()
        assert not pids & set(looked_at)
    finally:
        for child in children:
            child.kill()
            assert child.wait() == -9  # whose status is left to who started it
