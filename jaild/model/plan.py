"""What a change would do: the steps and findings that `validate_only` answers with."""

from __future__ import annotations

import msgspec

from jaild.model.errors import FailedPreconditionError
from jaild.model.findings import Finding, errors


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
