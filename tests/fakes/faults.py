"""A daemon's life: every call to its ports is counted, and at one of them it fails, is hung up on, or dies."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from typing import Any, NoReturn

from jaild.model.errors import InternalError
from jaild.model.migration.journal import Journal
from jaild.ports.runtime import RunSpec

_UNCOUNTED = frozenset({"runtime.wait", "runtime.facts", "zfs.capabilities"})  # watchers' and constants: not steps

_LOOKS = frozenset(
    {
        "zfs.datasets",
        "zfs.dataset",
        "zfs.mounted",
        "zfs.settings",
        "zfs.snapshots",
        "zfs.pool_features",
        "runtime.runs",
        "runtime.examine",
    }
)


At = int | tuple[str, int]  # which of the counted calls: its number, or its name and how many of that name before it


def is_at(calls: Sequence[str], at: At | None) -> bool:
    """Say whether the last of the calls is the chosen one."""
    if isinstance(at, tuple):
        return (calls[-1], calls.count(calls[-1]) - 1) == at
    return len(calls) - 1 == at


class Crash(BaseException):
    """The daemon is gone. Whoever catches it can do nothing any more: its ports raise it too."""


class Effect(StrEnum):
    """What happens at the chosen call."""

    ERROR = "error"  # instead of the call
    ERROR_AFTER = "error after it took effect"
    CRASH = "crash"  # before the call: also what a crash after the one before it leaves
    HANG_UP = "caller hung up"  # a peer's call that is being served is cancelled, as gRPC does


class Life:
    """One daemon process. `at` and `effect` choose the fault; `calls` lists the counted calls while `counting`."""

    def __init__(self) -> None:
        self.dead = False
        self.died = asyncio.Event()
        self.counting = False
        self.calls: list[str] = []
        self.at: At | None = None
        self.effect = Effect.ERROR
        self.label: Callable[[str], str] = str
        self.hit = False  # the fault has struck
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.on_hang_up: Callable[[], bool] = lambda: False

    def kill(self) -> None:
        """End it from outside."""
        self.dead = True
        self.died.set()

    def die(self) -> NoReturn:
        """End it from inside."""
        self.kill()
        raise Crash

    @contextmanager
    def engaged(self) -> Iterator[None]:
        """Mark what goes on after its death too, as a child process does."""
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing of the kind goes on."""
        await self._idle.wait()

    def check(self) -> None:
        """Raise `Crash` if it is over."""
        if self.dead:
            raise Crash

    async def step(self, name: str) -> bool:
        """Count a call and say whether it fails after it took effect."""
        self.check()
        if not self.counting or name.partition(" ")[0] in _UNCOUNTED:
            return False
        self.calls.append(self.label(name))
        if not is_at(self.calls, self.at):
            return False
        self.hit = True
        match self.effect:
            case Effect.CRASH:
                self.die()
            case Effect.ERROR:
                raise injected(name)
            case Effect.HANG_UP:
                if self.on_hang_up():
                    await asyncio.sleep(0)  # where the cancellation arrives
            case Effect.ERROR_AFTER:
                return True
        return False


def is_worth(effect: Effect, call: str) -> bool:
    """Say whether a fault there differs from the one at the next call: after a mere look only an error does."""
    return effect is Effect.ERROR or call.partition(" ")[0] not in _LOOKS


def injected(name: str) -> InternalError:
    """Return the error that a test put there."""
    return InternalError("COMMAND_FAILED", f"injected at {name}", hint="none: a test put it there")


class Mortal:
    """A port as a daemon sees it during its life. `counted`: the methods that count, or None for all."""

    def __init__(self, port: Any, name: str, life: Life, counted: frozenset[str] | None = None) -> None:
        self._port = port
        self._name = name
        self._life = life
        self._counted = counted

    def __getattr__(self, attribute: str) -> Any:
        member = getattr(self._port, attribute)
        if not callable(member):
            return member
        match _kind(getattr(member, "__func__", member)):
            case "generator":
                return self._generator(member)
            case "coroutine":
                return self._coroutine(member, attribute)
        return self._context(member, attribute) if attribute == "send" else member

    def _coroutine(self, member: Callable[..., Any], attribute: str) -> Callable[..., Any]:
        async def call(*args: Any, **named: Any) -> Any:
            self._life.check()
            told = False
            if self._life.counting and (self._counted is None or attribute in self._counted):
                told = await self._life.step(f"{self._name}.{attribute} {_told(args)}")
            answer = await member(*args, **named)
            self._life.check()
            if told:
                raise injected(f"{self._name}.{attribute}, done")
            return answer

        return call

    def _generator(self, member: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **named: Any) -> AsyncIterator[Any]:
            self._life.check()
            async for item in member(*args, **named):
                self._life.check()
                yield item

        return call

    def _context(self, member: Callable[..., Any], attribute: str) -> Callable[..., Any]:
        @asynccontextmanager
        async def call(*args: Any, **named: Any) -> AsyncIterator[Any]:
            told = await self._life.step(f"{self._name}.{attribute} {args[0]}")
            async with member(*args, **named) as inner:
                yield inner
            self._life.check()
            if told:
                raise injected(f"{self._name}.{attribute}, done")

        return call


@functools.cache
def _kind(function: Callable[..., Any]) -> str:
    if inspect.isasyncgenfunction(function):
        return "generator"
    return "coroutine" if inspect.iscoroutinefunction(function) else ""


def _told(args: tuple[Any, ...]) -> str:
    """Say what a call is about: which dataset and, if it sets any, which properties; which phase of a journal."""
    if args and isinstance(args[0], Journal):
        return args[0].phase.value
    if args and isinstance(args[0], RunSpec):
        return args[0].name
    keys = " ".join(args[1]) if len(args) > 1 and isinstance(args[1], Mapping) else ""
    return " ".join(filter(None, [str(args[0]) if args else "", keys]))
