"""What FreeBSD's tools say, told as our errors.

They exit with 0 or 1 whatever went wrong, so only their text tells; every text here was seen on FreeBSD 13.2 or 15.1
(tests/unit/data/freebsd). From 15 on a line may go on after the text of errno, with where in the kernel's source that
came from, so no pattern here says how a line ends. What is not known here stays a failed command with all it said.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from jaild.model.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    JaildError,
    ResourceExhaustedError,
    UnavailableError,
    command_failed,
)
from jaild.ports.process import Completed


def source_missing(text: str, resource: str) -> FailedPreconditionError:
    """Return MOUNT_SOURCE_MISSING."""
    return FailedPreconditionError(
        "MOUNT_SOURCE_MISSING",
        text,
        hint="the layer's dataset is not mounted, or lacks the folder: `zfs mount -a`, then try again",
        resource=resource,
    )


def target_missing(text: str, resource: str) -> FailedPreconditionError:
    """Return MOUNT_TARGET_MISSING."""
    return FailedPreconditionError(
        "MOUNT_TARGET_MISSING",
        text,
        hint="the base or the release must bring the folder: nothing is made in a sealed layer",
        resource=resource,
    )


def busy(text: str, resource: str) -> FailedPreconditionError:
    """Return TREE_BUSY."""
    return FailedPreconditionError(
        "TREE_BUSY",
        text,
        hint="end the processes that use it (`fstat -f PATH`), then try again",
        resource=resource,
    )


_KNOWN: tuple[tuple[re.Pattern[str], Callable[[str, str], JaildError]], ...] = (
    (
        re.compile(r'^jail: "[^"]+" already exists', re.MULTILINE),
        lambda text, resource: AlreadyExistsError(
            "RUN_EXISTS",
            text,
            hint="`jls -d` shows which jail has the name; one that is not jaild's must be renamed or removed",
            resource=resource,
        ),
    ),
    (
        # Quoted for a name, bare for a jid; ps(1) of either.
        re.compile(r'^(jail|jls|jexec): (jail )?("[^"]+"|\d+) not found|^ps: Invalid jail id', re.MULTILINE),
        lambda text, resource: FailedPreconditionError(
            "RUN_NOT_RUNNING", text, hint="start it first", resource=resource
        ),
    ),
    (
        re.compile(r"unknown parameter: |^kldload: can't load ", re.MULTILINE),
        lambda text, resource: UnavailableError(
            "RUNTIME_MISSING",
            text,
            hint="this kernel lacks a part of jails that the spec needs; load its module, or use another host",
            resource=resource,
        ),
    ),
    (
        re.compile(r"^ifconfig: interface \S+ does not exist|BRDG(ADD|DEL) \S+: No such file", re.MULTILINE),
        lambda text, resource: FailedPreconditionError(
            "NETWORK_MISSING",
            text,
            hint="make the interface, or name another in the jail's spec or the daemon's configuration",
            resource=resource,
        ),
    ),
    (
        re.compile(r"^mount_nullfs: \S+: No such file or directory", re.MULTILINE),
        source_missing,
    ),
    (
        re.compile(r"^mount: \S+: No such file or directory", re.MULTILINE),
        target_missing,
    ),
    (
        re.compile(r"^mount_nullfs: \S+: Resource deadlock avoided|: Device busy", re.MULTILINE),
        busy,
    ),
    (
        re.compile(r"^(rctl: failed to add rule|cpuset: setaffinity)", re.MULTILINE),
        lambda text, resource: ResourceExhaustedError(
            "LIMIT_UNSUPPORTED",
            text,
            hint="take the limit out of the spec, or see rctl(8) and cpuset(1) for what this kernel can keep",
            resource=resource,
        ),
    ),
)
_TAIL = re.compile(r" \(errno \d+ category \d+ \(src .*\)$", re.MULTILINE)  # with addresses of the kernel


def explain(completed: Completed, resource: str) -> JaildError:
    """Return the error for a program of FreeBSD that ended badly while it worked on `resource`."""
    stderr = completed.error_text.strip()
    said = _TAIL.sub("", stderr)
    for pattern, make in _KNOWN:
        if pattern.search(said):
            error = make(said.splitlines()[-1] if pattern.search(said.splitlines()[-1]) else said, resource)
            error.detail |= {"argv": " ".join(completed.argv), "stderr": stderr}
            return error
    unknown = command_failed(completed.argv, completed.status, said)
    unknown.detail["stderr"] = stderr or unknown.detail["stderr"]
    return unknown
