"""Notes what a daemon does: slow callbacks, programs. Python imports this by its name, by PYTHONPATH.

Every callback of an asyncio loop that keeps it busy for long. What is counted is the CPU time of the loop's own thread:
waiting for the machine, for threads or for a disk is none, so that a busy machine makes no test fail. Garbage
collection is no callback's fault and is taken off. Each line of the file that JAILD_TESTS_LOOP names is
`milliseconds task`.

Every program that is started: each line of the file that JAILD_TESTS_PROGRAMS names is its command line in JSON.

Without these variables nothing is changed.
"""

import asyncio.events
import gc
import json
import os
import sys
import time
from typing import Any

_FILE = os.environ.get("JAILD_TESTS_LOOP", "")
_PROGRAMS = os.environ.get("JAILD_TESTS_PROGRAMS", "")
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


def note_programs(path: str) -> None:
    """Note each start, by Python's own audit events: asyncio and subprocess raise the first, os the second."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in {"subprocess.Popen", "os.posix_spawn"}:
            with open(path, "a") as file:  # noqa: PTH123  # imported before everything
                file.write(json.dumps([os.fsdecode(word) for word in arguments[1]]) + "\n")

    sys.addaudithook(hook)


if _PROGRAMS:
    note_programs(_PROGRAMS)
if _FILE:
    watch(_FILE)
