"""Stubs without a channel: a method takes it with each call, and tells the other host whose that is (log, trace)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from jaild.rpc import correlation, spans
from jaild.rpc.correlation import Metadata


@dataclass(frozen=True)
class Method:
    """A method of a stub, which takes the channel first and then is what it is elsewhere."""

    path: str
    make: Callable[[grpc.aio.Channel], Any]

    def __call__(self, channel: grpc.aio.Channel) -> Any:
        """Return it on that channel."""
        return self.make(channel)

    @contextlib.contextmanager
    def called(self, peer: str) -> Iterator[Metadata]:
        """Be in a span of a call to a peer; yield the metadata by which its log and its spans join ours."""
        with spans.span(self.path.lstrip("/"), "client", attributes={"rpc.system": "grpc", "jaild.peer": peer}):
            yield (*correlation.metadata(), *spans.metadata())


class Unbound:
    """Takes a channel's place in a stub."""

    def unary_unary(self, path: str, **how: Any) -> Method:
        """Return a method that is asked."""
        return Method(path, lambda channel: channel.unary_unary(path, **how))

    def stream_unary(self, path: str, **how: Any) -> Method:
        """Return a method that takes a stream."""
        return Method(path, lambda channel: channel.stream_unary(path, **how))

    def unary_stream(self, path: str, **how: Any) -> Method:
        """Return a method that answers with a stream."""
        return Method(path, lambda channel: channel.unary_stream(path, **how))
