"""States of one minion, given as data, each tried as it is to be: planned, applied, applied again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.salt.bench import Bench


class States:
    """The states of `jaild` on one minion."""

    def __init__(self, bench: Bench, minion: str = "solo") -> None:
        self._bench = bench
        self._minion = minion

    def one(self, function: str, name: str, *, test: bool = False, **arguments: Any) -> Mapping[str, Any]:
        """Apply one state; return what it told."""
        given = {"name": name, "test": test, **arguments}
        told = self._bench.ask(self._minion, "state.single", f"jaild.{function}", kwarg=given)[self._minion]
        assert isinstance(told, dict), told
        return dict(next(iter(told.values())))

    def twice(self, function: str, name: str, **arguments: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """See what would be done, do it, and see that there is nothing left; return the plan, and what was done."""
        planned = self.one(function, name, test=True, **arguments)
        assert planned["result"] is None, planned
        assert planned["changes"], planned
        again = self.one(function, name, test=True, **arguments)
        assert again["result"] is None, "test mode did something"
        done = self.one(function, name, **arguments)
        assert done["result"] is True, done
        assert done["changes"], done
        for test in (False, True):
            idle = self.one(function, name, test=test, **arguments)
            assert (idle["result"], idle["changes"]) == (True, {}), idle
        return planned, done
