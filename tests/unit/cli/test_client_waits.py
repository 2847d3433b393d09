"""`jaild.client` waits for an operation, over a daemon's restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import empty_pb2
from google.rpc import code_pb2

from jaild import client

NAME = "operations/one"


class Daemon(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]
    """One whose operation is done when `end` is set; it is told that it was asked."""

    def __init__(self) -> None:
        self.asked, self.end = threading.Event(), threading.Event()
        self.answer = operations_pb2.Operation(name=NAME, done=True)
        self.answer.response.Pack(empty_pb2.Empty())

    def WaitOperation(self, _request: Any, context: Any) -> Any:  # noqa: N802 -- gRPC's name
        context.add_callback(self.end.set)
        self.asked.set()
        self.end.wait()
        return self.answer

    @contextmanager
    def serving(self, socket: Path) -> Iterator[grpc.Server]:
        server = grpc.server(ThreadPoolExecutor(2))
        operations_pb2_grpc.add_OperationsServicer_to_server(self, server)
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        try:
            yield server
        finally:
            server.stop(None).wait()


def test_a_daemon_that_restarts_is_waited_for(tmp_path: Path) -> None:
    before, after = Daemon(), Daemon()
    with ThreadPoolExecutor(1) as pool, client.connect(str(tmp_path / "socket")) as api:
        with before.serving(tmp_path / "socket"):
            ended = pool.submit(api.end, operations_pb2.Operation(name=NAME))
            before.asked.wait()
        after.end.set()
        with after.serving(tmp_path / "socket"):
            assert ended.result(timeout=30).done


def test_an_operation_that_failed_is_explained(tmp_path: Path) -> None:
    daemon = Daemon()
    daemon.answer.ClearField("response")
    daemon.answer.error.code, daemon.answer.error.message = code_pb2.ABORTED, "it was cut off"
    daemon.end.set()
    with daemon.serving(tmp_path / "socket"), client.connect(str(tmp_path / "socket")) as api:
        with pytest.raises(client.OperationError) as raised:
            api.wait(operations_pb2.Operation(name=NAME))
        assert client.explanation(raised.value).message == "it was cut off"
        assert client.explanation(raised.value).code == "ABORTED"


def test_nobody_there_is_explained(tmp_path: Path) -> None:
    with client.connect(str(tmp_path / "socket")) as api:
        with pytest.raises(grpc.RpcError) as raised:
            api.operations.GetOperation(operations_pb2.GetOperationRequest(name=NAME), timeout=10)
        told = client.explanation(raised.value)
        assert (told.code, told.reason, bool(told.hint)) == ("UNAVAILABLE", "", True)
