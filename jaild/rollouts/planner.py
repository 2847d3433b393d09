"""What a rollout would do: which jails, in which waves, and each one's own plan. Nothing is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.jails.service import Jails
from jaild.model.errors import FailedPreconditionError, JaildError, PermissionDeniedError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Axis
from jaild.model.layers.channels import channel_of
from jaild.model.layers.records import Generation
from jaild.model.migration.budget import Parts
from jaild.model.migration.forecast import usual
from jaild.model.problems import errors
from jaild.model.rollouts.decision import MemberState
from jaild.model.rollouts.record import Rollout, Step, change_to, is_gone, layer_of
from jaild.model.rollouts.waves import Target, arrange, duration
from jaild.transfer.hosts import apart

_AT_ONCE = 4  # plans
_LEAST = 1.0  # seconds that a change takes beside its downtime and its health checks


class RolloutPlanner:
    """Plans rollouts."""

    def __init__(self, engine: Engine, jails: Jails) -> None:
        self._inventory = engine.inventory
        self._jails = jails

    def aim(self, rollout: Rollout, undone: Rollout | None) -> Rollout:
        """Return a rollout with its axis, and the layer that it moves jails to. Errors as the inventory's look-ups."""
        spec = rollout.spec
        if undone is not None:
            return msgspec.structs.replace(rollout, axis=undone.axis)
        if spec.release:
            self._inventory.release(spec.release)
            return msgspec.structs.replace(rollout, axis=Axis.APP, target=spec.release)
        base = spec.base or channel_of(spec.channel, self._inventory.channels).base
        self._inventory.base(base)
        return msgspec.structs.replace(rollout, axis=Axis.BASE, target=base)

    async def plan(self, rollout: Rollout, undone: Rollout | None) -> Rollout:
        """Return a rollout that `aim` has aimed with a step for each jail that is to move; `undone`: what it undoes.

        A step whose jail's own plan has errors is REFUSED, with the first of them. `FailedPreconditionError`
        (NOTHING_TO_ROLL_OUT), `PermissionDeniedError` if a change is not the caller's to make.
        """
        steps = {step.name: step for step in (self._forward(rollout) if undone is None else self._backward(undone))}
        if not steps:
            raise FailedPreconditionError(
                "NOTHING_TO_ROLL_OUT",
                "no jail of this host is to be moved: none was chosen, or all are where they are to go",
                hint="see which jails there are, and what they run: jailctl jail ls",
            )
        planned = await self._with_plans(rollout, steps.values())
        moving = [Target(step.name, step.group) for step in planned if step.state is MemberState.WAITING]
        places = arrange(moving, rollout.spec.policy)
        by_name = {step.name: step for step in planned}
        ordered = [msgspec.structs.replace(by_name[place.name], wave=place.wave) for place in places]
        refused = [step for step in planned if step.state is MemberState.REFUSED]
        seconds = {step.name: self._seconds(step) for step in ordered}
        return msgspec.structs.replace(
            rollout,
            steps=(*ordered, *refused),
            duration=duration(places, rollout.spec.policy, seconds),
        )

    # -- which jails

    def _forward(self, rollout: Rollout) -> Iterable[Step]:
        for entry, generation in self._chosen(rollout):
            before = layer_of(generation, rollout.axis)
            if before != rollout.target:
                yield self._step(entry, generation, before, rollout.target)

    def _chosen(self, rollout: Rollout) -> Iterable[tuple[JailEntry, Generation]]:
        """Yield the jails that the rollout is of, also those that cannot be changed now: their plans say why.

        A name that is none of a jail of this host's is refused, with its reason.
        """
        spec = rollout.spec
        names = sorted(set(spec.jails)) if spec.jails else sorted(self._inventory.jails)
        for name in names:
            entry = self._inventory.jail(name)
            refusal = self._refusal(name)
            if refusal is not None and (is_gone(refusal.reason) or entry.generation is None):
                if spec.jails:
                    raise refusal
                continue
            if (generation := entry.generation) is None:
                continue
            follows = not spec.channel or generation.spec.channel == spec.channel
            runs_app = not spec.release or _app(generation.release) == _app(spec.release)
            if follows and runs_app and spec.labels.items() <= generation.spec.labels.items():
                yield entry, generation

    def _refusal(self, name: str) -> JaildError | None:
        """Return why a jail cannot be changed now; None if it can."""
        try:
            self._inventory.owned(name, Intent.CHANGE)
        except JaildError as error:
            return error
        return None

    def _backward(self, undone: Rollout) -> Iterable[Step]:
        """Yield a step back for each jail that the earlier rollout moved, and that is still where it took it to."""
        for step in undone.steps:
            entry = self._inventory.jails.get(step.name)
            if not step.moved or entry is None or entry.generation is None:
                continue
            refusal = self._refusal(step.name)
            gone = refusal is not None and is_gone(refusal.reason)
            if gone or layer_of(entry.generation, undone.axis) != step.target:
                continue
            back = self._step(entry, entry.generation, step.target, step.before)
            yield msgspec.structs.replace(back, target_number=step.number)

    def _step(self, entry: JailEntry, generation: Generation, before: str, target: str) -> Step:
        return Step(
            name=entry.name,
            wave=1,
            group=apart(generation.spec),
            before=before,
            target=target,
            number=generation.number,
            expected=self._downtime(entry),
        )

    # -- each one's plan, and how long it takes

    async def _with_plans(self, rollout: Rollout, steps: Iterable[Step]) -> list[Step]:
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def planned(step: Step) -> Step:
            async with at_once:
                return await self._with_plan(rollout, step)

        return list(await asyncio.gather(*(planned(step) for step in steps)))

    async def _with_plan(self, rollout: Rollout, step: Step) -> Step:
        try:
            owned = self._inventory.owned(step.name, Intent.CHANGE)
            older = (await self._inventory.generations(owned.entry)).get(step.target_number)
            change = change_to(step.target, rollout.axis, owned.generation, older)
            plan = await self._jails.plan(step.name, change, caller=rollout.on_behalf)
        except PermissionDeniedError:
            raise
        except JaildError as error:
            return _refused(step, error.reason, error.message, error.hint)
        step = msgspec.structs.replace(step, problems=plan.problems)
        found = errors(plan.problems)
        return _refused(step, found[0].code, found[0].message, found[0].hint) if found else step

    def _downtime(self, entry: JailEntry) -> float | None:
        """Return the seconds that a jail is expected to be down; None if neither it nor others were seen."""
        if entry.run is None or not entry.run.running:
            return 0.0
        others = [each.took for each in self._inventory.jails.values()]
        start = usual(entry.took, others).start
        stop = entry.took.stop if entry.took.stop is not None else _median_stop(others)
        return None if start is None or stop is None else stop + start

    def _seconds(self, step: Step) -> float:
        entry = self._inventory.jail(step.name)
        ready = entry.generation.spec.readiness if entry.generation is not None else None
        gate = ready.interval * (ready.successes - 1) if ready is not None else 0.0
        return _LEAST + (step.expected or 0.0) + gate


def _refused(step: Step, reason: str, message: str, hint: str) -> Step:
    return msgspec.structs.replace(
        step, state=MemberState.REFUSED, expected=None, reason=reason, message=message, hint=hint
    )


def _median_stop(took: Iterable[Parts]) -> float | None:
    known = sorted(parts.stop for parts in took if parts.stop is not None)
    return known[len(known) // 2] if known else None


def _app(release: str) -> str:
    return release.partition("/")[0]
