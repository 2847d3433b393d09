"""Hooks: what a spec wants done while a jail still serves, before it is stopped, and when it serves again.

They run one after the other, in the jail or as an HTTP call from the host, at least once: a daemon that ends between a
hook and what it was for lets its successor run it again. A jail that was told to drain and is not stopped after all is
told that it serves (`after_start`): by whoever gives up, and after a crash by `recover`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from jaild.engine.build import Engine
from jaild.engine.supervisor import BackOff
from jaild.jails.health import HealthChecks, problem_of
from jaild.model.errors import AbortedError
from jaild.model.jails.authority import Intent
from jaild.model.jails.network import hook_target
from jaild.model.jails.spec import ExecHook, Hook
from jaild.model.layers.records import Generation

_PAUSE = BackOff(first=5.0, longest=300.0)


class Hooks:
    """Runs them."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._runtime = engine.ports.runtime
        self._probe = engine.ports.probe
        self._clock = engine.ports.clock
        self._supervisor = engine.supervisor
        self._recovery = engine.recovery
        self._events = engine.events
        self._draining: dict[str, asyncio.Event] = {}
        self._log = structlog.get_logger("jaild.hooks")

    async def before_stop(self, name: str, generation: Generation, *, may_abort: bool = True) -> float:
        """Let a jail that serves drain; return the seconds that it took. Ended early by `hurry`.

        `AbortedError` (HOOK_FAILED) if one fails whose `on_error` is abort, unless not `may_abort`.
        """
        began = self._clock.monotonic()
        hurried = self._draining.setdefault(name, asyncio.Event())
        work = asyncio.create_task(self._run(name, generation, "before_stop", may_abort=may_abort))
        waiting = asyncio.create_task(hurried.wait())
        try:
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                await self._tell(name, "before_stop was not waited for: a stop by force came")
        finally:
            for task in (work, waiting):
                task.cancel()
            await asyncio.gather(work, waiting, return_exceptions=True)
            self._draining.pop(name, None)
        return self._clock.monotonic() - began

    def hurry(self, name: str) -> None:
        """Wait no longer for the hooks of a jail that drains."""
        if (hurried := self._draining.get(name)) is not None:
            hurried.set()

    async def after_start(self, name: str, generation: Generation, *, may_abort: bool = True) -> float:
        """Say that a jail serves; return the seconds that it took. `AbortedError` as `before_stop`."""
        began = self._clock.monotonic()
        await self._run(name, generation, "after_start", may_abort=may_abort)
        return self._clock.monotonic() - began

    async def serves_on(self, name: str, generation: Generation) -> None:
        """Say that a jail serves that was told to drain and is not stopped after all; nothing if it does not run."""
        if not generation.spec.hooks.after_start:
            return
        found = await self._runtime.find(name, generation.number)  # it may run although its start seemed to fail
        if found is not None and found.running:
            await self.after_start(name, generation, may_abort=False)

    async def _run(self, name: str, generation: Generation, which: str, *, may_abort: bool) -> None:
        hooks: tuple[Hook, ...] = getattr(generation.spec.hooks, which)
        for number, hook in enumerate(hooks):
            problem = await self._problem(name, generation.number, hook)
            if not problem:
                continue
            told = f"hook {which}[{number}] of jail {name} failed: {problem}"
            if may_abort and hook.on_error == "abort":
                raise AbortedError(
                    "HOOK_FAILED",
                    told,
                    hint="fix what it calls, or the hook (jailctl jail edit); on_error: continue only tells of it",
                    resource=f"jails/{name}",
                )
            await self._tell(name, told)

    async def _problem(self, name: str, number: int, hook: Hook) -> str:
        try:
            if isinstance(hook, ExecHook):
                return await problem_of(self._runtime.exec(name, number, hook.command), hook.command, hook.timeout)
            address, port, path = hook_target(hook.url)
            return await self._probe.call(hook.method, str(address), port, path, hook.status, hook.timeout)
        except Exception as error:  # noqa: BLE001 -- whatever it makes of it is a hook that failed
            self._log.warning("a hook died", jail=name, error=repr(error))
            return f"{type(error).__name__}: {error}"

    async def _tell(self, name: str, message: str) -> None:
        self._log.warning("hook", jail=name, message=message)
        await self._events.emit("hook.failed", f"jails/{name}", message)

    # -- what a crash left

    def recover(self) -> None:
        """Say of each jail that runs, and of which an operation was interrupted, that it serves: it may be drained."""
        for entry in self._inventory.jails.values():
            generation = entry.generation
            if generation is None or not generation.spec.hooks.after_start or entry.run is None:
                continue
            if f"jails/{entry.name}" in self._recovery.interrupted and self._inventory.may(entry, Intent.RUN_ON):
                name = f"after_start of {entry.name}"
                self._supervisor.retry(
                    name, partial(self.serves_on, entry.name, generation), pause=_PAUSE, target=f"jails/{entry.name}"
                )


@dataclass(frozen=True)
class Serving:
    """What says whether a jail serves, and who is told."""

    health_checks: HealthChecks
    hooks: Hooks
