"""What a change would do, and what was found that may stop it: typed, with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from jaild.model import bounds, quantity
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, told

# What a caller may accept: what the proof says of files, since that they are ever started or opened is not proved.
# Nothing of the kernel, the machine, who owns what, or what would be lost.
ACCEPTABLE = frozenset(
    {"MISSING_LIBRARY", "MISSING_SYMBOL_VERSION", "MISSING_SYMBOL", "MISSING_INTERPRETER", "BASE_TOO_OLD"}
)


class Severity(StrEnum):
    """How much a problem matters: an error stops the change before anything was touched."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that a plan's checks brought out.

    `code` is stable (MISSING_LIBRARY, MERGE_CONFLICT ...), `subject` the file, symbol or field it is about,
    `evidence` the lines that prove it, `hint` what to do. Stored, and between hosts, the hint is called as in the first
    version, so that each version reads what the other wrote (docs/decisions/0350).
    """

    severity: Severity
    code: str
    message: str
    subject: str = ""
    hint: str = msgspec.field(name="remedy", default="")
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Make its texts such as can be stored and sent: they name files that others have made."""
        for field in ("message", "subject", "hint"):
            if not (text := getattr(self, field)).isascii():
                msgspec.structs.force_setattr(self, field, told(text))
        if not all(line.isascii() for line in self.evidence):
            msgspec.structs.force_setattr(self, "evidence", tuple(map(told, self.evidence)))


def errors(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return the problems that stop a change."""
    return tuple(f for f in problems if f.severity is Severity.ERROR)


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem that somebody accepts: the change is made all the same. On a generation it is the record of that."""

    code: str
    subject: str = ""  # the problem's; every one of that code if empty
    reason: str  # why, in a person's words
    by: str  # who

    def covers(self, problem: Problem) -> bool:
        """Tell whether it is about `problem`."""
        return self.code == problem.code and self.subject in {"", problem.subject}


def require_acceptable(accepted: Sequence[Accepted]) -> None:
    """Raise `InvalidArgumentError` (NOT_ACCEPTABLE) unless each is of a code that may be, with a reason."""
    for one in accepted:
        if one.code not in ACCEPTABLE:
            raise _not_acceptable(one, f"a problem {one.code} cannot be accepted")
        if not 0 < len(one.reason.strip()) <= bounds.ACCEPTED_REASON:
            raise _not_acceptable(one, f"why {one.code} is accepted is not said, or too long")
    if len(accepted) > bounds.ACCEPTED:
        raise _not_acceptable(accepted[-1], f"{quantity.count(len(accepted), 'problem')} accepted at once")


def _not_acceptable(one: Accepted, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "NOT_ACCEPTABLE",
        what,
        hint=f"accept {', '.join(sorted(ACCEPTABLE))} only, {bounds.ACCEPTED} at most, each with a reason of "
        f"{bounds.ACCEPTED_REASON} characters at most",
        detail={"code": one.code},
    )


def accept(
    problems: Iterable[Problem], accepted: Sequence[Accepted]
) -> tuple[tuple[Problem, ...], tuple[Accepted, ...]]:
    """Return the problems, errors that somebody accepts as warnings that say so, and which of `accepted` that took."""
    told_so: list[Problem] = []
    used: list[Accepted] = []
    for problem in problems:
        by = next((one for one in accepted if one.covers(problem)), None)
        if by is None or problem.severity is not Severity.ERROR or problem.code not in ACCEPTABLE:
            told_so.append(problem)
            continue
        evidence = (f"accepted by {by.by}: {by.reason}", *problem.evidence)
        told_so.append(msgspec.structs.replace(problem, severity=Severity.WARNING, evidence=evidence))
        used.append(by)
    return tuple(told_so), tuple(dict.fromkeys(used))


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key of a spec that a change makes another: `$.limits.memory`. None: it is not said there."""

    field: str
    before: str | None = None
    after: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change, thought through and not begun."""

    kind: str  # create, deploy, upgrade, configure, rollback, migrate, prune ...
    target: str  # jails/<jail>
    steps: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = msgspec.field(name="findings", default=())  # as in `Problem`
    from_generation: int = 0
    to_generation: int = 0
    base: str = ""
    release: str = ""  # app/version
    from_base: str = ""  # what the jail is on; empty for a new one
    from_release: str = ""
    changes: tuple[FieldChange, ...] = ()  # of its spec, beside base and release
    accepted: tuple[Accepted, ...] = ()  # what somebody accepted of it; no errors any more
    frees: int = 0  # bytes that a prune frees: an estimate
    unchanged: bool = False  # what is asked for is there: nothing would be done

    @property
    def refused(self) -> bool:
        """Whether a problem stops it."""
        return bool(errors(self.problems))

    def require_clean(self) -> None:
        """Raise `FailedPreconditionError` (PLAN_REFUSED) with the problems if one of them stops the change."""
        stops = errors(self.problems)
        if stops:
            raise FailedPreconditionError(
                "PLAN_REFUSED",
                f"{self.kind} of {self.target} is refused: {stops[0].message}"
                + (f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""),
                hint=(stops[0].hint if len(stops) == 1 else "") or "see the problems; nothing was changed",
                resource=self.target,
                problems=self.problems,
            )
