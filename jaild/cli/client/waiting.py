"""Waiting for an operation: watched while the connection holds, asked for when it broke.

watching --broke--> asking --answered--> watching --done--> the operation
   |                  +--too often in vain--> Failure(UNAVAILABLE)
   +--Ctrl-C--> asked to cancel, watching --Ctrl-C--> Failure(ABORTED); the operation goes on
"""

from __future__ import annotations

from contextlib import closing
from time import sleep
from typing import Any

import grpc
from google.longrunning import operations_pb2

from jaild.cli.client import interrupts
from jaild.cli.client.connection import READ_SECONDS, Api
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc
from jaild.cli.output.progress import View
from jaild.v1 import common_pb2, events_pb2

# What a daemon that is restarted, or a network that hiccups, ends a call with.
TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})


class Backoff:
    """Waits longer after each failure in a row, then connects anew; gives up in the end, after about a minute."""

    def __init__(self, api: Api, attempts: int = 15) -> None:
        self._api = api
        self._attempts = attempts
        self._failures = 0

    def reset(self) -> None:
        """Forget failures: there was an answer."""
        self._failures = 0

    def wait(self) -> bool:
        """Wait and return True, or return False when it was enough."""
        self._failures += 1
        if self._failures > self._attempts:
            return False
        sleep(min(5.0, 0.5 * 2 ** (self._failures - 1)))
        self._api.reconnect()
        return True


class Waiter:
    """Sees one operation through."""

    def __init__(self, api: Api, view: View, backoff: Backoff) -> None:
        self._api = api
        self._view = view
        self._backoff = backoff
        self._cancelling = False

    def wait(self, operation: Any) -> Any:
        """Return the operation when it is done; Ctrl-C asks to cancel it, and a second one leaves it alone."""
        while True:
            try:
                return self._see_through(operation)
            except KeyboardInterrupt:
                if self._cancelling:
                    raise _left(operation.name) from None
                self._cancelling = True
                self._cancel(operation.name)

    def _see_through(self, operation: Any) -> Any:
        self._show(operation)
        while not operation.done:
            try:
                operation = self._watch(operation)
                continue
            except grpc.RpcError as error:
                if error.code() not in TRANSIENT:
                    raise
                lost = error
            operation = self._ask(operation, lost)
        return operation

    def _watch(self, operation: Any) -> Any:
        request = events_pb2.WatchOperationRequest(name=operation.name)
        with closing(interrupts.stream(lambda: self._api.events.WatchOperation(request))) as updates:
            for update in updates:
                operation = update
                self._backoff.reset()
                self._show(operation)
        if not operation.done:
            raise _StreamEndedError
        return operation

    def _ask(self, operation: Any, lost: grpc.RpcError) -> Any:
        """Return the operation as the daemon knows it once it answers again."""
        while self._backoff.wait():
            self._view.step("reconnecting", "the connection to the daemon broke; the operation goes on")
            try:
                answer = get(self._api, operation.name)
            except grpc.RpcError as error:
                if error.code() not in TRANSIENT:
                    raise
                lost = error
            else:
                self._backoff.reset()
                return answer
        raise _lost_sight(operation.name, from_rpc(lost, self._api.endpoint)) from lost

    def _cancel(self, name: str) -> None:
        self._view.note("asking to cancel; Ctrl-C again to leave without waiting")
        try:
            cancel(self._api, name)
        except grpc.RpcError as error:  # past the point of no return, or the daemon is away: go on waiting, but say it
            self._view.note(f"not cancelled: {from_rpc(error, self._api.endpoint).message}")

    def _show(self, operation: Any) -> None:
        if operation.done:
            return
        about = metadata(operation)
        self._view.step(about.phase, about.message, about.bytes_done, about.bytes_total)


class _StreamEndedError(grpc.RpcError):
    """The daemon closed the stream before the operation was done."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "it closed the stream before the operation was done"

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()


def metadata(operation: Any) -> common_pb2.OperationMetadata:
    """Return an operation's metadata; empty ones if it has none."""
    about = common_pb2.OperationMetadata()
    operation.metadata.Unpack(about)
    return about


def get(api: Api, name: str) -> Any:
    """Return an operation by name."""
    return api.operations.GetOperation(operations_pb2.GetOperationRequest(name=name), timeout=READ_SECONDS)


def cancel(api: Api, name: str) -> None:
    """Ask for an operation to be cancelled. It may take a while, or be too late."""
    api.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=name), timeout=READ_SECONDS)


def _left(name: str) -> Failure:
    return Failure(
        f"left {name}, which goes on", Exit.ABORTED, hint=f"to see how it ends: jailctl operation wait {name}"
    )


def _lost_sight(name: str, why: Failure) -> Failure:
    message = f"lost sight of {name}, which may go on: {why.message}"
    return Failure(message, Exit.UNAVAILABLE, hint=f"when the daemon is back: jailctl operation wait {name}")
