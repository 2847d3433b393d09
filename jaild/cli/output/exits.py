"""What jailctl's exit status means: one table for code, help and documentation."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses. Stable: scripts depend on them."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    INVALID = 5
    EXISTS = 6
    DENIED = 7
    UNAVAILABLE = 8
    FAILED = 9
    ROLLED_BACK = 10
    ABORTED = 11
    EXHAUSTED = 12
    DATA_LOSS = 13
    TIMED_OUT = 14


MEANING = {
    Exit.OK: "it is done, or planned without an error",
    Exit.UNEXPECTED: (
        "something that should not happen: a defect, an internal error of the daemon, a result that cannot be written"
    ),
    Exit.USAGE: "the command line is wrong",
    Exit.NOT_FOUND: "the named thing does not exist",
    Exit.REFUSED: "the host's state or the plan's problems forbid it; nothing was touched",
    Exit.INVALID: "an argument, spec, manifest or archive is wrong",
    Exit.EXISTS: "the name is taken",
    Exit.DENIED: "your role or certificate does not allow it",
    Exit.UNAVAILABLE: "the daemon cannot be reached, or did not answer in time",
    Exit.FAILED: "the operation was accepted and then failed",
    Exit.ROLLED_BACK: "the health checks did not pass, and the jail is back on its old generation",
    Exit.ABORTED: "cancelled, interrupted, not agreed to, or somebody else changed it meanwhile",
    Exit.EXHAUSTED: "space, quota or another resource is used up",
    Exit.DATA_LOSS: "data is damaged: a digest or guid does not match",
    Exit.TIMED_OUT: "what was waited for did not come within --timeout; the daemon answers",
}

# Names of google.rpc.Code and grpc.StatusCode, which are the same.
BY_CODE = {
    "CANCELLED": Exit.ABORTED,
    "INVALID_ARGUMENT": Exit.INVALID,
    "DEADLINE_EXCEEDED": Exit.UNAVAILABLE,
    "NOT_FOUND": Exit.NOT_FOUND,
    "ALREADY_EXISTS": Exit.EXISTS,
    "PERMISSION_DENIED": Exit.DENIED,
    "RESOURCE_EXHAUSTED": Exit.EXHAUSTED,
    "FAILED_PRECONDITION": Exit.REFUSED,
    "ABORTED": Exit.ABORTED,
    "OUT_OF_RANGE": Exit.INVALID,
    "UNAVAILABLE": Exit.UNAVAILABLE,
    "DATA_LOSS": Exit.DATA_LOSS,
    "UNAUTHENTICATED": Exit.DENIED,
}

HEALTH_CHECK_FAILED = "HEALTH_CHECK_FAILED"
# In an operation these say that a step or a peer failed, not that this daemon is out of reach.
_FAILED_LATER = frozenset({Exit.UNEXPECTED, Exit.UNAVAILABLE})


def for_request(code: str) -> Exit:
    """Return the exit status for a request that the daemon answered with the status `code`."""
    return BY_CODE.get(code, Exit.UNEXPECTED)


def for_operation(code: str, reason: str) -> Exit:
    """Return the exit status for an operation that was accepted and ended in `code`, with ErrorInfo's `reason`."""
    if reason == HEALTH_CHECK_FAILED:
        return Exit.ROLLED_BACK
    found = for_request(code)
    return Exit.FAILED if found in _FAILED_LATER else found


def table() -> str:
    """Return the exit statuses as text for people."""
    rows = [f"  {status.value:>3}  {meaning}" for status, meaning in MEANING.items()]
    own = (
        "`jailctl jail exec` ends with the command's own status: 128 + N for signal N, 127 if there is no such"
        " command in the jail, 126 if it\ncannot be executed."
    )
    return "\n".join([*rows, "", own])
