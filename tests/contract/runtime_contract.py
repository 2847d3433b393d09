"""What every runtime does, the fake and the real ones alike."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.model.jails.mounts import Mount
from jaild.model.jails.spec import Limits, Network
from jaild.ports.runtime import Output, Run, RunSpec, Runtime, Usage

SERVE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")


def run_spec(
    generation: int = 1,
    *,
    jail: str = "web",
    mounts: tuple[Mount, ...] = (),
    command: tuple[str, ...] = SERVE,
    user: str = "root",
    network: Network | None = None,
    limits: Limits | None = None,
    log: Path = Path("/dev/null"),
    stop_timeout: float = 5.0,
) -> RunSpec:
    return RunSpec(
        jail=jail,
        generation=generation,
        uid="0198c0de-0000-7000-8000-00000000cafe",
        mounts=mounts,
        command=command,
        environment={"COLOUR": "blue"},
        user=user,
        hostname=jail,
        network=network or Network(),
        limits=limits or Limits(),
        osrelease="",
        osreldate=0,
        log=log,
        stop_signal="TERM",
        stop_timeout=stop_timeout,
    )


class Rig(ABC):
    """A host with a runtime, and what a test must be able to do to it."""

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The runtime."""

    @abstractmethod
    def restarted(self) -> Runtime:
        """The runtime of a new daemon on the same host."""

    @abstractmethod
    def spec(self, generation: int = 1) -> RunSpec:
        """A run that serves until it is told to end."""

    @abstractmethod
    def expect(self, run: RunSpec, command: tuple[str, ...], output: tuple[int, bytes, bytes]) -> None:
        """Say what a command will do, to a runtime that cannot run it."""

    async def counted(self, used: Usage) -> None:
        """Wait until a usage that is asked for now is younger than `used`, whose age it tells."""
        await asyncio.sleep(2 * used.max_age)  # twice: to count all of a busy host takes its time, too

    @abstractmethod
    async def crash(self, run: Run) -> None:
        """End a run's first process by signal 9, as the kernel does when memory is short."""


async def only(runtime: Runtime) -> Run:
    (run,) = await runtime.runs()
    return run


async def output_of(runtime: Runtime, run: RunSpec, *command: str) -> tuple[int | None, bytes, bytes]:
    pieces = [piece async for piece in runtime.exec(run.jail, run.generation, command)]
    return pieces[-1].exit_status, b"".join(p.stdout for p in pieces), b"".join(p.stderr for p in pieces)


