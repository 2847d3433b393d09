"""A master's rollouts: planned, begun, carried out by one process at a time, and steered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.problems import Problem
from jaild.model.rollouts import fleet
from jaild.model.rollouts.decision import IN_FLIGHT, Decision, RolloutState
from jaild.model.rollouts.fleet import FleetRollout, HostStep, Word
from jaild.salt.rollout import planning
from jaild.salt.rollout.driver import Driver, Pace, batches
from jaild.salt.rollout.messages import BATCH, Answer, Call, HostPlan, JailRuns, Transport, Verb
from jaild.salt.rollout.planning import Planned
from jaild.salt.rollout.store import Store, UnknownRolloutError

KEPT = 50  # rollouts that are over; older ones are forgotten
_AT_ONCE = 4 * BATCH  # hosts that are asked for a plan, or for what they run, at a time
_PLAN_SECONDS = 120.0  # that a host may take for its plan
_RUNS_SECONDS = 30.0

Connect = Callable[[str], AbstractContextManager[Transport]]


class Rollouts:
    """The rollouts of a master. `connect` opens the way to hosts for one of them."""

    def __init__(self, store: Store, connect: Connect, pace: Pace = Pace()) -> None:  # noqa: B008  # frozen
        self._store = store
        self._connect = connect
        self._pace = pace

    def ask_plans(self, rollout: FleetRollout, hosts: Sequence[str]) -> dict[str, HostPlan]:
        """Return what each host's own rollout would do."""
        call = Call(Verb.PLAN, {"spec": rollout.spec.each})
        with self._connect(rollout.id) as transport:
            answers = {answer.host: answer for answer in gather(transport, dict.fromkeys(hosts, call), _PLAN_SECONDS)}
        silence = Answer(0, "", error="no answer")
        return {host: _plan(answers.get(host, silence)) for host in sorted(hosts)}

    def in_the_way(self, rollout: str, steps: Sequence[HostStep]) -> tuple[Problem, ...]:
        """Find other rollouts that are not over and have a host or a rack of these steps (ROLLOUT_UNDER_WAY)."""
        others = (other.id for other in self._store.rollouts() if other.id != rollout)
        known = ((other, self._store.steps(other)) for other in others if self._lives(other))
        damaged = (planning.unreadable(error) for error in self._store.damaged().values())
        return (*planning.in_the_way(steps, known), *damaged)

    def _lives(self, rollout: str) -> bool:
        return not self._store.rollout(rollout).over or bool(self._store.words(rollout))

    def accept(self, planned: Planned, plans: Mapping[str, HostPlan]) -> None:
        """Write a new one down. `FailedPreconditionError` (ROLLOUT_REFUSED) if something was found against it."""
        rollout = planned.rollout
        members = {step.name for step in planned.steps}
        with self._store.writing():  # so that of two at once the second sees the first
            if errors := (*planned.errors, *self.in_the_way(rollout.id, planned.steps)):
                raise FailedPreconditionError(
                    "ROLLOUT_REFUSED",
                    "nothing was begun",
                    hint="see to what was found, and start again",
                    problems=errors,
                )
            self._store.add(rollout, planned.steps)
            notes = {host: msgspec.to_builtins(plan) for host, plan in plans.items() if host in members}
            self._store.note(rollout.id, "plan", notes)
            over = [each for each in self._store.rollouts() if each.over]
            for old in over[KEPT:]:
                self._store.forget(old.id)

    def carry_out(self, rollout: str, tell: Callable[[FleetRollout, Decision], None] = lambda *_: None) -> bool:
        """Carry one out until it is over, or waits for a word; return False at once if another process does."""
        self.get(rollout)
        while True:
            with self._store.carrying_out(rollout) as alone:
                if not alone:
                    return False
                with self._connect(rollout) as transport:
                    if Driver(self._store, transport, rollout, self._pace).run(tell).over:
                        self._note_runs(rollout, transport)
            if not self._store.words(rollout):  # nobody left one for us after we had looked, and saw the lock taken
                return True

    def say(self, rollout: str, word: Word, actor: str) -> None:
        """Leave a word for who carries it out. `FailedPreconditionError` (ROLLOUT_STATE) if it cannot be heeded.

        (ROLLOUT_UNDER_WAY) if it is over, and another one has a host or a rack of it by now.
        """
        known = self.get(rollout)
        if not fleet.may(known.state, word):
            raise FailedPreconditionError(
                "ROLLOUT_STATE", f"rollout {rollout} is {known.state}: it cannot heed {word}", hint="see its status"
            )
        with self._store.writing():
            steps = self._store.steps(rollout) if not self._lives(rollout) else []
            if against := self.in_the_way(rollout, steps):
                found = against[0]
                raise FailedPreconditionError(found.code, found.message, hint=found.hint)
            self._store.say(rollout, word, actor)

    def get(self, rollout: str) -> FleetRollout:
        """Return one, without its hosts. `NotFoundError` (ROLLOUT_NOT_FOUND)."""
        try:
            return self._store.rollout(rollout)
        except UnknownRolloutError:
            raise NotFoundError(
                "ROLLOUT_NOT_FOUND", f"this master knows of no rollout {rollout}", hint=f"the last {KEPT} are kept"
            ) from None

    def unattended(self) -> Iterator[str]:
        """Yield those that nobody carries out, and that do not wait for a word; oldest first."""
        for rollout in reversed(self._store.rollouts()):
            if self._store.carried_out_by(rollout.id) is None and self._goes_on(rollout):
                yield rollout.id

    def forget(self, rollout: str) -> None:
        """Remove one that is over, or cannot be read. `FailedPreconditionError` (ROLLOUT_STATE) if it is neither."""
        with self._store.writing():
            if rollout not in self._store.damaged() and not self.get(rollout).over:
                raise FailedPreconditionError(
                    "ROLLOUT_STATE",
                    f"rollout {rollout} is not over",
                    hint=f"end it before: salt-run jaild_rollout.cancel {rollout}",
                )
            self._store.forget(rollout)

    def _goes_on(self, rollout: FleetRollout) -> bool:
        if self._store.words(rollout.id):
            return True
        if rollout.over:
            return False
        steps = self._store.steps(rollout.id)
        flies = any(step.state in IN_FLIGHT and not step.silent for step in steps)
        return rollout.state is not RolloutState.PAUSED or flies

    def runs(self, rollout: str) -> tuple[dict[str, list[JailRuns]], list[str]]:
        """Return what jails run where, once it is over: by host; and the hosts that have not said it.

        Those are asked now. What the others said when it ended is not asked for again.
        """
        if self.get(rollout).over and self._unknown(rollout):
            with self._connect(rollout) as transport:
                self._note_runs(rollout, transport)
        found = self._store.notes(rollout, "runs")
        return msgspec.convert(found, dict[str, list[JailRuns]]), sorted(self._unknown(rollout))

    def _unknown(self, rollout: str) -> dict[str, str]:
        """Return the hosts that have a rollout of their own, with its id, and have not said what they run."""
        noted = self._store.notes(rollout, "runs")
        steps = self._store.steps(rollout)
        return {step.name: step.rollout for step in steps if step.rollout and step.name not in noted}

    def _note_runs(self, rollout: str, transport: Transport) -> None:
        known = self._unknown(rollout)
        calls: dict[str, Call] = {}
        for batch in batches([*known]):
            call = Call(Verb.RUNS, {"rollout": rollout, "known": {name: known[name] for name in batch}})
            calls |= dict.fromkeys(batch, call)
        answers = gather(transport, calls, _RUNS_SECONDS)
        found = {answer.host: answer.data for answer in answers if not answer.error and _is_runs(answer.data)}
        with self._store.writing():
            self._store.note(rollout, "runs", found)


