"""The health checks: a new generation must prove itself before it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress

import structlog

from jaild.jails.runs import Runs
from jaild.model import quantity
from jaild.model.errors import AbortedError, JaildError
from jaild.model.jails import network as netcheck
from jaild.model.jails.restarts import told_end
from jaild.model.jails.spec import ExecCheck, HealthCheck, HttpCheck, JailSpec, ProcessCheck
from jaild.ports.clock import Clock
from jaild.ports.files import Files
from jaild.ports.probe import Probe
from jaild.ports.runtime import Output, Runtime

_TOLD = 2000  # bytes of the log's end that an error carries


class HealthChecks:
    """Runs a spec's health checks until they pass often enough, or time is up."""

    def __init__(self, runtime: Runtime, runs: Runs, probe: Probe, files: Files, clock: Clock) -> None:
        self._runtime = runtime
        self._runs = runs
        self._probe = probe
        self._files = files
        self._clock = clock
        self._is_in_the_way: Callable[[str, str], bool] = lambda _, __: False
        self._log = structlog.get_logger("jaild.health")

    def give_way(self, is_in_the_way: Callable[[str, str], bool]) -> None:
        """Wait no longer for a jail to be well once that is so of its name and the release that is to prove itself.

        That is: a stop waits that is its caller's to ask for, or the daemon's end.
        """
        self._is_in_the_way = is_in_the_way

    async def require_healthy(self, name: str, generation: int, spec: JailSpec) -> None:
        """Return when every check has passed `successes` times in a row.

        `AbortedError` (HEALTH_CHECK_FAILED) with the checks' last output and the log's end when the deadline passes,
        the same failures come too often in a row, or the jail's first process ends; (HEALTH_CHECK_ENDED) if it gives
        way, after the check under way. A spec without checks only has to keep running for `successes` intervals.
        """
        ended = asyncio.create_task(self._runtime.wait(name, generation))
        passing = asyncio.create_task(self._passes(name, generation, spec))
        try:
            done, _ = await asyncio.wait({ended, passing}, return_when=asyncio.FIRST_COMPLETED)
            if ended in done:
                run = ended.result()
                text = told_end(run.exit_status, out_of_memory=run.out_of_memory)
                raise await self._failed(name, generation, [f"its first process ended with {text}"])
            problems = passing.result()
            if problems:
                raise await self._failed(name, generation, problems)
        finally:
            for task in (ended, passing):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):  # what counts has been raised
                    await task

    async def _passes(self, name: str, generation: int, spec: JailSpec) -> list[str]:
        deadline = self._clock.monotonic() + spec.readiness.deadline
        row = failures = 0
        before: list[str] = []
        while True:
            problems = await self._problems(name, generation, spec, spec.health)
            row = 0 if problems else row + 1
            failures = failures + 1 if problems and problems == before else 1
            before = problems
            if problems and failures == spec.readiness.failures:
                return [*problems, f"said {quantity.count(failures, 'time')} in a row"]
            if row >= spec.readiness.successes and (spec.health or row > spec.readiness.successes):
                return []
            if self._clock.monotonic() >= deadline and problems:
                return problems
            if self._is_in_the_way(name, spec.app or ""):
                raise check_ended(name)
            await self._clock.sleep(spec.readiness.interval)

    async def problems(self, name: str, generation: int, spec: JailSpec) -> str:
        """Make the spec's liveness checks of a running jail once; return what was wrong, '' for nothing."""
        return "; ".join(await self._problems(name, generation, spec, spec.living))

    async def _problems(self, name: str, generation: int, spec: JailSpec, checks: tuple[HealthCheck, ...]) -> list[str]:
        if len(checks) == 1:  # no task for it: thousands are made each minute
            results = [await self._check(name, generation, spec, checks[0])]
        else:
            results = await asyncio.gather(*(self._check(name, generation, spec, check) for check in checks))
        return [problem for problem in results if problem]

    async def _check(self, name: str, generation: int, spec: JailSpec, check: HealthCheck) -> str:
        try:
            return await self._answer(name, generation, spec, check)
        except Exception as error:  # noqa: BLE001 -- whatever a service makes of a check is a check that failed
            self._log.warning("a health check died", jail=name, error=repr(error))
            return f"{type(check).__name__}: {type(error).__name__}: {error}"

    async def _answer(self, name: str, generation: int, spec: JailSpec, check: HealthCheck) -> str:
        if isinstance(check, ProcessCheck):
            return ""  # whoever asks has seen that it runs, and is told when it ends
        if isinstance(check, ExecCheck):
            return await self._exec(name, generation, check)
        found = netcheck.addresses(spec)
        address = check.address or (str(found[0]) if found else "127.0.0.1")
        if isinstance(check, HttpCheck):
            return await self._probe.http(address, check.port, check.path, check.timeout)
        return await self._probe.tcp(address, check.port, check.timeout)

    async def _exec(self, name: str, generation: int, check: ExecCheck) -> str:
        return await problem_of(self._runtime.exec(name, generation, check.command), check.command, check.timeout)

    async def _own_output(self, name: str) -> bytes:
        """Return the end of what this run wrote, whole lines only."""
        path, begins = self._runs.log_path(name), self._runs.log_start(name)
        size = await self._files.size(path)
        output = await self._files.read_at(path, max(begins, size - _TOLD), _TOLD)
        return output if size - _TOLD <= begins else output.partition(b"\n")[2]

    async def _failed(self, name: str, generation: int, problems: list[str]) -> AbortedError:
        try:
            tail = (await self._own_output(name)).decode(errors="replace").strip()
        except JaildError as error:
            tail = f"(log not readable: {error.message})"
        return AbortedError(
            "HEALTH_CHECK_FAILED",
            f"generation {generation} of jail {name} is not healthy: {'; '.join(problems)}",
            hint="fix the release or the spec's health checks; the log's end is in the details",
            resource=f"jails/{name}/generations/{generation}",
            detail={"log": tail, "checks": "\n".join(problems)},
        )


def check_ended(name: str) -> AbortedError:
    """Return what is told of a jail whose health was not waited for any more."""
    return AbortedError(
        "HEALTH_CHECK_ENDED",
        f"jail {name} was to be stopped, or the daemon was, before its health checks had passed",
        hint="start it, and see whether it becomes healthy",
        resource=f"jails/{name}",
    )


async def problem_of(running: AsyncGenerator[Output, None], command: Sequence[str], timeout: float) -> str:
    """Let a command in a jail run to its end, at most `timeout` seconds; return what was wrong, '' for status 0."""
    what, output = " ".join(command), b""
    try:
        async with asyncio.timeout(timeout), aclosing(running) as pieces:
            async for piece in pieces:
                output = (output + piece.stdout + piece.stderr)[-_TOLD:]
                if piece.exit_status == 0:
                    return ""
                if piece.exit_status is not None:
                    said = output.decode(errors="replace").strip()
                    return f"{what}: exit status {piece.exit_status}" + (f": {said}" if said else "")
    except TimeoutError:
        return f"{what}: not done within {timeout:g} s"
    except JaildError as error:
        return f"{what}: {error.message}"
    return f"{what}: ended without a status"
