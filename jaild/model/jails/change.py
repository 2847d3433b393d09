"""The four changes, as what they make of the current spec. Each sets its own axis and leaves the others as they are.

A creation is what makes a jail's first generation, of no earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.jails.redaction import restored
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation


class Axis(StrEnum):
    """What moves independently."""

    ALL = ""
    BASE = "base"
    APP = "app"
    SPEC = "spec"


@dataclass(frozen=True)
class Draft:
    """What is wanted: a new generation with `spec`, or an older one (`cut_to`) as it is."""

    kind: str
    spec: JailSpec
    cut_to: int = 0


@dataclass(frozen=True)
class Deploy:
    """Another release."""

    release: str
    kind = "deploy"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft."""
        del older
        return Draft(self.kind, msgspec.structs.replace(current.spec, app=self.release))


@dataclass(frozen=True)
class Upgrade:
    """Another base."""

    base: str
    kind = "upgrade"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft."""
        del older
        return Draft(self.kind, msgspec.structs.replace(current.spec, base=self.base))


@dataclass(frozen=True)
class Configure:
    """Another spec on the same base and app."""

    spec: JailSpec
    kind = "configure"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft, with values that the caller has redacted as the jail has them.

        `InvalidArgumentError` (OTHER_AXIS) if base or app differ from the current ones.
        """
        del older
        for axis, mine, theirs, command in (
            ("base", current.spec.base, self.spec.base, "upgrade"),
            ("app", current.spec.app, self.spec.app, "deploy"),
        ):
            if mine != theirs:
                raise InvalidArgumentError(
                    "OTHER_AXIS",
                    f"the spec says {axis} {theirs or 'none'}, the jail is on {mine or 'none'}",
                    remedy=f"configure leaves the {axis} alone: use {command} to change it",
                    detail={"field": f"$.{axis}"},
                )
        return Draft(self.kind, restored(self.spec, current.spec))


@dataclass(frozen=True)
class Rollback:
    """Back to generation `to` (0: the newest that differs), whole or on one axis."""

    to: int = 0
    axis: Axis = Axis.ALL
    kind = "rollback"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft.

        `FailedPreconditionError` (NOTHING_TO_ROLL_BACK, GENERATION_ACTIVE), `NotFoundError` (GENERATION_NOT_FOUND).
        """
        target = self._named(older) if self.to else self._newest_other(current, older)
        if target.number == current.number:
            raise FailedPreconditionError(
                "GENERATION_ACTIVE",
                f"generation {target.number} is the active one",
                remedy="name an older one: list the generations",
            )
        if self.axis is Axis.ALL:
            return Draft(self.kind, target.spec, cut_to=target.number)
        spec = {
            Axis.BASE: lambda: msgspec.structs.replace(current.spec, base=target.spec.base),
            Axis.APP: lambda: msgspec.structs.replace(current.spec, app=target.spec.app),
            Axis.SPEC: lambda: msgspec.structs.replace(target.spec, base=current.spec.base, app=current.spec.app),
        }[self.axis]()
        return Draft(self.kind, spec)

    def _named(self, older: Mapping[int, Generation]) -> Generation:
        try:
            return older[self.to]
        except KeyError:
            known = ", ".join(str(number) for number in sorted(older)) or "none"
            raise NotFoundError(
                "GENERATION_NOT_FOUND",
                f"there is no generation {self.to} to go back to",
                remedy=f"there are: {known}",
            ) from None

    def _newest_other(self, current: Generation, older: Mapping[int, Generation]) -> Generation:
        for number in sorted((n for n in older if n < current.number), reverse=True):
            if self._differs(older[number].spec, current.spec):
                return older[number]
        raise FailedPreconditionError(
            "NOTHING_TO_ROLL_BACK",
            f"no generation before {current.number} differs" + (f" in its {self.axis}" if self.axis else ""),
            remedy="name a generation: list them first",
        )

    def _differs(self, a: JailSpec, b: JailSpec) -> bool:
        match self.axis:
            case Axis.ALL:
                return True
            case Axis.BASE:
                return a.base != b.base
            case Axis.APP:
                return a.app != b.app
            case Axis.SPEC:
                return msgspec.structs.replace(a, base="", app=None) != msgspec.structs.replace(b, base="", app=None)


@dataclass(frozen=True)
class Create:
    """A new jail, which runs unless it is to be `stopped`."""

    spec: JailSpec
    stopped: bool = False
    kind = "create"

    def draft(self) -> Draft:
        """Return the draft."""
        return Draft(self.kind, self.spec)


Change = Deploy | Upgrade | Configure | Rollback
