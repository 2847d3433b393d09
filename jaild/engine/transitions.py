"""One line of the log for each change of a jail's state, `old -> new`; operations and migrations write their own."""

from __future__ import annotations

import structlog

from jaild.engine.dispatcher import Dispatcher
from jaild.engine.inventory import Inventory
from jaild.model.operation import Operation

_JAILS = "jails/"
_ABSENT = "absent"  # before it is made, and after it has gone


class Transitions:
    """Looks at a jail's state whenever it may be another one."""

    def __init__(self, inventory: Inventory, dispatcher: Dispatcher) -> None:
        self._inventory = inventory
        self._dispatcher = dispatcher
        self._states: dict[str, str] = {}
        self._log = structlog.get_logger("jaild.jails")

    def begin(self) -> None:
        """Tell of all changes from now on."""
        self._states = {name: self._state(name) for name in self._inventory.jails}
        self._inventory.jails.hear = self.look

    def ended(self, operation: Operation) -> None:
        """Look at the jail that an operation was about, which is in no transition any more."""
        if self._inventory.jails.hear is not None and operation.target.startswith(_JAILS):
            self.look(operation.target.removeprefix(_JAILS))

    def look(self, name: str) -> None:
        """Tell if a jail's state is another one than when it was looked at last."""
        old, new = self._states.get(name, _ABSENT), self._state(name)
        if old == new:
            return
        if new == _ABSENT:
            del self._states[name]
        else:
            self._states[name] = new
        self._log.info(f"{old} -> {new}", of="jail", old=old, new=new, jail=name)

    def _state(self, name: str) -> str:
        if name not in self._inventory.jails:
            return _ABSENT
        pending = self._dispatcher.pending(f"{_JAILS}{name}")
        return self._inventory.jail_view(name, pending[0] if pending else None).state.value
