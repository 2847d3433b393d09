"""Where traces are made: calls, operations, phases, child processes. Nothing of it costs anything until `use`.

    call (server) ─► operation ─► phase ─► child process
                                     └───► call (client) ─► traceparent ─► call (server) on the other host ─► ...

A trace is joined over hosts by W3C Trace Context (https://www.w3.org/TR/trace-context/) in a call's metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client"]
Metadata = tuple[tuple[str, str], ...]
Received = Iterable[tuple[str, str | bytes]]


class Span(Protocol):
    """Something that takes time."""

    def fail(self, why: str) -> None:
        """Say that it did not succeed."""

    def end(self) -> None:
        """Say that it is over. Once is enough."""


class Tracer(Protocol):
    """Makes spans."""

    def start(self, name: str, kind: Kind, parent: object | None, attributes: Mapping[str, str]) -> Span:
        """Begin a span, below `parent`: what `here` or `received` returned, None for where this task is."""

    def enter(self, span: Span) -> object:
        """Have this task, and what it begins, be in a span; return what `leave` wants."""

    def leave(self, entered: object) -> None:
        """Have it be where it was."""

    def here(self) -> object:
        """Return where this task is."""

    def metadata(self) -> Metadata:
        """Return what a call says of that."""

    def received(self, metadata: Received) -> object:
        """Return where a call came from."""


class _Nothing:
    def fail(self, why: str) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""


NOTHING: Span = _Nothing()
_tracers: list[Tracer] = []  # none, or one


def use(tracer: Tracer | None) -> None:
    """Have spans made by this one from now on; None: have none made."""
    _tracers[:] = [] if tracer is None else [tracer]


def started(name: str, attributes: Mapping[str, str]) -> Span:
    """Begin a span that no other is below."""
    return _tracers[0].start(name, "internal", None, attributes) if _tracers else NOTHING


@contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    parent: object | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Span]:
    """Be in a span; what is raised fails it."""
    if not _tracers:
        yield NOTHING
        return
    tracer = _tracers[0]
    made = tracer.start(name, kind, parent, attributes)
    entered = tracer.enter(made)
    try:
        yield made
    except BaseException as error:
        made.fail(f"{type(error).__name__}: {error}")
        raise
    finally:
        tracer.leave(entered)
        made.end()


def follow(before: Span, name: str, parent: object | None) -> Span:
    """End a span and be in the next one from here on, below the same parent; nobody leaves it."""
    before.end()
    if not _tracers:
        return NOTHING
    made = _tracers[0].start(name, "internal", parent, {})
    _tracers[0].enter(made)
    return made


def here() -> object | None:
    """Return where this task is, for spans that are begun elsewhere."""
    return _tracers[0].here() if _tracers else None


def metadata() -> Metadata:
    """Return what a call to a peer says of where this task is."""
    return _tracers[0].metadata() if _tracers else ()


def received(metadata: Received | None) -> object | None:
    """Return where a call came from, by its metadata."""
    return _tracers[0].received(metadata or ()) if _tracers else None
