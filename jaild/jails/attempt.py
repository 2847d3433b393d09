"""One change of a jail under way: see `jaild.jails.changes`."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaild.engine import saga
from jaild.engine.inventory import JailEntry, OwnedJail, Stack
from jaild.jails.configuration import Trees
from jaild.jails.datasets import Seed
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Change, Create, Draft, Revert
from jaild.model.jails.spec import Hooks
from jaild.model.layers.records import Desired, Generation, JailRecord
from jaild.model.views import Caller

_NO_HOOKS = Hooks()
Wanted = tuple[OwnedJail, Draft]  # a jail, and what is wanted of it


@dataclass(kw_only=True)
class Attempt(saga.Attempt):
    """What the phases of one change hand on to each other. What has no value at first is known once it is planned."""

    name: str
    change: Change | Create
    caller: Caller
    entry: JailEntry = field(init=False)
    record: JailRecord = field(init=False)  # before
    committed: JailRecord = field(init=False)  # and after the commit
    old: Generation = field(init=False)  # of a creation there is none
    new: Generation = field(init=False)
    stack: Stack = field(init=False)  # that it runs on, from when it is reserved
    seed: Seed | None = None  # of a creation that is a copy
    confirm_within: float = 0.0  # seconds that it waits for its confirmation; 0: not
    only_staged: bool = False  # it ends when the new generation is whole, and kept to be cut over to later
    is_there: bool = False  # the new generation was made before: it is an older one, or one that was staged
    wanted: Wanted | None = None  # of a change of one axis, before it is planned
    trees: Trees | None = None  # None: an older generation is cut over to as it is
    stopping_since: float = 0.0  # (monotonic) when the old generation was asked to stop

    @property
    def is_creation(self) -> bool:
        """Whether it makes the jail."""
        return isinstance(self.change, Create)

    @property
    def may_abort(self) -> bool:
        """Whether a hook may end it: nothing keeps from coming back what nobody confirmed."""
        return not isinstance(self.change, Revert)

    @property
    def intent(self) -> Intent:
        """What it wants to do with the jail."""
        return Intent.SETTLE if isinstance(self.change, Revert) else Intent.CHANGE

    def starts(self) -> bool:
        """Whether the new generation is to run: also if the old one has ended, since this may be what fixes it."""
        return self.record.desired is Desired.RUNNING and not self.only_staged

    def starts_first(self) -> bool:
        """Whether it is the jail's first generation, and to run."""
        return self.starts() and self.is_creation

    def is_checked(self) -> bool:
        """Whether the new generation must prove itself: what is gone back to unasked has, and need not once more."""
        return self.starts() and not isinstance(self.change, Revert)

    def drains(self) -> bool:
        """Whether an older generation serves that has hooks: those after its start tell if it goes on after all."""
        running = self.entry.run is not None and self.entry.run.running
        return running and self.cuts_over() and self.old.spec.hooks != _NO_HOOKS

    def says_it_serves(self) -> bool:
        """Whether the new generation is to run, and has hooks for that."""
        return self.starts() and bool(self.new.spec.hooks.after_start)

    def cuts_over(self) -> bool:
        """Whether there may be an older generation that serves."""
        return self.starts() and not self.is_creation
