"""What went wrong, as the daemon told it: read from gRPC's status details, printed so that one knows what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import IO, Any

import click
import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from jaild.cli.output import human, problems
from jaild.cli.output.exits import Exit, for_operation, for_request
from jaild.client import DETAILS
from jaild.restraints import NotHeldBackError
from jaild.v1 import common_pb2

_UNREACHABLE = (
    "see that jaild runs there and that you may open its socket (it is root's);"
    " --context, --address and JAILCTL_ADDRESS choose another daemon"
)
# What gRPC puts before the system's own words.
_CHAIN = re.compile(
    r"failed to connect to all addresses; last error: [A-Z_]+: "
    r"(?:(?:unix|ipv4|ipv6):\S+: )?(?:connect failed: .*error: )?"
)
_PLAIN = {
    "No such file or directory": "there is no such socket: is jaild running?",
    "Connection refused": "nothing listens there: is jaild running?",
    "Permission denied": "you may not open its socket",
}


class Failure(click.ClickException):
    """The command did not do what was asked. `status` is what the daemon said, if it said anything."""

    def __init__(
        self,
        message: str,
        exit_code: Exit,
        *,
        reason: str = "",
        hint: str = "",
        detail: Mapping[str, str] | None = None,
        found: Sequence[common_pb2.Problem] = (),
        status: status_pb2.Status | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click: "exit_code" is meant to be set
        self.reason = reason
        self.hint = hint
        self.detail = dict(detail or {})
        self.found = tuple(found)
        self.status = status
        context = click.get_current_context(silent=True)  # gone when it is shown; click itself keeps it from 8.1.8 on
        self._color = context.color if context is not None else None

    def show(self, file: IO[Any] | None = None) -> None:
        """Print everything that is known on stderr."""
        for line in self._lines():
            click.echo(line, file=file, err=file is None, color=self._color)

    def _lines(self) -> list[str]:
        head = click.style("error: ", fg="red", bold=True) + human.printable(self.message)
        lines = [head + (f" ({human.printable(self.reason)})" if self.reason else "")]
        told = {human.printable(key): human.printable(value) for key, value in self.detail.items() if value}
        lines += [f"  {key}: {value}".replace("\n", "\n    ") for key, value in told.items()]
        lines += ["  " + line for line in problems.lines(self.found)]
        if self.hint and self.hint not in {problem.hint for problem in self.found}:  # once, below its problem
            lines.append(click.style("  hint: ", bold=True) + human.printable(self.hint))
        return lines


class _Details:
    """The parts of a google.rpc.Status that jaild sends."""

    def __init__(self, status: status_pb2.Status) -> None:
        self.info = error_details_pb2.ErrorInfo()
        plan = common_pb2.Plan()
        self.found: list[common_pb2.Problem] = []
        for detail in status.details:
            problem = common_pb2.Problem()
            for part in (self.info, plan, problem):
                if detail.Is(part.DESCRIPTOR):
                    detail.Unpack(part)
            if problem.code:
                self.found.append(problem)
        self.found = [*plan.problems, *self.found]


def reason(status: status_pb2.Status) -> str:
    """Return ErrorInfo's reason; empty if there is none."""
    return str(_Details(status).info.reason)


def from_status(status: status_pb2.Status, *, of_operation: bool) -> Failure:
    """Return the failure that `status` tells: an operation's `error`, or what came with a refused request."""
    details = _Details(status)
    metadata = dict(sorted(details.info.metadata.items()))  # a map has no order of its own
    former = metadata.pop("remedy", "")  # what a daemon of the first version calls the hint
    why, code = details.info.reason, code_pb2.Code.Name(status.code)
    return Failure(
        status.message or code,
        for_operation(code, why) if of_operation else for_request(code),
        reason=why or code,
        hint=metadata.pop("hint", former),
        detail=metadata,
        found=details.found,
        status=status,
    )


def _plain(said: str) -> str:
    """Return why there is no connection, of what gRPC says, in words for people."""
    found = next((plain for words, plain in _PLAIN.items() if words in said), "")
    return found or _CHAIN.sub("", said)


def not_held_back(error: NotHeldBackError) -> Failure:
    """Return the failure of what was not sent, since the daemon would do more than was asked."""
    hint = "update the daemon, or ask without it if you mean to do it now"
    return Failure(f"{error}: nothing was sent", Exit.REFUSED, hint=hint)


def from_rpc(error: grpc.RpcError, endpoint: str) -> Failure:
    """Return the failure that a call to the daemon at `endpoint` ended with."""
    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key == DETAILS:
            return from_status(status_pb2.Status.FromString(value), of_operation=False)
    code, said = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        return Failure(f"cannot reach jaild at {endpoint}: {_plain(said)}", Exit.UNAVAILABLE, hint=_UNREACHABLE)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Failure(f"jaild at {endpoint} did not answer in time", Exit.UNAVAILABLE, hint="try again")
    status = status_pb2.Status(code=code.value[0], message=said)
    return from_status(status, of_operation=False)
