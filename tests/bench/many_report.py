"""What many jails cost a daemon, beside its goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bench.figures import Goal, Row

_KEYS = ("fewer_on_the_real_pool", "thousand", "ten_thousand")
_READY = 5.0  # seconds, on a real pool
_LIST = {1000: 9.0, 10_000: 60.0}  # ms
_MEMORY = {1000: 120.0, 10_000: 250.0}  # MB
_CALLBACK = 50.0  # ms; shorter ones are not noted


def goals(document: Mapping[str, Any]) -> list[Goal]:
    """The goals of issue 14 for what was measured."""
    return [row.goal for row in rows(document) if row.goal is not None]


def rows(document: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    return [row for key in _KEYS if key in document for row in _rows(document[key])]


def _rows(many: Mapping[str, Any]) -> list[Row]:
    count, what = many["jails"], f"{many['jails']} jails, {many['pool']} pool: "
    listing, memory = many["list_milliseconds"]["median"], many["resident_megabytes"]
    spent = many["start_cpu_seconds"] if many["pool"] == "real" else {}  # the fake was filled by the daemon's process
    cpu = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items())
    processes, longest = float(not many["no_process_started"]), float(many["longest_callback_milliseconds"])
    ready = Goal(name=what + "ready after", value=many["ready_seconds"], limit=_READY, unit="s")
    listed = Goal(name=what + "list", value=listing, limit=_LIST.get(count, _LIST[1000]), unit="ms")
    held = Goal(name=what + "memory", value=memory, limit=_MEMORY.get(count, _MEMORY[1000]), unit="MB")
    started = Goal(name=what + "processes started by listing", value=processes, limit=0, unit="")
    callback = Goal(name=what + "longest callback", value=longest, limit=_CALLBACK, unit="ms")
    return [
        Row(
            what=ready.name,
            measured=f"{ready.value:.2f} s",
            reference=f"answers after {many['answers_after_seconds']:.2f} s" + (f"; CPU: {cpu}" if cpu else ""),
            goal=ready if many["pool"] == "real" else None,  # the fake's own time is in it
        ),
        Row(what=listed.name, measured=f"{listed.value:.1f} ms", goal=listed),
        Row(what=started.name, measured=f"{started.value:.0f}", goal=started),
        Row(what=what + "memory of the daemon", measured=f"{held.value:.0f} MB", goal=held),
        Row(what=callback.name, measured=f"{longest:.0f} ms" if longest else "none over 50 ms", goal=callback),
    ]
