"""The closed set of errors. Every refusal says a stable reason, what happened, and what to do about it.

Adapters and use cases raise these and nothing else; `jaild.rpc.status` is the one place that turns them into gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaild.model.problems import Problem


def told(text: str) -> str:
    """Return a text as it can be stored and sent: bytes of a file name that are no UTF-8 stand as backslash udcNN."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class JaildError(Exception):
    """What every error of jaild is.

    `reason` is stable and machine-readable (UPPER_SNAKE), `message` says what happened, `hint` what to do next,
    `resource` which thing it is about, `detail` holds further evidence (all strings), `problems` a refused plan's list.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        hint: str = "",
        resource: str = "",
        detail: Mapping[str, str] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = told(message)
        self.hint = told(hint)
        self.resource = told(resource)
        self.detail = {key: told(text) for key, text in (detail or {}).items()}
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})" + (f" -- {self.hint}" if self.hint else "")


class InvalidArgumentError(JaildError):
    """The request is wrong whatever the state of the host."""


class NotFoundError(JaildError):
    """The named thing does not exist."""


class AlreadyExistsError(JaildError):
    """The name is taken."""


class FailedPreconditionError(JaildError):
    """The host's state forbids it; another request must come first."""


class AbortedError(JaildError):
    """Somebody else changed the thing meanwhile (etag, concurrent operation); read again and retry."""


class ResourceExhaustedError(JaildError):
    """Space, quota, memory or a queue is used up."""


class PermissionDeniedError(JaildError):
    """The caller's role, or the daemon's own rights, do not allow it."""


class UnauthenticatedError(JaildError):
    """The caller showed no certificate that maps to a role."""


class UnavailableError(JaildError):
    """A peer, a tool or the daemon itself is not there right now; retrying may help."""


class DeadlineExceededError(JaildError):
    """It took longer than it was allowed to."""


class CancelledError(JaildError):
    """The caller withdrew the request."""


class DataLossError(JaildError):
    """Data is damaged: a digest or a guid does not match."""


class InternalError(JaildError):
    """A step that should have worked did not: a command failed, or jaild has a defect."""


def command_failed(argv: Sequence[str], status: int, stderr: str) -> InternalError:
    """Return the error for a command that ended badly, with all that one needs to try it by hand."""
    text = stderr.strip() or "(no output on stderr)"
    return InternalError(
        "COMMAND_FAILED",
        f"{' '.join(argv)}: exit status {status}: {text}",
        hint="run the command by hand to see what it says; the operation left nothing half-done",
        detail={"argv": " ".join(argv), "status": str(status), "stderr": text},
    )
