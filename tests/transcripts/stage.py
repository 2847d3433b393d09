"""Hosts in memory with their sockets, and jailctl at their prompts."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from jaild import config
from jaild.adapters.system.own_thread import in_own_thread
from jaild.cli.main import command
from jaild.cli.output import render
from jaild.model.access import Role
from jaild.model.errors import JaildError
from jaild.model.views import Caller
from jaild.rpc import auth
from jaild.rpc.interceptor import Interceptor
from jaild.server import ApiServer
from tests.fakes.host import FakeHost, QuickClock
from tests.fakes.network import Network
from tests.fakes.runtime import FakeRuntime
from tests.fakes.threads import done_at_once
from tests.fakes.zfs import FakeZfs
from tests.transcripts.pages import Command

_BEGIN = 1_795_687_200.0  # 2026-11-26 10:00:00 UTC
_TAKES = {"create": 0.011, "start": 0.029, "stop": 0.017}  # seconds, of the hosts' clock


Acts = Mapping[str, Callable[[], Awaitable[None]]]  # by how a block's command begins: what happens before it
_SECONDS = 20.0  # for what must come about by itself


class _Clock(QuickClock):
    """A quick one that can be held: who sleeps then goes on sleeping."""

    def __init__(self) -> None:
        super().__init__(_BEGIN)
        self.goes = asyncio.Event()
        self.goes.set()

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds`, as soon as it goes."""
        await self.goes.wait()
        await super().sleep(seconds)


class Stage:
    """Where a story is played. Its commands run in `folder`, where files may be laid ready."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._hosts_folder = folder
        self.network = Network()
        self.hosts: dict[str, FakeHost] = {}
        self.clock = _Clock()  # of all hosts
        self._servers: dict[str, ApiServer] = {}

    async def add(self, name: str) -> FakeHost:
        """Start a host, and listen on its socket."""
        folder = self._hosts_folder / name
        folder.mkdir()
        host = FakeHost(folder, name, self.network)
        host.clock = self.clock
        host.zfs = FakeZfs(folder / "pool", now=self.clock.now)
        host.runtime = FakeRuntime(now=self.clock.now, sleep=self.clock.sleep)
        host.runtime.takes = dict(_TAKES)
        self.hosts[name] = host
        (folder / "staging").mkdir()
        (folder / "templates").symlink_to(config.TEMPLATES)
        await host.start()
        await self.listen(name)
        return host

    async def listen(self, name: str, caller: Caller | None = None) -> None:
        """Answer at a host's socket: for a daemon that was started again, or for a caller who is not root there."""
        core = self.hosts[name].core
        server = ApiServer(core.rooms.engine.services, core.use_cases.audit, socket=self._socket(name))
        if caller is not None:
            server.on_socket = Interceptor(_Knows(caller), core.use_cases.audit)
        self._servers[name] = server
        await server.start()

    async def hang_up(self, name: str) -> None:
        """Answer there no more."""
        await self._servers.pop(name).stop(0.0)

    async def close(self) -> None:
        """End all hosts."""
        for name in [*self._servers]:
            await self.hang_up(name)
        for host in self.hosts.values():
            await host.stop()

    async def typed(self, line: Command) -> str:
        """Run a command at a prompt; return what it prints, with its status if that is not 0."""
        own, _, rest = line.text.partition(" | ")
        words = shlex.split(own, comments=True)[1:]
        told = await in_own_thread(partial(self._jailctl, line.host, words), line.text)
        if rest:
            told = await in_own_thread(partial(_piped, told, rest), rest)
        return told

    async def quietly(self, line: str) -> None:
        """Run a command that no page shows; it must end well."""
        told = await self.typed(Command("$ ", line))
        assert "[exit" not in told, told

    async def typed_anyhow(self, line: str) -> None:
        """Run a command that no page shows, however it ends."""
        await self.typed(Command("$ ", line))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the hosts get on until it holds."""
        async with asyncio.timeout(_SECONDS):
            while not condition():  # noqa: ASYNC110 -- of a host that goes on meanwhile
                await asyncio.sleep(0)

    def _jailctl(self, host: str, words: list[str]) -> str:
        with _tells(self.hosts[host]):
            result = CliRunner().invoke(
                command, words, prog_name="jailctl", env={"JAILCTL_ADDRESS": f"unix://{self._socket(host)}"}
            )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output + (f"[exit {result.exit_code}]\n" if result.exit_code else "")

    def _socket(self, name: str) -> Path:
        return self._hosts_folder / f"{name}.sock"


Story = Callable[[Stage], AsyncIterator[Acts]]  # one step for each block of its name, in their order


def written(folder: Path, files: Mapping[str, str]) -> None:
    """Lay files ready."""
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def _piped(text: str, command: str) -> str:
    return subprocess.run(["sh", "-c", command], input=text, capture_output=True, text=True, check=True).stdout


class _Knows:
    """Implements `jaild.rpc.auth.Authenticator`: takes everybody for one caller."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def admit(self, _: Any, allowed: AbstractSet[Role], method: str) -> tuple[str, JaildError | None]:
        """Admit that caller as far as the roles go."""
        return auth.admit(self._caller, allowed, method)


@contextmanager
def _tells(host: FakeHost) -> Iterator[None]:
    """Let jailctl know the host's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            render, "time", SimpleNamespace(time=host.clock.now, strftime=time.strftime, localtime=time.localtime)
        )
        patch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)  # it is not asked for in the main thread
        yield


@asynccontextmanager
async def played(folder: Path) -> AsyncIterator[Stage]:
    """Yield a stage on which everything is the same each time: ids, clock, zone."""
    numbers = itertools.count()

    def identity() -> uuid.UUID:
        return uuid.UUID(hashlib.md5(str(next(numbers)).encode(), usedforsecurity=False).hexdigest(), version=4)

    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JAILCTL_CONTEXT", "JAILCTL_ADDRESS", "NO_COLOR", "COLUMNS"):
            patch.delenv(name, raising=False)
        patch.setenv("TZ", "UTC")
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        time.tzset()
        patch.setattr(uuid, "uuid4", identity)
        patch.setattr(asyncio.BaseEventLoop, "run_in_executor", done_at_once)
        stage = Stage(folder)
        os.chdir(stage.folder)
        try:
            yield stage
        finally:
            os.chdir(before)
            await stage.close()
