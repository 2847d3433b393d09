"""The one table between jaild's errors and gRPC's status codes, used in both directions.

An error travels as `google.rpc.Status`: code, message, an `ErrorInfo` with the reason, and a plan's problems.
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from jaild.model import errors
from jaild.model.operation import Failure
from jaild.model.problems import Problem
from jaild.rpc.messages import plans
from jaild.v1 import common_pb2

DOMAIN = "jaild.dev"
DETAILS = "grpc-status-details-bin"  # the trailer that gRPC's own status packages read
# gRPC clients refuse trailers above 8 KiB with an error of their own in place of ours; -bin may travel as base64.
_TRAILER = 4096
_TEXT = 1024
_RESERVED = ("hint", "resource")
# Reasons that a host of the first version gives by another word.
_FORMER_REASONS = {"HOST_HALTED": "HOST_SHUT_DOWN"}
_FORMERLY = "remedy"  # what the hint was called: beside it for one version

CODES: dict[type[errors.JaildError], grpc.StatusCode] = {
    errors.InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AbortedError: grpc.StatusCode.ABORTED,
    errors.ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.CancelledError: grpc.StatusCode.CANCELLED,
    errors.DataLossError: grpc.StatusCode.DATA_LOSS,
    errors.InternalError: grpc.StatusCode.INTERNAL,
}
_ERRORS = {code: error for error, code in CODES.items()}
_CODES_BY_NAME = {error.__name__: code for error, code in CODES.items()}
_CODES_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def code_of(failure: Failure) -> grpc.StatusCode:
    """Return the status code of a failure; INTERNAL for a class that is not in the table."""
    return _CODES_BY_NAME.get(failure.error, grpc.StatusCode.INTERNAL)


def status_of(failure: Failure) -> status_pb2.Status:
    """Return a failure whole, for the inside of a message."""
    info = error_details_pb2.ErrorInfo(reason=failure.reason, domain=DOMAIN, metadata=failure.detail)
    for key, value in zip((*_RESERVED, _FORMERLY), (failure.hint, failure.resource, failure.hint), strict=True):
        if value:
            info.metadata[key] = value
    return status_pb2.Status(
        code=code_of(failure).value[0],
        message=failure.message,
        details=[_packed(info), *(_packed(plans.problem_message(problem)) for problem in failure.problems)],
    )


def trailer_of(failure: Failure) -> status_pb2.Status:
    """Return a failure cut to what fits into a trailer.

    Long texts lose their middle, problems their evidence and then the last of them go; `problems_left_out` in the
    metadata counts those. The operation, or a call with `validate_only`, has all of them.
    """
    short = Failure(
        error=failure.error,
        reason=failure.reason,
        message=_shortened(failure.message, _TEXT),
        hint=_shortened(failure.hint, _TEXT // 2),
        resource=_shortened(failure.resource, _TEXT // 4),
        detail=_shortened_detail(failure.detail),
    )
    status = status_of(short)
    kept = list(_while_fits(failure.problems, _TRAILER - status.ByteSize()))
    if left_out := len(failure.problems) - len(kept):
        short.detail["problems_left_out"] = str(left_out)
        status = status_of(short)
    status.details.extend(_packed(plans.problem_message(problem)) for problem in kept)
    return status


def error_of(status: status_pb2.Status) -> errors.JaildError | None:
    """Return the error that a status came from; None if it is not one of jaild's."""
    info = error_details_pb2.ErrorInfo()
    if not any(item.Unpack(info) and info.domain == DOMAIN for item in status.details):
        return None
    detail = dict(info.metadata)
    former, hint, resource = (detail.pop(key, "") for key in (_FORMERLY, *_RESERVED))
    code = _CODES_BY_NUMBER.get(status.code, grpc.StatusCode.INTERNAL)
    return error_class(code)(
        _FORMER_REASONS.get(info.reason, info.reason),
        status.message,
        hint=hint or former,
        resource=resource,
        detail=detail,
        problems=tuple(_problems(status)),
    )


def error_class(code: grpc.StatusCode) -> type[errors.JaildError]:
    """Return the class of error that a code stands for; `InternalError` for codes that jaild never sends."""
    return _ERRORS.get(code, errors.InternalError)


def _problems(status: status_pb2.Status) -> Iterable[Problem]:
    for item in status.details:
        message = common_pb2.Problem()
        if item.Unpack(message):
            yield plans.problem_of(message)


def _packed(message: error_details_pb2.ErrorInfo | common_pb2.Problem) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _while_fits(problems: tuple[Problem, ...], room: int) -> Iterable[Problem]:
    for problem in problems:
        bare = Problem(
            severity=problem.severity,
            code=problem.code,
            message=_shortened(problem.message, _TEXT // 2),
            subject=_shortened(problem.subject, _TEXT // 4),
            hint=_shortened(problem.hint, _TEXT // 4),
        )
        room -= _packed(plans.problem_message(bare)).ByteSize() + 4  # tag and length
        if room < 0:
            return
        yield bare


def _shortened_detail(detail: dict[str, str]) -> dict[str, str]:
    room, kept = _TRAILER // 4, {}
    for key, value in detail.items():
        kept[key] = _shortened(value, max(room, 0) // 2)
        room -= len(key.encode()) + len(kept[key].encode())
        if room < 0:
            del kept[key]
            break
    return kept


def _shortened(text: str, limit: int) -> str:
    """Return at most about `limit` bytes of `text`, its beginning and its end."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    half = max(limit // 2 - 4, 0)
    if half == 0:
        return "..."
    return f"{raw[:half].decode('utf-8', 'ignore')} ... {raw[-half:].decode('utf-8', 'ignore')}"
