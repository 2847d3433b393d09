"""The daemon begins on FreeBSD: nothing that only Linux has is touched by importing it."""

from __future__ import annotations

import sys
from pathlib import Path

from jaild.adapters.system.process import ProcessRunner

# What Python has on Linux only, taken away; asyncio and others have looked at sys.platform by then.
PROGRAM = """
import asyncio, ctypes, grpc, importlib, os, pkgutil, select, signal, socket, sys, zoneinfo
for module, names in {
    os: ["pidfd_open", "O_PATH", "O_TMPFILE", "unshare", "setns", "memfd_create", "listxattr", "getxattr", "setxattr"],
    select: ["epoll", "EPOLLIN", "EPOLLPRI", "EPOLLERR"],
    signal: ["pidfd_send_signal"],
    socket: ["AF_PACKET", "AF_NETLINK"],
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "freebsd13"
import jaild.adapters
for found in pkgutil.walk_packages(jaild.adapters.__path__, "jaild.adapters."):
    importlib.import_module(found.name)
from jaild import assembly, config
runtime = assembly.runtime_of(config.Config(), None)
print(type(runtime).__name__, len(sys.modules) > 100)
"""


async def test_every_adapter_can_be_imported_there_and_the_runtime_is_jails() -> None:
    done = await ProcessRunner().run([sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[3], check=False)
    assert done.text.splitlines()[-1:] == ["FreebsdRuntime True"], done.error_text  # after a word about this libc
