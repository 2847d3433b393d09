"""A container runtime in memory. The object is the host: a second daemon given it finds the same runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.model.jails.spec import HttpCheck, TcpCheck
from jaild.model.layers.records import Family
from jaild.model.problems import Problem
from jaild.ports.process import TerminalSize
from jaild.ports.runtime import END_OF_STDIN, Demands, HostFacts, Input, Output, Run, RunSpec, Runtime, Traffic, Usage

FACTS = HostFacts(
    runtime="fake 1",
    family=Family.LINUX,
    kernel="6.1.0",
    osreldate=0,
    machine="amd64",
    memory=8 << 30,
    cpus=4,
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an exec in a run says."""

    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(kw_only=True)
class FakeRun:
    """A run as the fake holds it."""

    spec: RunSpec
    pid: int = 0
    started: float = 0.0
    exit_status: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def run(self) -> Run:
        """What the port tells of it."""
        return Run(
            jail=self.spec.jail,
            generation=self.spec.generation,
            uid=self.spec.uid,
            running=self.pid != 0,
            pid=self.pid,
            started=self.started,
            exit_status=self.exit_status,
        )


class FakeRuntime:
    """Implements `jaild.ports.runtime.Runtime`.

    `refuse` maps an operation (`start`), or an operation on one run (`start:web.2`), to the error it raises until the
    entry is taken out; nothing is changed then. `calls` lists `(operation, "web.2")` in order, refused ones too.
    `takes` maps an operation (`create`, `start`, `stop`) to the seconds that it takes, of the clock that `sleep` is of.
    `answers` maps a run (`web.2`), or a run and a command (`("web.2", ("check", "-q"))`), to what exec says there.
    """

    def __init__(
        self,
        *,
        facts: HostFacts = FACTS,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.refuse: dict[str, Exception] = {}
        self.takes: dict[str, float] = {}
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[str | tuple[str, tuple[str, ...]], Answer] = {}
        self.anywhere: dict[tuple[str, ...], Answer] = {}  # what a command says in a run without an answer of its own
        self.stop_seconds = 0.0
        self.problems: tuple[Problem, ...] = ()  # of every `examine`
        self.usages: dict[str, Usage] = {}
        self.traffics: dict[str, Traffic] = {}
        self.by_name: dict[str, FakeRun] = {}
        self.unhealthy: dict[str, str] = {}  # run -> what a check from inside finds wrong
        self.free: int | None = 4 << 30
        self.host_facts = facts
        self._now = now
        self._sleep = sleep
        self._next_pid = 100

    def say(
        self,
        jail: str,
        generation: int,
        *,
        status: int = 0,
        stdout: bytes = b"",
        stderr: bytes = b"",
        command: tuple[str, ...] | None = None,
    ) -> None:
        """Set what every exec in that run answers from now on, or only `command`. Without it: status 0, no output."""
        name = f"{jail}.{generation}"
        self.answers[name if command is None else (name, command)] = Answer(status=status, stdout=stdout, stderr=stderr)

    def end(self, jail: str, generation: int, status: int = 0) -> None:
        """Let a running run's first process end by itself, as a crash does."""
        self._end(self._running(f"{jail}.{generation}"), status)

    async def facts(self) -> HostFacts:
        """Return what it was made with."""
        self._call("facts", "")
        return self.host_facts

    async def free_memory(self) -> int | None:
        """Return `free`."""
        self._call("free_memory", "")
        return self.free

    async def prepare_host(self) -> None:
        """Do nothing."""
        self._call("prepare_host", "")

    async def withdraw_host(self) -> list[str]:
        """Do nothing."""
        self._call("withdraw_host", "")
        return []

    async def examine(self, demands: Demands, resource: str) -> tuple[Problem, ...]:  # noqa: ARG002 - the port's
        """Return what `problems` has: nothing, if no test says otherwise."""
        self._call("examine", resource)
        return self.problems

    async def create(self, run: RunSpec) -> None:
        """Keep the run."""
        self._call("create", run.name)
        if run.name in self.by_name:
            raise AlreadyExistsError("RUN_EXISTS", f"the run {run.name} exists", resource=run.name)
        await self._take("create")
        self.by_name[run.name] = FakeRun(spec=run)

    async def start(self, jail: str, generation: int) -> Run:
        """Count it as running."""
        name = f"{jail}.{generation}"
        self._call("start", name)
        run = self._known(name)
        for other in self.by_name.values():
            if other.spec.jail == jail and other.pid:
                raise FailedPreconditionError(
                    "RUN_RUNNING", f"{other.spec.name} is running", hint="stop it first", resource=other.spec.name
                )
        await self._take("start")
        self._next_pid += 1
        run.pid, run.started, run.exit_status = self._next_pid, self._now(), None
        run.ended = asyncio.Event()
        return run.run

    async def stop(self, jail: str, generation: int) -> float:
        """End it by its stop signal."""
        name = f"{jail}.{generation}"
        self._call("stop", name)
        run = self.by_name.get(name)
        if run is None or not run.pid:
            return 0.0
        await self._take("stop")
        self._end(run, -15)
        return self.stop_seconds

    async def remove(self, jail: str, generation: int) -> None:
        """Forget it."""
        name = f"{jail}.{generation}"
        self._call("remove", name)
        run = self.by_name.get(name)
        if run is not None and run.pid:
            raise FailedPreconditionError("RUN_RUNNING", f"{name} is running", hint="stop it first", resource=name)
        self.by_name.pop(name, None)

    async def runs(self) -> list[Run]:
        """Return all of them."""
        self._call("runs", "")
        return [run.run for run in self.by_name.values()]

    async def find(self, jail: str, generation: int) -> Run | None:
        """Return one of them."""
        self._call("find", f"{jail}.{generation}")
        run = self.by_name.get(f"{jail}.{generation}")
        return run.run if run is not None else None

    async def wait(self, jail: str, generation: int) -> Run:
        """Wait for `end` or `stop`."""
        name = f"{jail}.{generation}"
        self._call("wait", name)
        run = self._known(name)
        if run.started:
            await run.ended.wait()
            return run.run
        raise FailedPreconditionError("RUN_NOT_RUNNING", f"{name} was not started", resource=name)

    async def exec(
        self,
        jail: str,
        generation: int,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str] | None = None,  # noqa: ARG002 - the port's
        user: str | None = None,  # noqa: ARG002 - the port's
        inputs: AsyncIterator[Input] | None = None,
        terminal: TerminalSize | None = None,
    ) -> AsyncGenerator[Output, None]:
        """Answer as `say` told; `cat` without an answer of its own gives back its stdin, and all else it is given.

        On a terminal both streams are one.
        """
        name = f"{jail}.{generation}"
        self._call("exec", name)
        self._running(name)
        answer = self.answers.get((name, command)) or self.answers.get(name) or self.anywhere.get(command, Answer())
        if terminal is not None:
            answer = replace(answer, stdout=answer.stdout + answer.stderr, stderr=b"")
        if inputs is not None:
            async for piece in inputs:
                if piece == END_OF_STDIN:
                    break
                if command == ("cat",):
                    yield Output(stdout=piece if isinstance(piece, bytes) else str(piece).encode())
        if answer.stdout:
            yield Output(stdout=answer.stdout)
        if answer.stderr:
            yield Output(stderr=answer.stderr)
        yield Output(exit_status=answer.status)

    async def probe(self, jail: str, generation: int, check: HttpCheck | TcpCheck, address: str) -> str:  # noqa: ARG002 -- the port's
        """Say what `unhealthy` has for the run; a name before the dot is enough."""
        name = f"{jail}.{generation}"
        self._call("probe", name)
        self._running(name)
        return self.unhealthy.get(name, "")

    async def usage(self, jail: str, generation: int) -> Usage:
        """Return what `usages` has for the run, or one small process."""
        name = f"{jail}.{generation}"
        self._call("usage", name)
        self._running(name)
        return self.usages.get(name, Usage(memory=1 << 20, cpu_seconds=0.01, processes=1))

    async def traffic(self, runs: Collection[Run]) -> Mapping[str, Traffic]:
        """Return what `traffics` has for them."""
        self._call("traffic", "")
        return {run.jail: self.traffics[run.jail] for run in runs if run.jail in self.traffics}

    async def announce(self, jail: str, generation: int) -> None:
        """Do nothing; the call is recorded."""
        name = f"{jail}.{generation}"
        self._call("announce", name)
        self._running(name)

    async def _take(self, operation: str) -> None:
        if operation in self.takes:
            await self._sleep(self.takes[operation])

    def _call(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        error = self.refuse.get(f"{operation}:{name}") or self.refuse.get(operation)
        if error is not None:
            raise error

    def _known(self, name: str) -> FakeRun:
        run = self.by_name.get(name)
        if run is None:
            raise NotFoundError("RUN_NOT_FOUND", f"there is no run {name}", hint="create it first", resource=name)
        return run

    def _running(self, name: str) -> FakeRun:
        run = self._known(name)
        if not run.pid:
            raise FailedPreconditionError(
                "RUN_NOT_RUNNING", f"{name} is not running", hint="start it first", resource=name
            )
        return run

    @staticmethod
    def _end(run: FakeRun, status: int) -> None:
        run.pid, run.exit_status = 0, status
        run.ended.set()


def as_runtime(fake: FakeRuntime) -> Runtime:
    """Return it as the port: where mypy proves that the fake implements it."""
    return fake
