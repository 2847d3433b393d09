"""The interceptor that every call passes: it authenticates, admits, audits, and turns errors into statuses.

The audit log has an entry for each call that asked for a change, also for one that was refused: it is opened when the
call comes, and closed when it is known how that is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import grpc
import structlog
from google.longrunning import operations_pb2

from jaild.model import bounds, quantity
from jaild.model.access import Role
from jaild.model.errors import InternalError, InvalidArgumentError, JaildError, UnavailableError
from jaild.model.operation import clipped, failure_of
from jaild.rpc import auth, chunks, correlation, spans, status
from jaild.rpc.policy import FORMERLY, RULES, Rule

# What every resource name looks like, whatever its kind. A name is taken from a request before anything checked it.
_NAME = re.compile(r"[a-z][A-Za-z]*(/[A-Za-z0-9-][A-Za-z0-9._-]{0,99}){0,5}")
_SHOWN = 64  # bytes of what is no name

_log = structlog.get_logger(__name__)

_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class Audit(Protocol):
    """Keeps the entries of the audit log."""

    async def record(
        self, actor: str, method: str, target: str, request_id: str, outcome: str, operation: str, /
    ) -> None:
        """Write one."""


class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Wraps each handler. `end_streams` is for the daemon's end: it ends the streams that would go on for ever.

    `changes` are the tasks that go on after their caller hung up: changes being accepted, uploads being cleaned up.
    """

    def __init__(self, authenticator: auth.Authenticator, audit: Audit) -> None:
        self._authenticator = authenticator
        self._audit = audit
        self.changes: set[asyncio.Task[Any]] = set()
        self._endless: set[asyncio.Task[Any]] = set()
        self._ending = False

    async def intercept_service(self, continuation: _Continuation, details: grpc.HandlerCallDetails) -> Any:
        """Return the method's handler, wrapped; None where there is no such method."""
        if (method := FORMERLY.get(details.method, details.method)) != details.method:
            renamed: Any = type(details)  # gRPC takes no other class than its own
            details = renamed(method, details.invocation_metadata)
        handler = await continuation(details)
        if handler is None:
            return None
        rule = RULES.get(method, Rule(frozenset()))
        make, function = _kind(handler)
        if not handler.response_streaming:
            wrapped: Any = self._answering(method, rule, function, streaming=handler.request_streaming)
        elif inspect.isasyncgenfunction(function):
            wrapped = self._streaming(method, rule, function, streaming=handler.request_streaming)
        else:  # writes its responses to the context itself: gRPC's own health service
            wrapped = self._answering(method, rule, function, streaming=False)
        limit = bounds.STREAM_MESSAGE if handler.request_streaming else rule.limit
        uploads = handler.request_streaming and not handler.response_streaming
        parse = chunks.reader(handler.request_deserializer) if uploads else handler.request_deserializer
        read = _bounded(parse, limit)
        return make(wrapped, read, _encoding(handler.response_serializer))

    def end_streams(self) -> None:
        """End the endless streams with UNAVAILABLE (SHUTTING_DOWN)."""
        self._ending = True
        for task in self._endless:
            task.cancel()

    async def settle(self) -> None:
        """Wait for what goes on after its caller hung up or was cut off: changes being accepted, uploads cleaned up."""
        while self.changes:
            await asyncio.wait(self.changes)

    def _answering(self, method: str, rule: Rule, function: Callable[..., Awaitable[Any]], *, streaming: bool) -> Any:
        async def call(given: Any, context: auth.Context) -> Any:
            entry = _AuditEntry(method, rule)
            requests = entry.noting(given) if streaming else entry.note(given)
            work = self._audited(entry, function, requests, context)
            # A client that hangs up must not leave a change half accepted. A stream's handler wants to know of it.
            shielded = rule.target is not None and not streaming
            try:
                with (
                    _registered(self._endless, wanted=rule.endless),
                    _registered(self.changes, wanted=streaming),
                    _traced(method, rule, context),
                ):
                    return await (self._to_its_end(work) if shielded else work)
            except asyncio.CancelledError as error:
                await self._refuse_unless_left(context, error, method)
                raise
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001  # the last place where one can be caught
                await _refuse(context, error, method)

        return call

    def _streaming(
        self, method: str, rule: Rule, function: Callable[..., AsyncIterator[Any]], *, streaming: bool
    ) -> Any:
        async def call(given: Any, context: auth.Context) -> AsyncIterator[Any]:
            entry = _AuditEntry(method, rule)
            requests = entry.noting(given) if streaming else entry.note(given)
            ended: BaseException | None = None
            try:
                with _registered(self._endless, wanted=rule.endless):
                    self._admit(entry, context)
                    async for response in function(requests, context):
                        entry.ended = entry.ended or rule.ended(response)
                        # gRPC, cancelled while it writes, tells the caller nothing: this ends between two responses.
                        with _left(self._endless):
                            yield response
                        self._end_here(rule)
            except asyncio.CancelledError as error:
                ended = _as_answered(error)
                await self._refuse_unless_left(context, error, method)
                raise
            except grpc.aio.AbortError:
                raise
            except Exception as error:  # noqa: BLE001
                ended = error
                await _refuse(context, error, method)
            finally:
                await entry.close(self._audit, ended)

        return call

    async def _audited(
        self,
        entry: _AuditEntry,
        function: Callable[..., Awaitable[Any]],
        requests: Any,
        context: auth.Context,
    ) -> Any:
        try:
            self._admit(entry, context)
            response = await function(requests, context)
        except BaseException as error:
            await entry.close(self._audit, _as_answered(error))
            raise
        await entry.close(self._audit, None, response)
        return response

    def _admit(self, entry: _AuditEntry, context: auth.Context) -> None:
        entry.actor, refusal = self._authenticator.admit(context, entry.rule.roles, entry.method)
        correlation.bind(actor=entry.actor, request=entry.request_id)
        if refusal is not None:
            raise refusal
        if Role.PEER in entry.rule.roles:
            correlation.bind(peer=entry.actor)
            correlation.adopt(context.invocation_metadata() or ())
        entry.require_whole()

    async def _to_its_end(self, work: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(work)
        self.changes.add(task)
        task.add_done_callback(self._settled)
        return await asyncio.shield(task)

    def _settled(self, task: asyncio.Task[Any]) -> None:
        self.changes.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller if there still is one, and to the audit log

    def _end_here(self, rule: Rule) -> None:
        if self._ending and rule.endless:
            raise asyncio.CancelledError

    async def _refuse_unless_left(self, context: auth.Context, error: asyncio.CancelledError, method: str) -> None:
        """Answer a call that was not cancelled by its caller: gRPC leaves one that ends so without any answer."""
        if self._ending:
            stopping = UnavailableError("SHUTTING_DOWN", "the daemon is stopping", hint="connect again in a moment")
            await _abort(context, stopping)
        answer = _as_answered(error)
        if isinstance(answer, JaildError):
            _log.warning("a call was interrupted", method=method, exc_info=error)
            await _abort(context, answer)


@dataclass(frozen=True)
class _TooLarge:
    """Stands for a message that was not read."""

    size: int
    limit: int


def _bounded(read: Callable[[bytes], Any], limit: int) -> Callable[[bytes], Any]:
    """Return `read` for messages of at most `limit` bytes; others are not looked into, but become a `_TooLarge`."""
    return lambda message: read(message) if len(message) <= limit else _TooLarge(len(message), limit)


def _encoding(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Return `write` for messages; what a handler has encoded itself is sent as it is."""
    return lambda response: response if isinstance(response, bytes) else write(response)


class _AuditEntry:
    """What is known of one call so far."""

    def __init__(self, method: str, rule: Rule) -> None:
        self.method = method.lstrip("/")
        self.rule = rule
        self._request: Any = None
        self._too_large: _TooLarge | None = None
        self.actor = ""
        self.ended = ""  # how what it asked for came to its end, whatever becomes of the call afterwards

    def note(self, request: Any) -> Any:
        """Remember a unary request, or a stream's first message; return it."""
        if isinstance(request, _TooLarge):
            self._too_large = request
        elif self._request is None and not isinstance(request, chunks.Chunk):
            self._request = request
        return request

    @property
    def request_id(self) -> str:
        """The caller's own id of what it asks for."""
        return clipped(str(_said(self._request, "request_id")), bounds.REQUEST_ID)

    async def noting(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Pass a stream of requests on, remembering the first."""
        async for request in requests:
            self.note(request)
            self.require_whole()
            yield request

    def require_whole(self) -> None:
        """Raise `InvalidArgumentError` (REQUEST_TOO_LARGE) if a request was too large to be read."""
        if self._too_large is not None:
            raise InvalidArgumentError(
                "REQUEST_TOO_LARGE",
                f"the message has {quantity.size(self._too_large.size)}; "
                f"{quantity.size(self._too_large.limit)} are allowed",
                hint="send less at once: archives go in chunks, of 1 MiB by advice",
                detail={"limit": str(self._too_large.limit)},
            )

    async def close(self, audit: Audit, error: BaseException | None, response: Any = None) -> None:
        """Write the entry, if the call asked for a change. That it could not be written is logged, not answered.

        By then the change was accepted or refused, and the caller must learn which.
        """
        request = self._request
        if self.rule.target is None or _said(request, "validate_only"):
            return
        target = "" if request is None else _checked(self.rule.target(request))
        operation = response.name if isinstance(response, operations_pb2.Operation) else ""
        try:
            await audit.record(
                self.actor,
                self.method,
                target,
                self.request_id,
                self.ended or _outcome_of(error),
                operation,
            )
        except Exception:  # noqa: BLE001  # see above
            _log.exception("audit entry lost", actor=self.actor, method=self.method, target=target)


def _outcome_of(error: BaseException | None) -> str:
    """Return `OK`, or the status code's name and the reason."""
    if error is None:
        return "OK"
    if isinstance(error, JaildError):
        failure = failure_of(error)
        return f"{status.code_of(failure).name} {failure.reason}"
    if isinstance(error, asyncio.CancelledError):
        return "CANCELLED HUNG_UP"
    return "INTERNAL INTERNAL"


def _checked(target: str) -> str:
    """Return a name as it is, and of anything else its beginning and end, escaped."""
    if len(target) <= bounds.AUDIT_FIELD and _NAME.fullmatch(target):
        return target
    return f"(no name) {clipped(ascii(clipped(target, _SHOWN)), 2 * _SHOWN)}" if target else ""


def _said(request: Any, field: str) -> Any:
    """Return what a request says in a field, itself or in what begins its stream; '' if it does not."""
    parts = (request, *(getattr(request, name, None) for name in ("header", "start")))
    return next((said for part in parts if (said := getattr(part, field, ""))), "")


def _as_answered(error: BaseException) -> BaseException:
    """Return what a call is answered with: a cancellation of its own is an error, one by gRPC is not told to anybody.

    gRPC cancels a call's task when its caller hangs up, its deadline is over, or the server has stopped;
    `context.cancelled()` stays False then (seen with grpcio 1.85).
    """
    task = asyncio.current_task()
    if not isinstance(error, asyncio.CancelledError) or (task is not None and task.cancelling()):
        return error
    return UnavailableError(
        "INTERRUPTED",
        "the daemon broke off what the call was waiting for",
        hint="look whether what was asked was begun (jailctl operation ls), then ask again with the same request id",
    )


@contextlib.contextmanager
def _registered(tasks: set[asyncio.Task[Any]], *, wanted: bool) -> Iterator[None]:
    """Keep the current task in a set while the block runs."""
    task = asyncio.current_task()
    if not wanted or task is None:
        yield
        return
    tasks.add(task)
    try:
        yield
    finally:
        tasks.discard(task)


def _traced(method: str, rule: Rule, context: auth.Context) -> contextlib.AbstractContextManager[object]:
    """Be in a span of the call, below the one that the caller says; not for a call that goes on for ever."""
    if rule.endless:
        return contextlib.nullcontext()
    service, _, name = method.lstrip("/").rpartition("/")
    about = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    return spans.span(f"{service}/{name}", "server", spans.received(context.invocation_metadata()), about)


@contextlib.contextmanager
def _left(tasks: set[asyncio.Task[Any]]) -> Iterator[None]:
    """Keep the current task out of a set that it is in while the block runs."""
    task = asyncio.current_task()
    if task not in tasks:
        yield
        return
    tasks.remove(task)
    try:
        yield
    finally:
        tasks.add(task)


def _kind(handler: Any) -> tuple[Callable[..., Any], Any]:
    """Return how to make a handler of the same kind, and the function in it."""
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler, handler.stream_stream
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler, handler.stream_unary
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler, handler.unary_stream
    return grpc.unary_unary_rpc_method_handler, handler.unary_unary


async def _refuse(context: auth.Context, error: Exception, method: str) -> NoReturn:
    if not isinstance(error, JaildError):
        _log.error("unexpected error", method=method, exc_info=error)
        error = InternalError(
            "INTERNAL", "the daemon made a mistake", hint="its log tells what happened; please report it"
        )
    await _abort(context, error)


async def _abort(context: auth.Context, error: JaildError) -> NoReturn:
    failure = failure_of(error)
    sent = status.trailer_of(failure)
    await context.abort(status.code_of(failure), sent.message, ((status.DETAILS, sent.SerializeToString()),))
