"""Children are told apart once, however many programs end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import pytest

from jaild.adapters.runtime import first_process, orphans
from jaild.adapters.system.process import ProcessRunner


@pytest.mark.skipif(sys.platform != "linux", reason="PID namespaces are of Linux")
def test_a_child_that_lives_on_is_looked_at_once() -> None:
    # In a process of its own: one that other tests share has children that they have not reaped yet.
    alone = "from tests.unit.adapters.oci import test_orphans; test_orphans.look_at_children()"
    subprocess.run([sys.executable, "-c", alone], check=True, timeout=60)


def look_at_children() -> None:
    looked_at: list[int] = []
    read = Path.read_text

    def counted(self: Path, *args: str) -> str:
        if found := re.fullmatch(r"/proc/(\d+)/status", str(self)):
            looked_at.append(int(found[1]))
        return read(self, *args)

    children = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    pids = {child.pid for child in children}
    try:
        with mock.patch.object(Path, "read_text", counted):
            orphans.bury()
            assert not looked_at  # nothing has ended
            children[0].kill()
            os.waitid(os.P_PID, children[0].pid, os.WEXITED | os.WNOWAIT)
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


@pytest.mark.skipif(sys.platform != "linux", reason="so it is on Linux")
async def test_an_orphan_is_a_child_of_the_main_thread_whichever_others_there_are() -> None:
    orphans.adopt()
    end = threading.Event()
    others = [threading.Thread(target=end.wait, daemon=True) for _ in range(3)]
    for thread in others:
        thread.start()
    try:
        # The shell ends at once and leaves its child, which keeps the pipe open until it is the daemon's.
        made = await ProcessRunner().run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"])
        orphan = int(made.text)
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text("ascii").split()
        assert str(orphan) in children
        process = first_process.identify(orphan)
        assert process is not None
        first_process.send(process, signal.SIGKILL)
        await first_process.ended(process)
        assert first_process.reap(process) == -signal.SIGKILL
    finally:
        end.set()
