"""A daemon for the page: it answers each method with what a test put there, and keeps what it was asked."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from grpc_reflection.v1alpha import reflection

from jaild import v1
from jaild.v1 import events_pb2

_FILES = ("google.longrunning.operations_pb2", *(f"jaild.v1.{each.name}" for each in pkgutil.iter_modules(v1.__path__)))
Answer = Message | Callable[[Any], Any]


class Daemon:
    """Serves on a unix socket. `answers` by method name: a message, a status to refuse with, or what makes one.

    A method without an answer gives an empty message. Of WatchEvents come `told`, and what `tell` adds.
    """

    def __init__(self, path: str) -> None:
        self.address = f"unix://{path}"
        self.answers: dict[str, Answer] = {}
        self.told: list[events_pb2.Event] = []
        self.asked: list[Message] = []
        self._news = threading.Condition()
        self._over = False
        self._server = grpc.server(futures.ThreadPoolExecutor(64))
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        reflection.enable_server_reflection((reflection.SERVICE_NAME,), self._server)
        self._server.add_insecure_port(self.address)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        with self._news:
            self._over = True
            self._news.notify_all()
        self._server.stop(None).wait()

    def tell(self, kind: str, target: str, message: str = "") -> None:
        """Let an event happen."""
        with self._news:
            self.told.append(events_pb2.Event(sequence=len(self.told) + 1, kind=kind, target=target, message=message))
            self._news.notify_all()

    def requests(self, kind: type[Message]) -> list[Any]:
        return [request for request in self.asked if isinstance(request, kind)]

    def answer(self, method: MethodDescriptor, request: Any, context: Any) -> Any:
        """Answer a call that is no stream."""
        self.asked.append(request)
        given = self.answers.get(method.name)
        made = given(request) if callable(given) and not isinstance(given, Message) else given
        if isinstance(made, status_pb2.Status):
            context.set_trailing_metadata((("grpc-status-details-bin", made.SerializeToString()),))
            code = code_pb2.Code.Name(made.code)
            context.abort(grpc.StatusCode[code], made.message)
        return made if made is not None else message_factory.GetMessageClass(method.output_type)()

    def stream(self, method: MethodDescriptor, request: Any, context: Any) -> Iterator[Any]:
        """Answer a call that is one."""
        if method.name != "WatchEvents":
            yield from self.answer(method, request, context)
            return
        self.asked.append(request)
        at = request.after_sequence
        while not self._over:
            with self._news:
                fresh = self.told[at:]
                if not fresh and not request.no_follow:
                    self._news.wait()
                    continue
            at += len(fresh)
            yield from (each for each in fresh if not request.target or each.target.startswith(request.target))
            if request.no_follow:
                return


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def __init__(self, daemon: Daemon) -> None:
        files = [importlib.import_module(name).DESCRIPTOR for name in _FILES if name.endswith("_pb2")]
        services = [service for file in files for service in file.services_by_name.values()]
        self._handlers = {
            f"/{each.full_name}/{method.name}": _handler(daemon, method) for each in services for method in each.methods
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _handler(daemon: Daemon, method: MethodDescriptor) -> Any:
    asked = message_factory.GetMessageClass(method.input_type)
    streams = method.server_streaming
    make: Callable[..., Any] = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
    called = daemon.stream if streams else daemon.answer
    return make(
        lambda request, context: called(method, request, context),
        request_deserializer=asked.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
