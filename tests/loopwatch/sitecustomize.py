"""Notes every callback of an asyncio loop that keeps it busy for long. Python imports this by its name, by PYTHONPATH.

What is counted is the CPU time of the loop's own thread: waiting for the machine, for threads or for a disk is none, so
that a busy machine makes no test fail. Garbage collection is no callback's fault and is taken off. Each line of the
file that JAILD_TESTS_LOOP names is `milliseconds task`. Without that variable nothing is changed.
"""

import asyncio.events
import gc
import os
import time
from typing import Any

_FILE = os.environ.get("JAILD_TESTS_LOOP", "")
_LIMIT = 0.050  # seconds


def watch(path: str) -> None:
    """Watch all loops of this process."""
    handles: Any = asyncio.events.Handle  # whose private parts the stubs leave out
    run = handles._run
    collected = began_collecting = 0.0

    def collecting(phase: str, _info: dict[str, int]) -> None:
        nonlocal collected, began_collecting
        if phase == "start":
            began_collecting = time.thread_time()
        else:
            collected += time.thread_time() - began_collecting

    def timed(handle: Any) -> None:
        before, began = collected, time.thread_time()
        try:
            run(handle)
        finally:
            spent = time.thread_time() - began - (collected - before)
            if spent > _LIMIT:
                shown = repr(getattr(handle._callback, "__self__", handle)).replace("\n", " ")
                with open(path, "a") as file:  # noqa: PTH123  # imported before everything
                    file.write(f"{spent * 1000:.0f} {shown}\n")

    gc.callbacks.append(collecting)
    handles._run = timed


if _FILE:
    watch(_FILE)
