"""The audit log's entries: one for each call that asked for a change, also for one that was refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from google.longrunning import operations_pb2

from jaild.model import bounds
from jaild.model.errors import InvalidArgumentError, JaildError
from jaild.model.operation import clipped, failure_of
from jaild.rpc import status
from jaild.rpc.policy import Rule

# What every resource name looks like, whatever its kind. A name is taken from a request before anything checked it.
_NAME = re.compile(r"[a-z]+(/[A-Za-z0-9-][A-Za-z0-9._-]{0,99}){0,5}")
_SHOWN = 64  # bytes of what is no name

_log = structlog.get_logger(__name__)


class Audit(Protocol):
    """Keeps the entries."""

    async def record(
        self, actor: str, method: str, target: str, request_id: str, outcome: str, operation: str, /
    ) -> None:
        """Write one."""


@dataclass(frozen=True)
class TooLarge:
    """Stands for a message that was not read."""

    size: int
    limit: int


def bounded(read: Callable[[bytes], Any], limit: int) -> Callable[[bytes], Any]:
    """Return `read` for messages of at most `limit` bytes; others are not looked into, but become a `TooLarge`."""
    return lambda message: read(message) if len(message) <= limit else TooLarge(len(message), limit)


class Entry:
    """What is known of one call so far."""

    def __init__(self, method: str, rule: Rule) -> None:
        self.method = method
        self.rule = rule
        self._request: Any = None
        self._too_large: TooLarge | None = None
        self.actor = ""

    def note(self, request: Any) -> Any:
        """Remember a unary request, or a stream's first message; return it."""
        if isinstance(request, TooLarge):
            self._too_large = request
        elif self._request is None:
            self._request = request
        return request

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
                f"the message has {self._too_large.size} bytes; {self._too_large.limit} are allowed",
                remedy="send less at once: archives go in chunks, of 1 MiB by advice",
                detail={"limit": str(self._too_large.limit)},
            )

    async def write(self, audit: Audit, error: BaseException | None, response: Any = None) -> None:
        """Write the entry, if the call asked for a change. That it could not be written is logged, not answered.

        By then the change was accepted or refused, and the caller must learn which.
        """
        request = self._request
        if self.rule.target is None or getattr(request, "validate_only", False):
            return
        target = "" if request is None else _checked(self.rule.target(request))
        operation = response.name if isinstance(response, operations_pb2.Operation) else ""
        try:
            await audit.record(
                self.actor,
                self.method.lstrip("/"),
                target,
                clipped(_request_id(request), bounds.REQUEST_ID),
                outcome_of(error),
                operation,
            )
        except Exception:  # noqa: BLE001  # see above
            _log.exception("audit entry lost", actor=self.actor, method=self.method, target=target)


def outcome_of(error: BaseException | None) -> str:
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


def _request_id(request: Any) -> str:
    for part in (request, getattr(request, "header", None)):
        if found := getattr(part, "request_id", ""):
            return str(found)
    return ""
