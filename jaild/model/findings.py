"""What a change would do, and what was found that may stop it: typed, with its evidence."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.errors import FailedPreconditionError, told


class Severity(StrEnum):
    """How much a finding matters: an error stops the change before anything was touched."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that a plan's checks brought out.

    `code` is stable (MISSING_LIBRARY, MERGE_CONFLICT ...), `subject` the file, symbol or field it is about,
    `evidence` the lines that prove it, `remedy` what to do.
    """

    severity: Severity
    code: str
    message: str
    subject: str = ""
    remedy: str = ""
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Make its texts such as can be stored and sent: they name files that others have made."""
        for field in ("message", "subject", "remedy"):
            if not (text := getattr(self, field)).isascii():
                msgspec.structs.force_setattr(self, field, told(text))
        if not all(line.isascii() for line in self.evidence):
            msgspec.structs.force_setattr(self, "evidence", tuple(map(told, self.evidence)))


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings that stop a change."""
    return tuple(f for f in findings if f.severity is Severity.ERROR)


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change, thought through and not begun."""

    kind: str  # create, deploy, upgrade, configure, rollback, migrate
    target: str  # jails/<jail>
    steps: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    from_generation: int = 0
    to_generation: int = 0
    base: str = ""
    release: str = ""  # app/version

    @property
    def refused(self) -> bool:
        """Whether a finding stops it."""
        return bool(errors(self.findings))

    def require_clean(self) -> None:
        """Raise `FailedPreconditionError` (PLAN_REFUSED) with the findings if one of them stops the change."""
        stops = errors(self.findings)
        if stops:
            raise FailedPreconditionError(
                "PLAN_REFUSED",
                f"{self.kind} of {self.target} is refused: {stops[0].message}"
                + (f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""),
                remedy=stops[0].remedy or "see the findings; nothing was changed",
                resource=self.target,
                findings=self.findings,
            )
