from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaild.adapters.zfs.cli import CliZfs
from tests.fakes.processes import Argv, Said, ScriptedProcesses


async def nothing(argv: Argv, _: bytes) -> Said:
    raise AssertionError(f"{argv} is not needed")


async def test_a_file_system_is_asked_though_every_thread_of_the_pool_hangs(tmp_path: Path) -> None:
    loop, over = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    hanging = loop.run_in_executor(None, over.wait)
    try:
        async with asyncio.timeout(5):
            assert await CliZfs(ScriptedProcesses(nothing)).mounted(tmp_path) is None
    finally:
        over.set()
        await hanging
