"""Process 1 of a demo host: reaps whoever is left behind, and ends, with the whole host, when its stdin ends.

The pipe on stdin is the demo's. So a demo that is killed takes its hosts with it, and everything that runs in them.
"""

from __future__ import annotations

import os
import signal
import socket
import sys


def _reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return  # nobody is left


socket.sethostname(sys.argv[1])
signal.signal(signal.SIGCHLD, _reap)
print("ready", flush=True)  # noqa: T201
sys.stdin.buffer.read()
