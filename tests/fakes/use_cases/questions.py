"""Use cases of questions that answer from lists."""

from __future__ import annotations

from jaild.model.jails.history import Entry
from tests.fakes.use_cases.remembering import Fake


class FakeHistories(Fake):
    """Tells what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []

    async def of_jail(self, jail: str, /) -> list[Entry]:
        self.seen("of_jail", jail)
        return self.entries
