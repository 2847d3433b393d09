"""What a request holds back, and what a daemon must know of for that: one that does not would do all of it at once.

Protobuf ignores fields that it does not know (https://protobuf.dev/programming-guides/proto3/#unknowns): asked by a
newer client for the plan of a stop, an older daemon stops. So a daemon is asked first whether it has such a field, by
server reflection, and once for each kind of request; not for those that have had it from the first version on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

_FIELDS = ("validate_only", "stage", "confirm_within")
_CHANGES = ("DeployReleaseRequest", "UpgradeBaseRequest", "ConfigureJailRequest")
_ALWAYS = {
    "validate_only": {
        *_CHANGES,
        *("CreateJailRequest", "DeleteJailRequest", "RollbackJailRequest", "MigrateJailRequest", "SalvageJailRequest"),
        *("PromoteJailRequest", "AdoptJailRequest", "RevertChangeRequest", "CutOverRequest", "EvacuateHostRequest"),
        *("StartJailsRequest", "StopJailsRequest", "BuildReleaseHeader"),
        *("DeleteBaseRequest", "PruneBasesRequest", "DeleteReleaseRequest", "PruneReleasesRequest"),
    },
    "stage": set(_CHANGES),
    "confirm_within": set(_CHANGES),
}
_SECONDS = 30.0
_NO_REFLECTION = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED}


class NotHeldBackError(Exception):
    """The daemon is older than its client, and would do at once what it was to plan, or to prepare, only."""

    def __init__(self, field: str) -> None:
        super().__init__(f"the daemon is too old to know {field} of this request, and would carry it out at once")
        self.field = field


class _Restrained(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):  # type: ignore[type-arg]  # none at run time
    """Lets no request pass that the daemon would take for more than it is."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._known: dict[str, frozenset[str]] = {}  # message -> its fields, as the daemon has it

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Message) -> Any:
        """Send a request."""
        self._require(request)
        return continuation(details, request)

    def intercept_stream_unary(self, continuation: Callable[..., Any], details: Any, requests: Iterator[Any]) -> Any:
        """Send an upload, whose first message has the header."""
        first = next(requests, None)
        if first is None:
            return continuation(details, iter(()))
        self._require(getattr(first, "header", first))
        return continuation(details, itertools.chain((first,), requests))

    def _require(self, request: Message) -> None:
        if not (held_back := _held_back(request)):
            return
        message = str(request.DESCRIPTOR.full_name)
        if message not in self._known:
            try:
                answers = list(self._reflection.ServerReflectionInfo(iter((_question(message),)), timeout=_SECONDS))
            except grpc.RpcError as error:
                if error.code() not in _NO_REFLECTION:
                    raise
                answers = []
            self._known[message] = _fields(answers, message)
        _require_known(held_back, self._known[message])


class _AioRestrained(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # none at run time
    """The same on an event loop; uploads are not looked at there."""

    def __init__(self) -> None:
        self._reflection: Any = None
        self._known: dict[str, frozenset[str]] = {}

    def asks_over(self, channel: grpc.aio.Channel) -> None:
        """Take the channel, which is made with it."""
        self._reflection = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Send a request."""
        if held_back := _held_back(request):
            message = str(request.DESCRIPTOR.full_name)
            if message not in self._known:
                self._known[message] = _fields(await self._asked(message), message)
            _require_known(held_back, self._known[message])
        return await continuation(details, request)

    async def _asked(self, message: str) -> list[Any]:
        try:
            call = self._reflection.ServerReflectionInfo(iter((_question(message),)), timeout=_SECONDS)
            return [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            if error.code() in _NO_REFLECTION:
                return []
            raise


def _held_back(request: Message) -> list[str]:
    """Return what a request sets that holds it back, and that not every daemon knows of it."""
    kind: Any = request.DESCRIPTOR
    fields = [field.name for field, _ in request.ListFields()]
    return [name for name in fields if name in _FIELDS and kind.name not in _ALWAYS[name]]


def _question(message: str) -> Any:
    return reflection_pb2.ServerReflectionRequest(file_containing_symbol=message)


def _fields(answers: Sequence[Any], message: str) -> frozenset[str]:
    """Return a message's fields, as a daemon tells them; none if it does not know the message."""
    raw = [file for answer in answers for file in answer.file_descriptor_response.file_descriptor_proto]
    files = map(descriptor_pb2.FileDescriptorProto.FromString, raw)
    kinds = [kind for file in files for kind in file.message_type if f"{file.package}.{kind.name}" == message]
    return frozenset(field.name for kind in kinds for field in kind.field)


def _require_known(held_back: Sequence[str], known: frozenset[str]) -> None:
    for field in held_back:
        if field not in known:
            raise NotHeldBackError(field)


def restrained(channel: grpc.Channel) -> grpc.Channel:
    """Return a channel over which `NotHeldBackError` is raised instead of sending what would do more than is asked."""
    return grpc.intercept_channel(channel, _Restrained(channel))


def aio_restrained(open_channel: Callable[..., grpc.aio.Channel]) -> grpc.aio.Channel:
    """Return such a channel for an event loop: `open_channel` is given `interceptors`."""
    restraint = _AioRestrained()
    channel = open_channel(interceptors=[restraint])
    restraint.asks_over(channel)
    return channel
