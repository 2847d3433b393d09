"""What every runtime refuses in the same words: the port's errors about runs, and what a host cannot do as problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, JaildError, NotFoundError
from jaild.model.problems import Problem, Severity

FIELD = "field"  # in an error's detail: the path of the spec's field that it is about


def as_problems(errors: Sequence[JaildError]) -> tuple[Problem, ...]:
    """Return what a host cannot carry out as problems of a plan."""
    return tuple(
        Problem(
            severity=Severity.ERROR,
            code=error.reason,
            message=error.message,
            subject=error.detail.get(FIELD, ""),
            hint=error.hint,
        )
        for error in errors
    )


def require_none(problems: Sequence[JaildError]) -> None:
    """Raise the first, if there is one."""
    for problem in problems:
        raise problem


def exists(name: str) -> AlreadyExistsError:
    """Return RUN_EXISTS."""
    return AlreadyExistsError("RUN_EXISTS", f"the run {name} exists", hint="remove it first", resource=name)


def missing(name: str) -> NotFoundError:
    """Return RUN_NOT_FOUND."""
    return NotFoundError("RUN_NOT_FOUND", f"there is no run {name}", hint="create it first", resource=name)


def interrupted(name: str) -> NotFoundError:
    """Return RUN_NOT_FOUND for what was created half, or before the host was booted."""
    return NotFoundError(
        "RUN_NOT_FOUND",
        f"of {name} only the record is left: its creation, or the host, was interrupted",
        hint="remove the run and create it again",
        resource=name,
    )


def running(name: str) -> FailedPreconditionError:
    """Return RUN_RUNNING."""
    return FailedPreconditionError("RUN_RUNNING", f"{name} is running", hint="stop it first", resource=name)


def not_running(name: str) -> FailedPreconditionError:
    """Return RUN_NOT_RUNNING."""
    return FailedPreconditionError("RUN_NOT_RUNNING", f"{name} is not running", hint="start it first", resource=name)


def misplaced(root: Path, wanted: Sequence[Path], there: Sequence[Path]) -> FailedPreconditionError:
    """Return MOUNT_MISPLACED for a tree whose mounts are not where they belong."""
    missing = [str(place) for place in wanted if place not in there]
    more = [str(place) for place in there if place not in wanted]
    return FailedPreconditionError(
        "MOUNT_MISPLACED",
        f"the tree {root} is not as it was to be: {_listed('not mounted', missing)}{_listed('; mounted', more)}",
        hint="the running jail moved a folder that a volume is mounted on or below; leave it, and try again",
        resource=str(root),
        detail={"missing": "\n".join(missing), "more": "\n".join(more)},
    )


def _listed(word: str, places: Sequence[str]) -> str:
    return f"{word} {', '.join(places)}" if places else ""
