"""The services of the API, as the rooms register them: the frame knows no room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from jaild.rpc.auth import PartyCheck

AddTo = Callable[[Any, grpc.aio.Server], None]  # as protoc makes it: the servicer, the server
Show = Callable[[str], Message]  # by a resource's name; `NotFoundError` for one that is gone


@dataclass(frozen=True)
class Service:
    """One service of the API."""

    name: str  # its full name
    add_to: AddTo


class Servicer(Protocol):
    """Answers a service, and says which."""

    @property
    def service(self) -> Service:
        """The one that it answers."""


class Services:
    """All services, and what they have in common. `parties` is for those that peers ask."""

    def __init__(self) -> None:
        self._services: dict[str, Servicer] = {}
        self._shown: dict[str, Show] = {}
        self.parties = PartyCheck()

    @property
    def names(self) -> tuple[str, ...]:
        """The full names of the services."""
        return tuple(self._services)

    def add(self, servicer: Servicer) -> None:
        """Let `servicer` answer its service."""
        self._services[servicer.service.name] = servicer

    def show(self, collection: str, show: Show) -> None:
        """Let `show` say what came of operations whose result is in `collection` ("jails")."""
        self._shown[collection] = show

    def resource(self, name: str) -> Message:
        """Return what a name stands for now; nothing for one of a collection that is not shown. `NotFoundError`."""
        show = self._shown.get(name.partition("/")[0])
        return empty_pb2.Empty() if show is None else show(name)

    def add_all_to(self, server: grpc.aio.Server) -> None:
        """Let a server answer all of them."""
        for servicer in self._services.values():
            servicer.service.add_to(servicer, server)
