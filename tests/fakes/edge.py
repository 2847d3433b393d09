"""gRPC without its wire, between hosts in one process: `Channel` for `GrpcPeer`, `Server` for `ApiServer`'s services.

Everything of ours is real: stubs and servicers, interceptor, rights by the certificate's name, messages as bytes,
errors as status and trailer. What gRPC itself does is imitated as measured with grpcio 1.85:

- any exception of a handler that is no abort: UNKNOWN (the interceptor makes INTERNAL of those it sees);
- a handler that ends by a CancelledError of its own never answers: the caller's deadline passes;
- a message above the limits: RESOURCE_EXHAUSTED, by the sender's or the receiver's own doing;
- a caller that hangs up does not wait for what it hung up on: the handler's task is cancelled, its stream ends early.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import grpc

from jaild import server as server_side
from jaild.adapters import peers as client_side
from jaild.model.access import Grant, Role
from jaild.server import ApiServer
from tests.fakes.faults import Crash

if TYPE_CHECKING:
    from tests.fakes.host import InProcessHost
    from tests.fakes.network import Fault, Route, Served

_SENT = dict(client_side.OPTIONS)["grpc.max_send_message_length"]
_TAKEN = dict(server_side.OPTIONS)["grpc.max_receive_message_length"]
_ANSWERED = min(
    dict(server_side.OPTIONS)["grpc.max_send_message_length"],
    dict(client_side.OPTIONS)["grpc.max_receive_message_length"],
)
_PEER = Grant(roles=(Role.PEER,))
_TRAILERS = 8 << 10  # bytes: gRPC's clients refuse more
_AHEAD = 4  # messages of a stream on their way

carried: ContextVar[Any] = ContextVar("carried", default=())  # metadata of the call that is made
served_as: ContextVar[asyncio.Task[Any]] = ContextVar("served_as")  # the task that serves the call in hand


def failure(code: grpc.StatusCode, details: str, trailers: Any = ()) -> grpc.aio.AioRpcError:
    """Return what a gRPC client raises."""
    metadata = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, metadata, grpc.aio.Metadata(*trailers), details, None)


class _Grants(Mapping[str, Grant]):
    """Every host of a network is a peer."""

    def __init__(self, hosts: Mapping[str, object]) -> None:
        self._hosts = hosts

    def __getitem__(self, name: str) -> Grant:
        if name not in self._hosts:
            raise KeyError(name)
        return _PEER

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)


class CallContext:
    """What a servicer is told of its call (`grpc.aio.ServicerContext`)."""

    def __init__(self, caller: str, metadata: Any = ()) -> None:
        self._caller = caller
        self._metadata = metadata
        self.hung_up = False

    def invocation_metadata(self) -> Any:
        """Return what it was made with."""
        return self._metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return what its certificate says."""
        return {"x509_common_name": [self._caller.encode()]}

    def cancelled(self) -> bool:
        """Say whether the caller has hung up."""
        return self.hung_up

    async def send_initial_metadata(self, _metadata: object) -> None:
        """Do nothing, if there is somebody."""
        if self.hung_up:
            raise grpc.aio.BaseError("the caller hung up")

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with a status."""
        if sum(len(key) + len(value) for key, value in trailing_metadata) > _TRAILERS:
            raise AssertionError("trailers that a gRPC client refuses")
        raise _Aborted(failure(code, details, trailing_metadata))


class _Aborted(grpc.aio.AbortError):
    def __init__(self, status: grpc.aio.AioRpcError) -> None:
        super().__init__()
        self.status = status


class Server:
    """The services of one daemon, as peers reach them, or `local` as root does. `close` when it is gone."""

    def __init__(self, host: InProcessHost, *, local: bool = False) -> None:
        self._api = ApiServer(
            host.core.rooms.engine.services,
            host.core.use_cases.audit,
            socket=Path("none"),
            grants=_Grants(host.network.hosts),
        )
        self._interceptor = self._api.on_socket if local else self._api.on_tcp
        self._services = host.core.rooms.engine.services
        self._handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Take what `add_registered_method_handlers` brings too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Take a service."""
        self._handlers.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    async def serve(self, method: str, given: bytes | AsyncIterator[bytes], context: CallContext) -> bytes:
        """Carry out a call. Raises `AioRpcError` as its status."""
        handler = await self._handler(method)
        if isinstance(given, bytes):
            request = handler.request_deserializer(_within(given, _TAKEN, "Received"))
            answer = handler.unary_unary(request, context)
        else:
            answer = handler.stream_unary(_requests(given, handler.request_deserializer), context)
        with _as_status():
            return _within(handler.response_serializer(await answer), _ANSWERED, "Received")

    async def answers(self, method: str, given: bytes, context: CallContext) -> AsyncIterator[bytes]:
        """Carry out a call that is answered with a stream. Raises `AioRpcError` as its status."""
        handler = await self._handler(method)
        request = handler.request_deserializer(_within(given, _TAKEN, "Received"))
        with _as_status():
            async for answer in handler.unary_stream(request, context):
                yield _within(handler.response_serializer(answer), _ANSWERED, "Received")

    async def _handler(self, method: str) -> Any:
        if not self._handlers:  # most hosts are asked nothing
            self._services.add_all_to(cast("grpc.aio.Server", self))

        async def continuation(details: grpc.HandlerCallDetails) -> Any:
            return self._handlers.get(details.method)

        details = cast("grpc.HandlerCallDetails", _Details(method))
        handler = await self._interceptor.intercept_service(continuation, details)
        if handler is None:
            raise failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return handler

    def close(self) -> None:
        """End what goes on though its caller hung up."""
        for task in self._interceptor.changes:
            task.cancel()


