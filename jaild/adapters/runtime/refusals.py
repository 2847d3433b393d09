"""What every runtime refuses in the same words: the port's errors about runs, and what a host cannot do as findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, JaildError, NotFoundError
from jaild.model.findings import Finding, Severity

FIELD = "field"  # in an error's detail: the path of the spec's field that it is about


def findings(problems: Sequence[JaildError]) -> tuple[Finding, ...]:
    """Return what a host cannot carry out as findings of a plan."""
    return tuple(
        Finding(
            severity=Severity.ERROR,
            code=problem.reason,
            message=problem.message,
            subject=problem.detail.get(FIELD, ""),
            remedy=problem.remedy,
        )
        for problem in problems
    )


def require_none(problems: Sequence[JaildError]) -> None:
    """Raise the first, if there is one."""
    for problem in problems:
        raise problem


def exists(name: str) -> AlreadyExistsError:
    """Return RUN_EXISTS."""
    return AlreadyExistsError("RUN_EXISTS", f"the run {name} exists", remedy="remove it first", resource=name)


def missing(name: str) -> NotFoundError:
    """Return RUN_NOT_FOUND."""
    return NotFoundError("RUN_NOT_FOUND", f"there is no run {name}", remedy="create it first", resource=name)


def interrupted(name: str) -> NotFoundError:
    """Return RUN_NOT_FOUND for what was created half, or before the host was booted."""
    return NotFoundError(
        "RUN_NOT_FOUND",
        f"of {name} only the record is left: its creation, or the host, was interrupted",
        remedy="remove the run and create it again",
        resource=name,
    )


def running(name: str) -> FailedPreconditionError:
    """Return RUN_RUNNING."""
    return FailedPreconditionError("RUN_RUNNING", f"{name} is running", remedy="stop it first", resource=name)


def not_running(name: str) -> FailedPreconditionError:
    """Return RUN_NOT_RUNNING."""
    return FailedPreconditionError("RUN_NOT_RUNNING", f"{name} is not running", remedy="start it first", resource=name)


def misplaced(root: Path, wanted: Sequence[Path], there: Sequence[Path]) -> FailedPreconditionError:
    """Return MOUNT_MISPLACED for a tree whose mounts are not where they belong."""
    missing = [str(place) for place in wanted if place not in there]
    more = [str(place) for place in there if place not in wanted]
    return FailedPreconditionError(
        "MOUNT_MISPLACED",
        f"the tree {root} is not as it was to be: {_listed('not mounted', missing)}{_listed('; mounted', more)}",
        remedy="the running jail moved a folder that a volume is mounted on or below; leave it, and try again",
        resource=str(root),
        detail={"missing": "\n".join(missing), "more": "\n".join(more)},
    )


def _listed(word: str, places: Sequence[str]) -> str:
    return f"{word} {', '.join(places)}" if places else ""
