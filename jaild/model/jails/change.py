"""The four changes, as what they make of the current spec. Each sets its own axis and leaves the others as they are.

The axis base is the base, and whether the jail follows a channel. What the channel names is asked when that axis is
set, and at no other change: a release that is deployed does not bring a base along.

A creation is what makes a jail's first generation, of no earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.etc.tree import Tree
from jaild.model.jails.redaction import restored
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.problems import Accepted, Plan, Problem

SHORTEST_CONFIRM = 1.0  # seconds
LONGEST_CONFIRM = 7 * 86400.0


class Axis(StrEnum):
    """What moves independently."""

    ALL = ""
    BASE = "base"
    APP = "app"
    SPEC = "spec"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The jail that a new one is a copy of, as it was: what the copy's configuration is made of, less its identity."""

    base: str
    release: str  # app/version; empty for a jail of the base alone
    etc: Tree
    local_etc: Tree
    step: str  # of the plan: how the data come
    ancestor: Tree | None = None  # what `etc` was made of, where that is of no base: another tool's release had it
    cloned_from: str = ""  # the original's own dataset, if the data are clones of its
    keeps_identity: bool = False  # the copy takes its place: machine-id and host keys go with it
    accepted: tuple[Accepted, ...] = ()  # of its generation
    problems: tuple[Problem, ...] = ()  # what else its plan has to tell


@dataclass(frozen=True)
class Draft:
    """What is wanted: a new generation with `spec`, or an older one (`cut_to`) as it is."""

    kind: str
    spec: JailSpec
    base: str  # that it runs on; empty for what the spec's channel names
    cut_to: int = 0
    staged: bool = False  # the generation for it is there: it was staged, and nothing that it was made of has changed
    force: bool = False  # a new generation is wanted also if it would be as the active one
    origin: Origin | None = None  # of a new jail that is a copy of another one
    stopped: bool = False  # a new jail is not started

    def is_met_by(self, current: Generation) -> bool:
        """Whether the active generation is what is wanted, so that there is nothing to change."""
        return not (self.force or self.cut_to) and (self.spec, self.base) == (current.spec, current.base)


@dataclass(frozen=True)
class Deploy:
    """Another release."""

    release: str
    force: bool = False  # also if nothing changes
    kind = "deploy"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft."""
        del older
        return Draft(self.kind, msgspec.structs.replace(current.spec, app=self.release), current.base, force=self.force)


@dataclass(frozen=True)
class Upgrade:
    """Another base: the one that `channel` names, which the jail then follows, or `base` alone.

    With both it follows the channel, and is on that base whatever the channel names.
    """

    base: str = ""
    channel: str = ""
    force: bool = False  # also if nothing changes
    kind = "upgrade"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft."""
        del older
        named = "" if self.channel else self.base
        spec = msgspec.structs.replace(current.spec, base=named, channel=self.channel or None)
        return Draft(self.kind, spec, self.base, force=self.force)


@dataclass(frozen=True)
class Configure:
    """Another spec on the same base and app."""

    spec: JailSpec
    force: bool = False  # also if nothing changes
    kind = "configure"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft, with values that the caller has redacted as the jail has them.

        `InvalidArgumentError` (OTHER_AXIS) if base, channel or app differ from the current ones.
        """
        del older
        for axis, mine, theirs, command in (
            ("base", current.spec.base, self.spec.base, "upgrade"),
            ("channel", current.spec.channel, self.spec.channel, "upgrade"),
            ("app", current.spec.app, self.spec.app, "deploy"),
        ):
            if mine != theirs:
                raise InvalidArgumentError(
                    "OTHER_AXIS",
                    f"the spec says {axis} {theirs or 'none'}, the jail is on {mine or 'none'}",
                    hint=f"configure leaves the {axis} alone: use {command} to change it",
                    detail={"field": f"$.{axis}"},
                )
        return Draft(self.kind, restored(self.spec, current.spec), current.base, force=self.force)


@dataclass(frozen=True)
class Rollback:
    """Back to generation `to` (0: the newest that differs), whole or on one axis.

    `anew`: by a generation that is made as that one is, as what is staged must be.
    """

    to: int = 0
    axis: Axis = Axis.ALL
    anew: bool = False
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
                hint="name an older one; to list them: jailctl jail generations NAME",
            )
        if not self._differs(target, current):
            raise self._nothing(f"generation {target.number} does not differ")
        if self.axis is Axis.ALL:
            return Draft(self.kind, target.spec, target.base, cut_to=0 if self.anew else target.number)
        now, then = current.spec, target.spec
        spec = {
            Axis.BASE: lambda: msgspec.structs.replace(now, base=then.base, channel=then.channel),
            Axis.APP: lambda: msgspec.structs.replace(now, app=then.app),
            Axis.SPEC: lambda: msgspec.structs.replace(then, base=now.base, channel=now.channel, app=now.app),
        }[self.axis]()
        return Draft(self.kind, spec, target.base if self.axis is Axis.BASE else current.base)

    def _named(self, older: Mapping[int, Generation]) -> Generation:
        try:
            return older[self.to]
        except KeyError:
            known = ", ".join(str(number) for number in sorted(older)) or "none"
            raise NotFoundError(
                "GENERATION_NOT_FOUND",
                f"there is no generation {self.to} to go back to",
                hint=f"there are: {known}",
            ) from None

    def _newest_other(self, current: Generation, older: Mapping[int, Generation]) -> Generation:
        for number in sorted((n for n in older if n < current.number), reverse=True):
            if self._differs(older[number], current):
                return older[number]
        raise self._nothing(f"no generation before {current.number} differs")

    def _nothing(self, what: str) -> FailedPreconditionError:
        return FailedPreconditionError(
            "NOTHING_TO_ROLL_BACK",
            what + (f" in its {self.axis}" if self.axis else ""),
            hint="name a generation; to list them: jailctl jail generations NAME",
        )

    def _differs(self, a: Generation, b: Generation) -> bool:
        part = _BY_AXIS.get(self.axis)
        return part is None or part(a) != part(b)


def _rest(spec: JailSpec) -> JailSpec:
    """Return what of a spec is on neither of the axes base and app."""
    return msgspec.structs.replace(spec, base="", channel=None, app=None)


@dataclass(frozen=True)
class Revert:
    """Back to what was before a change that was not confirmed: as it was, and without asking how healthy it is."""

    to: int
    kind = "revert"

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft. `NotFoundError` (GENERATION_NOT_FOUND)."""
        return Rollback(self.to).apply(current, older)


