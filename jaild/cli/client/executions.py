"""One command in several jails, side by side: no stdin, no terminal, and of each line whose it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any

import click
import grpc

from jaild.cli.client.connection import Api, connect, pages
from jaild.cli.client.everywhere import within
from jaild.cli.client.references import short
from jaild.cli.client.selection import ELSEWHERE
from jaild.cli.client.settings import Settings
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc
from jaild.v1 import jails_pb2


@dataclass(frozen=True)
class Place:
    """A jail, by the daemon that is asked for it. `context`: where several are; else ''."""

    api: Api
    jail: str
    context: str = ""

    @property
    def title(self) -> str:
        """How its lines are marked."""
        return f"{self.context}/{short(self.jail)}" if self.context else short(self.jail)


def places(
    stack: ExitStack, settings: Settings, wanted: str, contexts: Sequence[str]
) -> tuple[list[Place], list[tuple[str, Failure]]]:
    """Return the jails of `contexts` that a filter lets through and that are there, and whose daemons are silent.

    Copies of other hosts' jails are passed over. The connections are closed by `stack`.
    """
    found: list[Place] = []
    silent: list[tuple[str, Failure]] = []
    for name in contexts:
        own = within(settings, name)
        api = stack.enter_context(connect(own))
        try:
            jails = pages(api.jails.ListJails, jails_pb2.ListJailsRequest(filter=wanted), "jails")
        except grpc.RpcError as error:
            if len(contexts) == 1:
                raise
            silent.append((name, from_rpc(error, own.endpoint)))
            continue
        shown = name if len(contexts) > 1 else ""
        found += [Place(api, jail.name, shown) for jail in jails if jail.state not in ELSEWHERE]
    return found, silent


@dataclass
class Ended:
    """How the command ended in a jail: its status, or why there is none."""

    place: Place
    status: int | None = None
    failure: Failure | None = None

    @property
    def why(self) -> str:
        """What went wrong; '' if nothing did."""
        if self.failure is not None:
            return f"{self.failure.message} ({self.failure.reason})" if self.failure.reason else self.failure.message
        return f"exit status {self.status}" if self.status else ""


class Writer:
    """Writes whole lines of many, each with whose it is; for programs as an object of JSON for each line."""

    def __init__(self, places: Sequence[Place], *, as_json: bool) -> None:
        self._width = max((len(place.title) for place in places), default=0)
        self._as_json = as_json
        self._writing = threading.Lock()

    def line(self, place: Place, stream: str, data: bytes, to: IO[bytes]) -> None:
        """Write one line, which has no newline."""
        if self._as_json:
            self._object(place, {"stream": stream, "line": data.decode("utf-8", "replace")})
            return
        with self._writing:
            to.write(f"{place.title:<{self._width}} | ".encode() + data + b"\n")
            to.flush()

    def end(self, ended: Ended) -> None:
        """Tell programs how it ended."""
        if self._as_json:
            self._object(ended.place, {"exitStatus": ended.status} if ended.failure is None else {"error": ended.why})

    def _object(self, place: Place, told: dict[str, Any]) -> None:
        whose = {"context": place.context} if place.context else {}
        with self._writing:
            click.echo(json.dumps({**whose, "jail": place.jail, **told}, ensure_ascii=False))


@dataclass
class Executions:
    """The command in all of `places`, so many at once; `start` makes what is to be run in a jail by its name."""

    places: Sequence[Place]
    start: Callable[[str], jails_pb2.ExecStart]
    writer: Writer
    streams: dict[str, IO[bytes]]  # of this process: stdout, stderr
    _calls: list[Any] = field(default_factory=list)
    _over: bool = False

    def run(self, parallel: int) -> list[Ended]:
        """Return how it ended in each, in their order. Ctrl-C hangs up on all, which ends the command there."""
        with ThreadPoolExecutor(parallel) as pool:
            try:
                return list(pool.map(self._run, self.places))
            except BaseException:
                self._over = True
                for call in [*self._calls]:
                    call.cancel()
                raise

    def _run(self, place: Place) -> Ended:
        ended = Ended(place)
        if not self._over:
            try:
                ended.status = self._executed(place)
            except grpc.RpcError as error:
                ended.failure = from_rpc(error, place.api.endpoint)
            else:
                if ended.status is None:
                    ended.failure = Failure("the daemon hung up before the command ended", Exit.UNAVAILABLE)
            self.writer.end(ended)
        return ended

    def _executed(self, place: Place) -> int | None:
        start, end = jails_pb2.ExecInJailRequest(start=self.start(place.jail)), jails_pb2.ExecInJailRequest()
        end.end_of_stdin = True
        call = place.api.jails.ExecInJail(iter((start, end)))
        self._calls.append(call)
        if self._over:  # Ctrl-C came between its beginning and here
            call.cancel()
        lines = {name: _Lines() for name in self.streams}
        status: int | None = None
        for part in call:
            for name, to in self.streams.items():
                for line in lines[name].feed(getattr(part, name)):
                    self.writer.line(place, name, line, to)
            if part.HasField("exit_status"):
                status = part.exit_status
        for name, to in self.streams.items():
            for line in lines[name].rest():
                self.writer.line(place, name, line, to)
        return status


class _Lines:
    """Cuts what comes in pieces into lines; one that does not end is cut, too, so that memory has an end."""

    _LONGEST = 1 << 16

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        yield from whole
        if len(self._rest) > self._LONGEST:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        rest, self._rest = self._rest, b""
        if rest:
            yield rest
