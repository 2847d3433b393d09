"""What a request holds back, and what a daemon must know of for that: one that does not would do all of it at once.

Protobuf ignores fields that it does not know (https://protobuf.dev/programming-guides/proto3/#unknowns): asked by a
newer client for the plan of a stop, an older daemon stops. So a daemon is asked first whether it has such a field, by
server reflection, and once for each kind of request; not for those that have had it from the first version on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
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
        for field, _ in request.ListFields():
            kind: Any = request.DESCRIPTOR
            if field.name not in _FIELDS or kind.name in _ALWAYS[field.name]:
                continue
            if field.name not in self._fields(kind.full_name):
                raise NotHeldBackError(field.name)

    def _fields(self, message: str) -> frozenset[str]:
        if message not in self._known:
            self._known[message] = frozenset(self._asked(message))
        return self._known[message]

    def _asked(self, message: str) -> Iterator[str]:
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=message)
        try:
            (answer,) = self._reflection.ServerReflectionInfo(iter((request,)), timeout=_SECONDS)
        except grpc.RpcError as error:
            if error.code() in _NO_REFLECTION:
                return
            raise
        for raw in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
            for kind in file.message_type:
                if f"{file.package}.{kind.name}" == message:
                    yield from (field.name for field in kind.field)


def restrained(channel: grpc.Channel) -> grpc.Channel:
    """Return a channel over which `NotHeldBackError` is raised instead of sending what would do more than is asked."""
    return grpc.intercept_channel(channel, _Restrained(channel))