@contextmanager
def _as_status() -> Iterator[None]:
    try:
        yield
    except _Aborted as error:
        raise error.status from None
    except grpc.aio.AioRpcError:
        raise
    except Exception as error:  # as grpcio does
        text = f"Unexpected {type(error)}: {error}"
        raise failure(grpc.StatusCode.UNKNOWN, text) from error


class _Details:
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


def _within(message: bytes, limit: int, done: str) -> bytes:
    if len(message) > limit:
        text = f"{done} message larger than max ({len(message)} vs. {limit})"
        raise failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
    return message


async def _requests(arriving: AsyncIterator[bytes], deserialize: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for message in arriving:
        yield deserialize(_within(message, _TAKEN, "Received"))


class Channel:
    """A connection of one daemon to another host (`grpc.aio.Channel`)."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: object
    ) -> Callable[..., Any]:
        """Return a method of a stub."""

        async def call(request: Any, *, timeout: float | None = None, metadata: Any = ()) -> Any:  # noqa: ARG001 -- the clocks are fake
            carried.set(metadata)
            sent = _within(request_serializer(request), _SENT, "CLIENT: Sent")
            return response_deserializer(await self._route.ask(method, sent))

        return call

    def stream_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: object
    ) -> Callable[..., StreamCall]:
        """Return a method of a stub that takes a stream."""
        del request_serializer  # of what is written as bytes
        return lambda *, metadata=(): StreamCall(self._route, method, response_deserializer, metadata)

    def unary_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: object
    ) -> Callable[..., Answers]:
        """Return a method of a stub that answers with a stream."""

        def call(request: Any, *, metadata: Any = ()) -> Answers:
            sent = _within(request_serializer(request), _SENT, "CLIENT: Sent")
            return Answers(self._route.answers(method, sent, metadata), response_deserializer)

        return call

    async def close(self, grace: float | None) -> None:
        """Have nothing to close."""


class Answers:
    """What another host answers with a stream (`grpc.aio.UnaryStreamCall`), as far as `GrpcPeer` uses one."""

    def __init__(self, messages: AsyncIterator[bytes], deserialize: Callable[[bytes], Any]) -> None:
        self._messages = messages
        self._deserialize = deserialize
        self._over = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for message in self._messages:
            if self._over:
                return
            yield self._deserialize(message)

    def cancel(self) -> bool:
        """Hang up."""
        self._over = True
        return True


class StreamCall:
    """A stream to another host (`grpc.aio.StreamUnaryCall`), as far as `GrpcPeer` uses one."""

    def __init__(self, route: Route, method: str, deserialize: Callable[[bytes], Any], metadata: Any) -> None:
        self._route = route
        self._metadata = metadata
        self._method = method
        self._deserialize = deserialize
        self._begun = asyncio.Event()
        self._serving: Served | None = None
        self._broken: grpc.aio.AioRpcError | None = None
        self._first = b""
        self._fault: Fault | None = None
        self._sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._over = False

    @property
    def _cython_call(self) -> StreamCall:
        return self  # what `GrpcPeer` writes to

    async def wait_for_connection(self) -> None:
        """Go on at once: what is wrong shows at the first message."""
        await asyncio.sleep(0)

    async def send_serialized_message(self, message: bytes) -> None:
        """Send one message. After the end of the call: `grpc.aio.InternalError`."""
        if self._over:
            raise grpc.aio.InternalError("the call is over")
        try:
            _within(message, _SENT, "CLIENT: Sent")
            if self._serving is None:
                await self._begin(message)
            else:
                await self._route.pass_on(self._fault, message, self._send)
        except grpc.aio.AioRpcError as error:
            self._break(error)
            raise grpc.aio.InternalError("the call is over") from error
        except Crash:
            self._break(failure(grpc.StatusCode.CANCELLED, "the caller died"))
            raise

    async def done_writing(self) -> None:
        """End the stream."""
        self._sent.put_nowait(None)

    def cancel(self) -> bool:
        """Hang up."""
        if self._over:
            return False
        self._break(failure(grpc.StatusCode.CANCELLED, "Locally cancelled by application!"))
        return True

    def __await__(self) -> Any:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        await self._begun.wait()
        if self._serving is None:
            assert self._broken is not None
            raise self._broken
        try:
            answer = await self._route.answered(self._serving, self._fault, self._again)
        except grpc.aio.AioRpcError as error:
            self._over = True
            raise self._broken or error from None
        self._over = True
        return self._deserialize(answer)

    async def _begin(self, first: bytes) -> None:
        self._first = first
        self._fault = await self._route.depart(self._method, first)
        if not self._over:
            self._sent.put_nowait(first)
            carried.set(self._metadata)
            self._serving = self._route.serve(self._method, self._arriving())
            self._begun.set()

    def _again(self) -> Served:
        """Send it a second time, without its content."""

        async def header() -> AsyncIterator[bytes]:
            yield self._first

        carried.set(self._metadata)
        return self._route.serve(self._method, header())

    async def _send(self, message: bytes) -> None:
        assert self._serving is not None
        room = asyncio.ensure_future(self._room.acquire())
        try:
            await asyncio.wait({room, self._serving.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.cancel()
        if self._over or self._serving.task.done():
            raise grpc.aio.InternalError("the call is over")
        self._sent.put_nowait(message)

    async def _arriving(self) -> AsyncIterator[bytes]:
        while (message := await self._sent.get()) is not None:
            self._room.release()
            yield message

    def _break(self, error: grpc.aio.AioRpcError) -> None:
        self._broken = self._broken or error
        self._over = True
        self._begun.set()
        self._sent.put_nowait(None)
        if self._serving is not None:
            self._serving.hang_up()