@dataclass(frozen=True)
class Cutover:
    """The change that was staged, carried out.

    If another generation became the active one since, the two are merged by axis: `staged` moves those on which it
    differs from what it was made of, and on these nothing else may have moved meanwhile.
    """

    staged: Generation
    kind = "cutover"

    @property
    def axis(self) -> Axis:
        """Whose change it is."""
        return AXES.get(self.staged.reason, Axis.ALL)

    def apply(self, current: Generation, older: Mapping[int, Generation]) -> Draft:
        """Return the draft. `FailedPreconditionError` (STAGED_OUTDATED)."""
        staged, origin = self.staged, older.get(self.staged.parent)
        if staged.parent == current.number:
            return Draft(staged.reason, staged.spec, staged.base, staged=True)
        if origin is None:
            raise self._outdated(f"generation {staged.parent}, which it was made of, is gone")
        moved = [axis for axis in _BY_AXIS if _BY_AXIS[axis](staged) != _BY_AXIS[axis](origin)]
        for axis in moved:
            if _BY_AXIS[axis](current) not in (_BY_AXIS[axis](origin), _BY_AXIS[axis](staged)):
                raise self._outdated(f"generation {current.number} has another {axis} by now")
        of_base, of_app, of_spec = (staged if axis in moved else current for axis in _BY_AXIS)
        spec = msgspec.structs.replace(
            of_spec.spec, base=of_base.spec.base, channel=of_base.spec.channel, app=of_app.spec.app
        )
        return Draft(staged.reason, spec, of_base.base)

    def _outdated(self, why: str) -> FailedPreconditionError:
        return FailedPreconditionError(
            "STAGED_OUTDATED",
            f"generation {self.staged.number}, which is staged, does not fit any more: {why}",
            hint="drop it with jail unstage; if it is still wanted, ask for the change again",
        )


_BY_AXIS: Mapping[Axis, Callable[[Generation], object]] = {
    Axis.BASE: lambda generation: (generation.base, generation.spec.channel),
    Axis.APP: lambda generation: generation.spec.app,
    Axis.SPEC: lambda generation: _rest(generation.spec),
}
AXES = {"deploy": Axis.APP, "upgrade": Axis.BASE, "configure": Axis.SPEC}  # that a change of the kind moves


@dataclass(frozen=True)
class Create:
    """A new jail, which runs unless it is to be `stopped`.

    A copy of another one (`origin`) is made on the `base` that it is on, whatever its channel names by now.
    """

    spec: JailSpec
    stopped: bool = False
    kind: str = "create"  # or clone, import
    base: str = ""
    origin: Origin | None = None

    def draft(self) -> Draft:
        """Return the draft."""
        return Draft(self.kind, self.spec, self.base or self.spec.base, origin=self.origin, stopped=self.stopped)


AxisChange = Deploy | Upgrade | Configure  # what asks for a state of one axis, which may be there
Change = AxisChange | Rollback | Revert | Cutover


def require_confirm_within(seconds: float) -> None:
    """Raise `InvalidArgumentError` (INVALID_DURATION) unless a change may wait so long for its confirmation."""
    if not SHORTEST_CONFIRM <= seconds <= LONGEST_CONFIRM:
        raise InvalidArgumentError(
            "INVALID_DURATION",
            f"confirm_within is {seconds:g} s",
            hint=f"give {SHORTEST_CONFIRM:g} seconds to {LONGEST_CONFIRM / 86400:g} days",
        )


def to_be_confirmed(plan: Plan, seconds: float) -> Plan:
    """Return the plan of a change that waits so many seconds for its confirmation."""
    step = f"back to generation {plan.from_generation} after {seconds:g} s, unless it is confirmed"
    return msgspec.structs.replace(plan, steps=(*plan.steps, step))


def to_be_staged(plan: Plan) -> Plan:
    """Return the plan of a change that is only staged."""
    steps = (plan.steps[0], "mount it to see that it can be", "keep it until it is cut over to: nothing is stopped")
    return msgspec.structs.replace(plan, steps=steps)


def require_replaceable(name: str, staged: Generation | None, kind: str) -> None:
    """Raise `FailedPreconditionError` (OTHER_CHANGE_STAGED) if something is staged that moves another axis."""
    if staged is None or AXES.get(staged.reason) is AXES.get(kind):
        return
    raise FailedPreconditionError(
        "OTHER_CHANGE_STAGED",
        f"generation {staged.number} of jail {name} is staged, by {staged.actor} ({staged.reason})",
        hint=f"cut over to it: jailctl jail cutover {name}; or drop it: jailctl jail unstage {name}; then ask again",
        resource=f"jails/{name}",
    )
