"""How far a host's events were handed on: kept in a file, so that a restart goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaild.client import READ_SECONDS, Api
from jaild.v1 import events_pb2, host_pb2

_SECONDS = 600.0  # for all events that a host keeps, once: 100,000 at most


class Cursor:
    """The sequence of the last event that was handed on, of the host that it is of: another pool counts anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, host: str) -> int | None:
        """Return the sequence; None if nothing of that host was handed on yet."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return int(kept["sequence"]) if kept["host"] == host else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # not there, or torn by a full disk
            return None

    def write(self, host: str, sequence: int) -> None:
        """Keep it: a reader sees the one before or this one."""
        part = self._path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump({"host": host, "sequence": sequence}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def events(api: Api, cursor: Cursor, chosen: str = "") -> Iterator[tuple[Any, str]]:
    """Yield events as they happen, from the cursor on, each with its host's id; whoever hands one on moves the cursor.

    At the first time only what happens from now on. `chosen` is a filter of events. Ends by `grpc.RpcError`.
    """
    host = str(api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS).id)
    begin = cursor.read(host)
    if begin is None:
        kept = api.events.WatchEvents(events_pb2.WatchEventsRequest(no_follow=True), timeout=_SECONDS)
        begin = max((event.sequence for event in kept), default=0)
        cursor.write(host, begin)
    request = events_pb2.WatchEventsRequest(after_sequence=begin, filter=chosen)
    for event in api.events.WatchEvents(request):
        yield event, host


def tag(minion: str, event: Any) -> str:
    """Return an event's tag on Salt's bus: jaild/MINION/JAIL/EVENT, with - where it is about no jail."""
    collection, _, name = event.target.partition("/")
    jail = name.partition("/")[0] if collection == "jails" else ""
    return f"jaild/{minion}/{jail or '-'}/{event.kind}"
