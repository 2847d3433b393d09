"""How many CPUs jails keep busy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Loads = Mapping[str, float]


def loads(first: Sequence[Any], then: Sequence[Any]) -> Loads:
    """Return how many CPUs each jail keeps busy: as its system says, or between two measurements of the same run."""
    before = {jail.name: jail for jail in first if jail.HasField("cpu_seconds")}
    found = {}
    for jail in then:
        if jail.HasField("cpu_cores"):
            found[jail.name] = jail.cpu_cores
            continue
        earlier = before.get(jail.name)
        if earlier is None or not jail.HasField("cpu_seconds") or earlier.start_time != jail.start_time:
            continue
        passed = (jail.sample_time.ToNanoseconds() - earlier.sample_time.ToNanoseconds()) / 1e9
        if passed > 0:
            found[jail.name] = round(max(0.0, jail.cpu_seconds - earlier.cpu_seconds) / passed, 3)
    return found
