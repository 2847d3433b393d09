"""Carries a rollout over hosts out: asks what is to be done, writes it down, tells hosts, and hears what they say.

What is to be done with a host is on disk before the host is told of it. A driver that ends, whenever that is, is
followed by another, which asks the hosts that were told something how they stand, before it tells them anything.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jaild.model.rollouts import fleet
from jaild.model.rollouts.decision import ENDED, IN_FLIGHT, Decision, MemberState, RolloutState
from jaild.model.rollouts.fleet import FleetRollout, HostStep, Look, Seen
from jaild.salt.rollout.messages import BATCH, Answer, Call, Transport, Verb
from jaild.salt.rollout.store import Store

_TAKEN_BACK = frozenset({MemberState.UNDOING, MemberState.STUCK})


@dataclass(frozen=True)
class Pace:
    """How often hosts are asked. Seconds."""

    look: float = 10.0  # between two questions to a host that is changed or watched
    silent: float = 60.0  # and to one that does not answer
    patience: float = 30.0  # until a question without an answer is put again


class Driver:
    """Carries one out. Whoever has one holds the rollout's lock."""

    def __init__(self, store: Store, transport: Transport, rollout: str, pace: Pace = Pace()) -> None:  # frozen
        self._store = store
        self._transport = transport
        self._pace = pace
        self._id = rollout
        self._head = store.rollout(rollout)
        self._steps = {step.name: step for step in store.steps(rollout)}
        self._seen: dict[str, Seen] = {}
        self._asked: dict[str, tuple[int, float]] = {}  # by host: the last call, and when
        self._waits: set[str] = set()  # hosts whose last call has no answer
        self._sent: Counter[int] = Counter()  # jobs by wave, since they were last written
        self._since = transport.now()  # what hosts did not say before that, nobody had asked them
        self._until: float | None = 0.0  # when it is to be decided again
        self._changed: dict[str, HostStep] = {}
        self._round = 0.0  # when hosts were asked last how they stand
        # Of thousands of hosts few are under way or silent.
        self._under_way = {name for name, step in self._steps.items() if step.state in IN_FLIGHT}
        self._silent = {name for name, step in self._steps.items() if step.silent}

    def run(self, tell: Callable[[FleetRollout, Decision], None] = lambda *_: None) -> FleetRollout:
        """Return when it is over, or paused and nothing is under way. `tell` is told of what is decided."""
        answers: Iterable[Answer] = ()
        while True:
            told = self._write(answers, tell)
            if self._head.over or self._rests():
                return self._head
            for verb, names in told:
                self._tell(verb, names)
            answers = self._transport.receive(min(self._ask(), math.inf if self._until is None else self._until))

    # -- what is to be done

    def _write(
        self, answers: Iterable[Answer], tell: Callable[[FleetRollout, Decision], None]
    ) -> list[tuple[Verb, tuple[str, ...]]]:
        """Take note of answers and words, decide, and write all of it down; return who is to be told what."""
        before, now = self._head, self._transport.now()
        made: list[Decision] = []
        with self._store.writing():
            for word, actor in self._store.take_words(self._id):
                head, steps = fleet.heeded(self._head, [*self._steps.values()], word, actor, now)
                self._head = head
                self._put(*steps)
            heard = Counter(wave for answer in answers for wave in self._take(answer, now))
            for name in [*self._under_way]:
                self._put(fleet.silenced(self._steps[name], self._head.spec.policy, now, self._since))
            if self._changed or self._head is not before or (self._until is not None and now >= self._until):
                made = self._decide(now)
            if self._changed or self._head != before:
                self._store.put(self._head, self._changed.values())
                self._changed.clear()
            for wave in {*heard, *self._sent}:
                self._store.count(self._id, wave, self._sent[wave], heard[wave])
            self._sent.clear()
        for decision in made:
            tell(self._head, decision)
        begun = tuple(name for decision in made for name in decision.start)
        undone = tuple(name for decision in made for name in decision.undo)
        return [(Verb.BEGIN, begun), (Verb.BACK, undone)]

    def _decide(self, now: float) -> list[Decision]:
        """Decide until nothing more is to be done now."""
        made: list[Decision] = []
        while self._head.state not in ENDED:
            decision = fleet.next_decision(self._head, [*self._steps.values()], self._seen, now, self._since)
            self._until = decision.until
            message = decision.breach or self._head.message
            self._head = msgspec.structs.replace(self._head, state=decision.state, message=message)
            failed = {verdict.name: verdict.message for verdict in decision.failed}
            for name in {*failed, *decision.passed, *decision.start, *decision.undo}:
                self._put(fleet.decided(self._steps[name], decision, failed.get(name, ""), now))
            if not decision.acts:
                break
            made.append(decision)
        if self._head.state in ENDED and not self._head.over:
            self._head = msgspec.structs.replace(self._head, finished=now)
        return made

    def _rests(self) -> bool:
        """Whether nothing happens before somebody says a word."""
        return self._head.state is RolloutState.PAUSED and self._under_way <= self._silent and self._until is None

    def _put(self, *steps: HostStep) -> None:
        for step in steps:
            if self._steps[step.name] is not step:
                self._steps[step.name] = self._changed[step.name] = step
                (self._under_way.add if step.state in IN_FLIGHT else self._under_way.discard)(step.name)
                (self._silent.add if step.silent else self._silent.discard)(step.name)

    # -- what hosts say

    def _take(self, answer: Answer, now: float) -> Iterator[int]:
        """Take note of an answer; yield the wave of its host."""
        step = self._steps.get(answer.host)
        if step is None or answer.host not in self._waits or self._asked[answer.host][0] != answer.call:
            return  # of a question that was put again, or about what is no more
        self._waits.discard(answer.host)
        yield step.wave
        try:
            look = _look(answer)
        except ValueError as error:  # its minion answers, and its daemon does not
            self._put(msgspec.structs.replace(step, message=str(error)))
            return
        self._seen[answer.host] = Seen(now, look)
        self._put(fleet.observed(step, look, now))

    # -- what hosts are told

    def _ask(self) -> float:
        """Ask hosts how they stand, all together when it is time; return when it is next."""
        now = self._transport.now()
        if now >= self._round + self._pace.look:
            self._round = now
            self._tell(Verb.LOOK, sorted(name for name in self._under_way | self._silent if self._is_due(name, now)))
        return self._round + self._pace.look

    def _is_due(self, name: str, now: float) -> bool:
        _, last = self._asked.get(name, (0, -math.inf))
        if name in self._silent:
            return now >= last + self._pace.silent
        return name not in self._waits or now >= last + self._pace.patience

    def _tell(self, verb: Verb, names: Iterable[str]) -> None:
        now, alike = self._transport.now(), defaultdict[tuple[int, int | None], list[str]](list)
        for name in names:
            step = self._steps[name]
            alike[step.attempts, step.backs if step.state in _TAKEN_BACK else None].append(name)
        for (attempt, back), group in alike.items():
            for batch in batches(group):
                call = Call(verb, self._arguments(verb, attempt, back, batch))
                number = self._transport.send(call, batch)
                self._sent[self._steps[batch[0]].wave] += 1
                for name in batch:
                    self._asked[name] = (number, now)
                    self._waits.add(name)

    def _arguments(self, verb: Verb, attempt: int, back: int | None, names: Iterable[str]) -> dict[str, Any]:
        told: dict[str, Any] = {"rollout": self._id, "attempt": attempt}
        if verb is Verb.BEGIN:
            return {**told, "spec": self._head.spec.each, "expires": self._transport.now() + fleet.EXPIRY}
        if verb is Verb.BACK:
            known = {name: self._steps[name].rollout for name in names if self._steps[name].rollout}
            return {**told, "back": back, "known": known}
        return {**told, "back": back}


def batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield names in parts that a job may have."""
    return (names[at : at + BATCH] for at in range(0, len(names), BATCH))


def _look(answer: Answer) -> Look:
    if answer.error:
        raise ValueError(answer.error)
    return msgspec.convert(answer.data, Look)
