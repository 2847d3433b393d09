"""What is left to do on a host that a jail has left: done at once, and what cannot be done now again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from jaild.engine.dispatcher import Dispatcher
from jaild.engine.events import Events
from jaild.engine.inventory import Inventory, JailEntry
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.model.layers.records import Ownership

Work = Callable[[JailEntry], Awaitable[None]]
_PAUSE = BackOff(first=5.0, longest=600.0)  # somebody's shell in the jail's folder may stay there for long
_LEFT = frozenset({Ownership.MOVED, Ownership.FENCED})


class Tidying:
    """Puts away what jails leave behind."""

    def __init__(self, inventory: Inventory, dispatcher: Dispatcher, supervisor: Supervisor, events: Events) -> None:
        self._inventory = inventory
        self._dispatcher = dispatcher
        self._supervisor = supervisor
        self._events = events
        self._log = structlog.get_logger("jaild.tidying")

    async def do(self, entry: JailEntry, *works: Work) -> None:
        """Do all, in the jail's queue. What fails is told and retried in the background, until the jail is back."""
        failures = await self._tried(works, entry)
        if not failures:
            return
        for error in failures.values():
            await self._events.emit("jail.untidy", f"jails/{entry.name}", f"it has left, but: {error}; tried again")
        left = list(failures)

        async def go_on() -> None:
            async with self._dispatcher.exclusive(f"jails/{entry.name}"):
                if not self._is_away(entry):
                    return
                failures = await self._tried(left, entry)
                left[:] = failures
                for error in failures.values():
                    raise error
            await self._events.emit("jail.tidied", f"jails/{entry.name}", "what was left here is put away now")

        name = f"tidying of {entry.name}"
        self._supervisor.drop(name)  # of an earlier stay: all of it is done again
        self._supervisor.retry(name, go_on, pause=_PAUSE, after=_PAUSE.first, target=f"jails/{entry.name}")

    def _is_away(self, entry: JailEntry) -> bool:
        here = self._inventory.jails.get(entry.name) is entry
        return here and entry.record is not None and entry.record.state in _LEFT

    async def _tried(self, works: Sequence[Work], entry: JailEntry) -> dict[Work, Exception]:
        """Return what could not be done, and why not. One that fails keeps none from being tried."""
        failures: dict[Work, Exception] = {}
        for work in works:
            try:
                await work(entry)
            except Exception as error:  # noqa: BLE001 -- whatever it was: it is done again
                self._log.warning("cannot put away yet", jail=entry.name, exc_info=error)
                failures[work] = error
        return failures
