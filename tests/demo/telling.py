"""How a story is told: chapter after chapter, each with how it must end; what it did and saw goes into the report.

It knows nothing of where the hosts are: it talks to them by a `Fleet`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jaild.cli.output.human import duration
from tests.demo.fleet import Answer, Fleet, Result, Who, Writer
from tests.demo.screen import Screen
from tests.demo.table import Report, Step

_AT_ONCE = 4  # commands side by side


class StoryError(Exception):
    """Something is not as it should be; the story cannot go on."""


@dataclass(frozen=True)
class Chapter:
    """A step to come: how it must end, why it matters, and what is done."""

    name: str
    expected: Result
    why: str
    act: Callable[[], None]


class Telling:
    """What a story is told with. `report` grows step by step; `patience`: seconds for the client to be served again."""

    def __init__(self, fleet: Fleet, screen: Screen, patience: float) -> None:
        self.fleet = fleet
        self.screen = screen
        self.report = Report()
        self.writer: Writer | None = None
        self._patience = patience

    def tell(self, chapters: Sequence[Chapter]) -> None:
        """Go through all of them. Raises `StoryError` at the first that does not end as it should."""
        for number, chapter in enumerate(chapters, len(self.report.steps) + 1):
            self.screen.heading(number, chapter.name, chapter.why)
            self.report.steps.append(Step(chapter.name, chapter.expected))
            if self.writer is not None:
                self.writer.mark(chapter.name)
            try:
                chapter.act()
                require(self.step.right, f"{chapter.name} ended {self.step.result}")
                self._see_client()
            except StoryError:
                self.step.result = Result.FAILED if self.step.right else self.step.result
                raise

    @property
    def step(self) -> Step:
        """The present one."""
        return self.report.steps[-1]

    def do(self, who: Who, host: str, *words: str, expect: Result = Result.OK) -> Answer:
        """Carry out a part of the step: timed, shown, and required to end as expected."""
        with self.screen.waiting(_typed(who, host, words)):
            answer = self.fleet.jailctl(who, host, *words)
        self.step.seconds += answer.seconds
        self.step.result = answer.result
        if answer.downtime is not None:
            self.step.downtime_daemon = (self.step.downtime_daemon or 0.0) + answer.downtime
        self.screen.outcome(answer)
        _expect(answer, expect)
        return answer

    def do_all(self, who: Who, host: str, commands: Sequence[tuple[str, ...]]) -> None:
        """Carry out many of a kind side by side; the first is shown. All of them must end well."""
        shown = f"{_typed(who, host, commands[0])}    (and {len(commands) - 1} more)"
        with self.timed(shown), ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(lambda words: self.fleet.jailctl(who, host, *words), commands))
        for answer in answers:
            _expect(answer, Result.OK)
        self.step.result = Result.OK

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Show what is waited for, and count it to the step."""
        began = time.monotonic()
        with self.screen.waiting(what):
            yield
        self.step.seconds += time.monotonic() - began

    def look(self, who: Who, host: str, *words: str) -> Answer:
        """Ask for something that changes nothing: not part of the step's time."""
        answer = self.fleet.jailctl(who, host, *words)
        require(answer.result is Result.OK, f"{answer.command}: {answer.complaint.strip()}")
        return answer

    def _see_client(self) -> None:
        if self.writer is None:
            return
        served = self.writer.wait_for_write(self._patience)
        require(served, f"the client is not served: {self.writer.status()}")
        self.step.downtime_client = self.writer.gap_of(self.step.name)
        self.report.acknowledged_writes = int(self.writer.status()["acknowledged"])
        measured = self.step.downtime_daemon
        daemon = "none" if measured is None else duration(measured)
        self.screen.fact(f"downtime: {daemon} by the daemon, {duration(self.step.downtime_client)} seen by the client")


def require(holds: bool, problem: str) -> None:  # noqa: FBT001
    """Raise `StoryError` with the problem if it does not hold."""
    if not holds:
        raise StoryError(problem)


def _expect(answer: Answer, expected: Result) -> None:
    ended = f"{answer.command}\n  ended {answer.result}, not {expected}:\n{answer.complaint.strip()}"
    require(answer.result is expected, ended)


def _typed(who: Who, host: str, words: Sequence[str]) -> str:
    return f"jailctl --context {who}@{host} {' '.join(map(_shown, words))}"


def _shown(word: str) -> str:
    """A path by its last name: the cache's folders are long and say nothing."""
    return Path(word).name if word.startswith("/") else word
