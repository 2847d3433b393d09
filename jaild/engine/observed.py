"""Things by name that are heard of when they change: added, removed, or one of their telling attributes set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar

_T = TypeVar("_T", bound="Watched")


class Watched:
    """Calls `hear`, if somebody listens, when an attribute in `TELLING` was set."""

    TELLING: ClassVar[frozenset[str]] = frozenset()
    hear: Callable[[], None] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name in self.TELLING and self.hear is not None:
            self.hear()


class Things(dict[str, _T]):
    """By name. `hear` is told the name of each that changes, once there is one."""

    hear: Callable[[str], None] | None = None

    def __setitem__(self, name: str, thing: _T) -> None:
        super().__setitem__(name, thing)
        thing.hear = partial(self.tell, name)
        self.tell(name)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.tell(name)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove one and return it, as dicts do."""
        found = super().pop(name, *default)
        self.tell(name)
        return found

    def tell(self, name: str) -> None:
        """Say that one has changed: by its name, for what its attributes do not say."""
        if self.hear is not None:
            self.hear(name)
