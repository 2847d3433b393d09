"""What jails used over the last hours: kept while the page runs, in a bounded space."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan, nan

from jaild.cli.output.load import loads
from jaild.v1 import stats_pb2

HOST = ""  # the name that stands for all jails of a host together
_MOST = 180  # points of a curve
_WIDEST = 120.0  # seconds that a point stands for at most: then the oldest goes, so that six hours stay


@dataclass(frozen=True)
class Usage:
    """CPUs kept busy and bytes in memory; nan where it is not known."""

    cores: float = nan
    memory: float = nan


@dataclass
class _Curve:
    cores: array[float] = field(default_factory=lambda: array("f"))
    memory: array[float] = field(default_factory=lambda: array("d"))


class History:
    """Usage by jail, all on one line of times.

    When there are `most` points, two and two become one, until a point stands for `widest` seconds. So a page that was
    opened a minute ago shows that minute, and one that was left open shows hours.
    """

    def __init__(self, most: int = _MOST, widest: float = _WIDEST) -> None:
        self._most = most
        self._widest = widest
        self._curves: dict[str, _Curve] = {}
        self.times = array("d")

    def add(self, at: float, used: Mapping[str, Usage]) -> None:
        """Add what was measured at a time, in seconds since the epoch; a jail that is not in it was not there."""
        if len(self.times) >= self._most:
            self._shorten()
        for name in used.keys() - self._curves.keys():
            empty = [nan] * len(self.times)
            self._curves[name] = _Curve(array("f", empty), array("d", empty))
        self.times.append(at)
        for name, curve in self._curves.items():
            usage = used.get(name, Usage())
            curve.cores.append(usage.cores)
            curve.memory.append(usage.memory)

    def cores(self, name: str = HOST) -> list[float]:
        """Return the CPUs that a jail kept busy, or all together, at each of `times`."""
        return list(self._curves[name].cores) if name in self._curves else []

    def memory(self, name: str = HOST) -> list[float]:
        """Return the bytes in memory, likewise."""
        return list(self._curves[name].memory) if name in self._curves else []

    def _shorten(self) -> None:
        wide = (self.times[-1] - self.times[0]) / (len(self.times) - 1)
        if 2 * wide > self._widest:
            del self.times[0]
            for curve in self._curves.values():
                del curve.cores[0], curve.memory[0]
        else:
            self.times = array("d", self.times[1::2])
            for curve in self._curves.values():
                curve.cores, curve.memory = _halved(curve.cores), _halved(curve.memory)
        gone = [name for name, curve in self._curves.items() if all(map(isnan, curve.memory))]
        for name in gone:
            del self._curves[name]


def _halved(values: array[float]) -> array[float]:
    return array(values.typecode, (_mean(values[at - 1 : at + 1]) for at in range(1, len(values), 2)))


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan


def measured(before: Mapping[str, stats_pb2.JailStats], now: Iterable[stats_pb2.JailStats]) -> dict[str, Usage]:
    """Return what jails that run use, by full name, and together as `HOST`.

    CPUs as the system says, or between two measurements of the same run; `before` is the last one by name.
    """
    running = [jail for jail in now if jail.running]
    cores = loads([jail for jail in before.values() if jail.running], running)
    used = {jail.name: Usage(cores.get(jail.name, nan), jail.memory_bytes) for jail in running}
    known = [usage.cores for usage in used.values() if not isnan(usage.cores)]
    together = Usage(sum(known) if known or not used else nan, sum(usage.memory for usage in used.values()))
    return used | {HOST: together}
