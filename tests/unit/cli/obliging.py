"""A daemon that knows every method of the API and answers each with a message that has something in every field."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from jaild import v1
from jaild.v1 import common_pb2, jails_pb2

TEXT = "ünïcode \x1b☃\nsecond line"
_DEEP = 4  # messages within messages: some contain themselves
_FILES = ("google.longrunning.operations_pb2", *(f"jaild.v1.{each.name}" for each in pkgutil.iter_modules(v1.__path__)))


class Obliging:
    """Serves on a unix socket."""

    def __init__(self, path: str) -> None:
        self.address = f"unix://{path}"
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((_Handlers(),))
        self._server.add_insecure_port(self.address)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def __init__(self) -> None:
        files = [importlib.import_module(name).DESCRIPTOR for name in _FILES if name.endswith("_pb2")]
        services = [service for file in files for service in file.services_by_name.values()]
        self._handlers = {
            f"/{each.full_name}/{method.name}": _handler(method) for each in services for method in each.methods
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _handler(method: MethodDescriptor) -> Any:
    asked = message_factory.GetMessageClass(method.input_type)
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }

    def answer(request: Any, _context: Any) -> Any:
        if method.client_streaming:
            for part in request:
                if getattr(
                    part, "end_of_stdin", False
                ):  # after which signals may come, for as long as it is not answered
                    break
        return filled(method.output_type)

    def stream(request: Any, context: Any) -> Iterator[Message]:
        yield answer(request, context)

    make: Callable[..., Any] = kinds[method.client_streaming, method.server_streaming]
    return make(
        stream if method.server_streaming else answer,
        request_deserializer=asked.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def filled(kind: Any, depth: int = 0) -> Any:
    """Return a message of `kind` with something in every field."""
    if kind.full_name == "google.longrunning.Operation":
        done = operations_pb2.Operation(name="operations/op-1", done=True)
        done.metadata.Pack(filled(common_pb2.OperationMetadata.DESCRIPTOR))
        done.response.Pack(filled(jails_pb2.Jail.DESCRIPTOR))
        return done
    message: Any = message_factory.GetMessageClass(kind)()
    if kind.full_name == "google.protobuf.Any":
        message.Pack(common_pb2.Problem(code="A_CODE"))
        return message
    for field in kind.fields:
        if field.name != "next_page_token":
            _fill(message, field, depth)
    return message


def _fill(message: Any, field: FieldDescriptor, depth: int) -> None:
    inner, held = field.message_type, getattr(message, field.name)
    repeated = hasattr(held, "extend")
    if inner is None:
        value = _scalar(field)
        if repeated:
            held.append(value)
        else:
            setattr(message, field.name, value)
    elif inner.GetOptions().map_entry:
        of = inner.fields_by_name["value"]
        if of.message_type is None:
            held[TEXT] = _scalar(of)
    elif depth < _DEEP:
        made = filled(inner, depth + 1)
        if repeated:
            held.append(made)
        else:
            held.CopyFrom(made)


def _scalar(field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\xffbytes\n"
    return {FieldDescriptor.TYPE_STRING: TEXT, FieldDescriptor.TYPE_BOOL: True}.get(field.type, 1)
