"""Errors become statuses, and statuses errors."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from jaild.model import errors
from jaild.model.operation import Failure, failure_of
from jaild.model.problems import Problem, Severity
from jaild.rpc import status
from jaild.v1 import common_pb2


def subclasses() -> list[type[errors.JaildError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and errors.JaildError in kind.__bases__]


def unpacked(message: Message, sent: status_pb2.Status) -> bool:
    return any(item.Unpack(message) for item in sent.details)


@pytest.mark.parametrize("kind", subclasses())
def test_every_error_has_a_code_of_its_own_and_comes_back_as_itself(kind: type[errors.JaildError]) -> None:
    problem = Problem(severity=Severity.NOTE, code="C", message="m", subject="s", hint="r")
    error = kind("WHY", "what", hint="do", resource="jails/a", detail={"k": "v"}, problems=(problem,))
    back = status.error_of(status.trailer_of(failure_of(error)))
    assert type(back) is kind
    assert vars(back) == vars(error)


def test_the_table_holds_all_errors_and_no_code_twice() -> None:
    assert set(status.CODES) == set(subclasses())
    assert len(set(status.CODES.values())) == len(status.CODES)
    assert all(code.name == code_pb2.Code.Name(code.value[0]) for code in status.CODES.values())


def test_an_operations_failure_keeps_all_problems_with_their_evidence() -> None:
    problems = tuple(
        Problem(severity=Severity.ERROR, code="MISSING_LIBRARY", message="m", evidence=("x" * 100,)) for _ in range(100)
    )
    sent = status.status_of(Failure(error="FailedPreconditionError", reason="R", message="m", problems=problems))
    assert len(sent.details) == 1 + 100
    first = common_pb2.Problem()
    assert sent.details[1].Unpack(first)
    assert first.evidence == ["x" * 100]


@pytest.mark.parametrize("text", ["x" * 100_000, "ß" * 50_000, "\N{GRINNING FACE}" * 20_000])
def test_whatever_is_in_an_error_its_trailer_stays_below_what_clients_take(text: str) -> None:
    problems = tuple(
        Problem(severity=Severity.ERROR, code="C", message=text, subject=text, hint=text, evidence=(text,))
        for _ in range(30)
    )
    failure = Failure(
        error="InternalError",
        reason="COMMAND_FAILED",
        message=text,
        hint=text,
        resource=text,
        detail={f"k{n}": text for n in range(30)},
        problems=problems,
    )
    sent = status.trailer_of(failure)
    info = error_details_pb2.ErrorInfo()
    assert sent.ByteSize() * 4 / 3 + 3 * len(sent.message.encode()) < 8192 + 1024 - 1  # base64, and %-encoding
    assert unpacked(info, sent)
    assert (info.reason, info.domain) == ("COMMAND_FAILED", "jaild.dev")


def test_a_trailer_counts_the_problems_that_did_not_fit() -> None:
    problems = tuple(Problem(severity=Severity.ERROR, code="C", message=f"{n:0500}") for n in range(20))
    sent = status.trailer_of(Failure(error="AbortedError", reason="R", message="m", problems=problems))
    info = error_details_pb2.ErrorInfo()
    assert unpacked(info, sent)
    kept = len(sent.details) - 1
    assert kept > 3
    assert int(info.metadata["problems_left_out"]) == 20 - kept


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    sent = status.trailer_of(Failure(error="InternalError", reason="R", message="begin" + "x" * 9999 + "end"))
    assert sent.message.startswith("begin")
    assert sent.message.endswith("end")


def test_a_status_of_somebody_else_is_no_error_of_ours() -> None:
    assert status.error_of(status_pb2.Status(code=5, message="gone")) is None


def test_a_class_unknown_to_the_table_is_internal() -> None:
    assert status.code_of(Failure(error="OddError", reason="R", message="m")) is grpc.StatusCode.INTERNAL
    assert status.error_class(grpc.StatusCode.OUT_OF_RANGE) is errors.InternalError
