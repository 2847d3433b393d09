"""Use cases of questions that answer from lists."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.model.contents.comparison import Comparison
from jaild.model.contents.question import Question
from jaild.model.jails.history import Entry
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.views import Caller
from jaild.questions.finding import Found
from tests.fakes.use_cases.remembering import Fake


class FakeHistories(Fake):
    """Tells what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []

    async def of_jail(self, jail: str, /) -> list[Entry]:
        self.seen("of_jail", jail)
        return self.entries


class FakeComparisons(Fake):
    """Finds that nothing differs."""

    async def of(self, jail: str, before: int, after: int, caller: Caller, /) -> Comparison:
        self.seen("of", jail, before, after, caller)
        spec = JailSpec(base="deb-1")
        old, new = (Generation(number=number, spec=spec, base="deb-1") for number in (before, after))
        return Comparison(before=old, after=new)


class FakeFinding(Fake):
    """Finds what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Found] = []

    async def find(self, asked: Question, /) -> AsyncIterator[Found]:
        self.seen("find", asked)
        for each in self.found:
            yield each


class FakeSboms(Fake):
    """Returns what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    async def of_base(self, name: str, /) -> str:
        self.seen("of_base", name)
        return self.text

    async def of_release(self, app: str, release: str, /) -> str:
        self.seen("of_release", app, release)
        return self.text