def gather(transport: Transport, calls: Mapping[str, Call], seconds: float) -> Iterator[Answer]:
    """Yield what hosts answer to a call each, with no more than so many asked at a time; who is silent is left out."""
    waiting = [*calls]
    asked: dict[str, tuple[int, float]] = {}  # by host: the call's number, and until when it may answer
    while waiting or asked:
        now = transport.now()
        asked = {host: (number, until) for host, (number, until) in asked.items() if now < until}
        while waiting and len(asked) < _AT_ONCE:
            call = calls[waiting[0]]
            batch = [host for host in waiting[:BATCH] if calls[host] is call]
            del waiting[: len(batch)]
            number = transport.send(call, batch)
            asked |= dict.fromkeys(batch, (number, now + seconds))
        if not asked:
            continue
        for answer in transport.receive(min(until for _, until in asked.values())):
            if asked.get(answer.host, (None, 0.0))[0] == answer.call:
                del asked[answer.host]
                yield answer


def _is_runs(data: Any) -> bool:
    try:
        msgspec.convert(data, list[JailRuns])
    except msgspec.ValidationError:  # of another version of jaild
        return False
    return True


def _plan(answer: Answer) -> HostPlan:
    if answer.error:
        return HostPlan(error=answer.error)
    try:
        return msgspec.convert(answer.data, HostPlan)
    except msgspec.ValidationError as error:  # of another version of jaild
        return HostPlan(error=str(error))