class RuntimeContract:
    """Inherit, and give the fixture `rig`."""

    async def test_free_memory_is_no_more_than_the_host_has(self, rig: Rig) -> None:
        free = await rig.runtime.free_memory()
        assert free is None or 0 < free < (await rig.runtime.facts()).memory

    async def test_a_created_run_is_there_and_not_running(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        run = await only(rig.runtime)
        assert (run.jail, run.generation, run.uid) == ("web", 1, rig.spec().uid)
        assert (run.running, run.pid, run.started) == (False, 0, 0.0)

    async def test_a_started_run_is_running_with_a_pid_and_a_time(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)
        run = await only(rig.runtime)
        assert run.running
        assert run.pid > 0
        assert run.started > 1e9

    async def test_a_stopped_run_stays_until_it_is_removed(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)
        assert await rig.runtime.stop("web", 1) >= 0.0
        run = await only(rig.runtime)
        assert not run.running
        assert run.exit_status is not None
        await rig.runtime.remove("web", 1)
        assert await rig.runtime.runs() == []

    async def test_a_stopped_run_can_be_started_again(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)
        await rig.runtime.stop("web", 1)
        await rig.runtime.start("web", 1)
        run = await only(rig.runtime)
        assert run.running
        assert run.exit_status is None

    async def test_stopping_what_has_ended_is_no_error(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)
        await rig.runtime.stop("web", 1)
        assert await rig.runtime.stop("web", 1) >= 0.0

    async def test_removing_what_is_not_there_is_no_error(self, rig: Rig) -> None:
        await rig.runtime.remove("web", 9)
        assert await rig.runtime.runs() == []

    async def test_a_running_run_is_not_removed(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)
        with pytest.raises(FailedPreconditionError) as refused:
            await rig.runtime.remove("web", 1)
        assert refused.value.reason == "RUN_RUNNING"
        assert (await only(rig.runtime)).running

    async def test_the_next_generation_is_built_while_the_old_one_serves(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec(1))
        await rig.runtime.start("web", 1)
        await rig.runtime.create(rig.spec(2))
        states = {run.generation: run.running for run in await rig.runtime.runs()}
        assert states == {1: True, 2: False}

    async def test_one_run_is_found_as_it_is_among_all_of_them(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec(1))
        await rig.runtime.start("web", 1)
        await rig.runtime.create(rig.spec(2))
        found = [await rig.runtime.find("web", number) for number in (1, 2, 3)]
        assert found == [*sorted(await rig.runtime.runs(), key=lambda run: run.generation), None]

    async def test_only_one_generation_of_a_jail_is_started(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec(1))
        await rig.runtime.create(rig.spec(2))
        await rig.runtime.start("web", 1)
        with pytest.raises(FailedPreconditionError) as refused:
            await rig.runtime.start("web", 2)
        assert refused.value.reason == "RUN_RUNNING"
        await rig.runtime.stop("web", 1)
        await rig.runtime.start("web", 2)
        assert {run.generation: run.running for run in await rig.runtime.runs()} == {1: False, 2: True}

    async def test_a_run_is_created_once(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        with pytest.raises(AlreadyExistsError) as refused:
            await rig.runtime.create(rig.spec())
        assert refused.value.reason == "RUN_EXISTS"
        await rig.runtime.start("web", 1)
        assert (await only(rig.runtime)).running

    async def test_stopping_what_is_not_there_is_no_error(self, rig: Rig) -> None:
        await rig.runtime.stop("web", 7)
        assert await rig.runtime.runs() == []

    async def test_what_was_not_created_is_neither_started_nor_waited_for(self, rig: Rig) -> None:
        for change in (rig.runtime.start, rig.runtime.wait):
            with pytest.raises(NotFoundError) as refused:
                await change("web", 7)
            assert refused.value.reason == "RUN_NOT_FOUND"

    async def test_wait_tells_how_a_crashed_run_ended(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)
        waiting = asyncio.create_task(rig.runtime.wait("web", 1))
        await rig.crash(await only(rig.runtime))
        run = await asyncio.wait_for(waiting, 10)
        assert not run.running
        assert run.exit_status == -9
        assert (await only(rig.runtime)).exit_status == -9

    async def test_wait_for_what_was_never_started_is_refused(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        with pytest.raises(FailedPreconditionError) as refused:
            await rig.runtime.wait("web", 1)
        assert refused.value.reason == "RUN_NOT_RUNNING"

    async def test_a_new_daemon_finds_what_the_old_one_started(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec(1))
        await rig.runtime.start("web", 1)
        await rig.runtime.create(rig.spec(2))
        before = await rig.runtime.runs()
        adopted = rig.restarted()
        assert await adopted.runs() == before
        await adopted.stop("web", 1)
        await adopted.start("web", 2)
        assert {run.generation: run.running for run in await adopted.runs()} == {1: False, 2: True}

    async def test_exec_gives_both_streams_and_the_status(self, rig: Rig) -> None:
        spec = rig.spec()
        await rig.runtime.create(spec)
        await rig.runtime.start("web", 1)
        command = ("sh", "-c", "echo out; echo err >&2; exit 3")
        rig.expect(spec, command, (3, b"out\n", b"err\n"))
        assert await output_of(rig.runtime, spec, *command) == (3, b"out\n", b"err\n")

    async def test_exec_reads_its_stdin(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        await rig.runtime.start("web", 1)

        async def lines() -> AsyncIterator[bytes]:
            for line in (b"one\n", b"two\n"):
                yield line

        pieces: list[Output] = [piece async for piece in rig.runtime.exec("web", 1, ("cat",), inputs=lines())]
        assert b"".join(p.stdout for p in pieces) == b"one\ntwo\n"
        assert [p.exit_status for p in pieces][-1] == 0

    async def test_exec_of_a_program_that_is_not_there_says_so_and_ends_as_of_a_shell(self, rig: Rig) -> None:
        spec = rig.spec()
        await rig.runtime.create(spec)
        await rig.runtime.start("web", 1)
        rig.expect(spec, ("nosuch",), (127, b"", b"env: nosuch: No such file or directory\n"))
        status, stdout, stderr = await output_of(rig.runtime, spec, "nosuch")
        assert (status, stdout) == (127, b"")
        assert stderr.partition(b": ")[2] == b"nosuch: No such file or directory\n"

    async def test_exec_needs_a_running_run(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        with pytest.raises(FailedPreconditionError) as refused:
            await output_of(rig.runtime, rig.spec(), "true")
        assert refused.value.reason == "RUN_NOT_RUNNING"

    async def test_usage_is_of_a_running_run(self, rig: Rig) -> None:
        await rig.runtime.create(rig.spec())
        with pytest.raises(FailedPreconditionError):
            await rig.runtime.usage("web", 1)
        await rig.runtime.start("web", 1)
        await rig.counted(await rig.runtime.usage("web", 1))
        used = await rig.runtime.usage("web", 1)
        assert used.memory > 0
        assert used.processes >= 1

    async def test_jails_do_not_stand_in_each_others_way(self, rig: Rig) -> None:
        other = replace(rig.spec(), jail="db", uid="0198c0de-0000-7000-8000-00000000beef", hostname="db")
        await rig.runtime.create(rig.spec())
        await rig.runtime.create(other)
        await rig.runtime.start("web", 1)
        await rig.runtime.start("db", 1)
        assert {run.jail for run in await rig.runtime.runs() if run.running} == {"web", "db"}
