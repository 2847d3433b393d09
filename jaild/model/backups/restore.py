"""What a restore brings back, and what its plan says of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from jaild.model import layout
from jaild.model.backups.points import Point
from jaild.model.errors import InvalidArgumentError, NotFoundError
from jaild.model.jails.mounts import holder_of
from jaild.model.jails.spec import JailSpec
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.replication.policy import moment


@dataclass(frozen=True, kw_only=True)
class Restore:
    """What is brought back of a jail.

    `parts`: the datasets, by their paths below the jail's own, each with the path in it; '' for all of it.
    """

    jail: str
    point: Point
    path: str = ""  # in the jail, as it was asked for; '' for all of its data
    parts: Mapping[str, str]


def restore_of(jail: str, spec: JailSpec, point: Point, path: str = "") -> Restore:
    """Return what is to be brought back. `path`: in the jail; '' for all that the snapshots have of its data.

    `InvalidArgumentError` (NOT_DATA) for a path that is not in the jail's data or a volume, `NotFoundError`
    (PATH_NOT_IN_SNAPSHOT) for one in a volume that the snapshot is not of.
    """
    if not path:
        return Restore(jail=jail, point=point, parts={part: "" for part in sorted(point.parts) if part})
    at = str(PurePosixPath(path))
    held = holder_of(spec, at) if path.startswith("/") and ".." not in PurePosixPath(path).parts else None
    if held is None:
        raise InvalidArgumentError(
            "NOT_DATA",
            f"{path!r} is no path in the data or a volume of jail {jail}",
            hint=f"name what is below {', '.join(f'/{each}' for each in layout.DATA_FOLDERS)}, or in a volume; /etc "
            "and the releases have generations of their own: jailctl jail rollback",
            detail={"path": path},
        )
    part, below = held
    if part not in point.parts:
        raise NotFoundError(
            "PATH_NOT_IN_SNAPSHOT",
            f"{path} is in volume {part}, of which {point.tag} has nothing",
            hint=f"take another snapshot: jailctl jail snapshots {jail}",
            resource=f"jails/{jail}",
        )
    return Restore(jail=jail, point=point, path=at, parts={part: below})


def plan_of(restore: Restore, spec: JailSpec, there: Collection[str], *, running: bool, generation: int) -> Plan:
    """Return the plan. `there`: the jail's parts now; `running`: it runs."""
    stops = running and not restore.path
    what = restore.path or ", ".join(restore.parts)
    steps = (
        *([f"stop generation {generation}"] if stops else []),
        "snapshot all as it is now: to restore that undoes this",
        f"bring {what} back as of {moment(restore.point.created)} ({restore.point.tag})",
        *([f"start generation {generation}", "health checks; if they fail, all is as it was"] if stops else []),
    )
    problems = tuple(_problems(restore, spec, there, running=running))
    return Plan(kind="restore", target=f"jails/{restore.jail}", steps=steps, problems=problems)


def _problems(restore: Restore, spec: JailSpec, there: Collection[str], *, running: bool) -> Iterator[Problem]:
    subject = f"jails/{restore.jail}"
    if running and restore.path:
        yield _warning(
            "JAIL_RUNS_ON",
            f"the jail runs meanwhile: what has files in {restore.path} open goes on with those that it has",
            subject,
            "stop it first if that does harm, as with a database",
        )
    missing = sorted(part for part in there if part not in restore.point.parts)
    if missing and not restore.path:
        volumes = ", ".join(missing)
        yield _warning("NOT_IN_SNAPSHOT", f"{volumes}: not in the snapshot, left as it is now", subject)
    below = sorted(
        v.path for n, v in spec.volumes.items() if _is_below(v.path, restore.path) and n not in restore.parts
    )
    if restore.path and below:
        yield _warning("VOLUMES_BELOW", f"volumes below that are left as they are: {', '.join(below)}", subject)
    if not restore.point.is_atomic:
        told = f"the snapshots {restore.point.tag} were not taken at once: data and volumes may not fit together"
        yield _warning("NOT_AT_ONCE", told, subject)


def _is_below(path: str, above: str) -> bool:
    return bool(above) and path != above and PurePosixPath(path).is_relative_to(above)


def _warning(code: str, message: str, subject: str, hint: str = "") -> Problem:
    return Problem(severity=Severity.WARNING, code=code, message=message, subject=subject, hint=hint)
