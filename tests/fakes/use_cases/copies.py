"""Fakes of the use cases of copies."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.copies.exports import Wanted
from jaild.copies.imports import Asked
from jaild.copies.incoming import Stream
from jaild.model.jails.copying import Reach
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller
from tests.fakes.use_cases.remembering import Fake


class FakeClones(Fake):
    async def clone(
        self,
        original: str,
        name: str,
        *,
        at: str | float | None = None,
        reach: Reach | None = None,
        stopped: bool = False,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        return self.operate(
            "clone",
            original,
            name,
            at=at,
            reach=reach,
            stopped=stopped,
            validate_only=validate_only,
            caller=caller,
        )


class FakeExports(Fake):
    """Has one of two pieces."""

    pieces = (b"one", b"two")

    async def plan(self, name: str, wanted: Wanted) -> Plan:
        self.seen("plan", name, wanted)
        return Plan(kind="export", target=f"jails/{name}", steps=("write it",))

    async def export(self, name: str, wanted: Wanted, caller: Caller) -> AsyncIterator[bytes]:
        self.seen("export", name, wanted, caller)
        for piece in self.pieces:
            yield piece


class FakeImports(Fake):
    """Remembers what came."""

    def __init__(self) -> None:
        super().__init__()
        self.came = b""

    async def take(
        self, name: str, chunks: AsyncIterator[bytes], stream: Stream, asked: Asked, caller: Caller
    ) -> Operation:
        self.came = b"".join([chunk async for chunk in chunks])
        return self.operate("take", name, stream, asked, caller)

    async def read(self, name: str, path: str, asked: Asked, caller: Caller) -> Operation:
        return self.operate("read", name, path, asked, caller)


class FakeIncomingExports(Fake):
    """Has five bytes of every file."""

    async def size(self, sha256: str) -> int:
        self.seen("size", sha256)
        return 5


class FakeRenames(Fake):
    async def rename(self, name: str, new: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("rename", name, new, validate_only=validate_only, caller=caller)
