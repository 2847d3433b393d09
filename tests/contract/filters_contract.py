"""What every filter does, the fake ones and the programs alike."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing

import pytest

from jaild.model.errors import DataLossError
from jaild.ports.filters import Filters

MANY = os.urandom(3 << 20)


async def pieces(content: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def all_of(chunks: AsyncIterable[bytes]) -> bytes:
    return b"".join([piece async for piece in chunks])


class FiltersContract(ABC):
    @pytest.fixture
    @abstractmethod
    def filters(self) -> Filters:
        """Those to be tried."""

    @pytest.mark.parametrize("content", [b"", b"x", MANY], ids=["nothing", "a byte", "much"])
    async def test_what_was_compressed_comes_back(self, filters: Filters, content: bytes) -> None:
        packed = await all_of(filters.compressed(pieces(content)))
        assert packed
        assert await all_of(filters.decompressed(pieces(packed))) == content

    async def test_a_stream_that_is_cut_off_or_damaged_is_told(self, filters: Filters) -> None:
        packed = await all_of(filters.compressed(pieces(MANY)))
        for wrong in (packed[:-1], packed[: len(packed) // 2], b"", b"no such stream", b"\0" * 100):
            with pytest.raises(DataLossError) as told:
                await all_of(filters.decompressed(pieces(wrong)))
            assert told.value.reason == "EXPORT_DAMAGED"

    async def test_what_the_source_raises_comes_out_and_no_end_before_it(self, filters: Filters) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"a part"
            raise ConnectionError("broken off")

        with pytest.raises(ConnectionError):
            await all_of(filters.compressed(broken()))

    async def test_it_may_be_left_in_the_middle(self, filters: Filters) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield MANY

        async with aclosing(filters.compressed(endless())) as stream:  # type: ignore[type-var]
            assert await anext(stream) is not None
