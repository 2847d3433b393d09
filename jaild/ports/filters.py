"""Port: streams of bytes on their way through a program: compressed, decompressed, encrypted."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Protocol


class Filters(Protocol):
    """All of them: `UnavailableError` (PROGRAM_MISSING), and what `chunks` raises. Close the iterator to end early."""

    def compressed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield what zstd(1) makes of a stream."""

    def decompressed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield what was compressed. `DataLossError` (EXPORT_DAMAGED) for what is no such stream, or not whole."""

    def encrypted(self, chunks: AsyncIterable[bytes], recipients: Sequence[str]) -> AsyncIterator[bytes]:
        """Yield a stream for whoever has the key of one of the `recipients`, as age(1) takes them.

        `InvalidArgumentError` (INVALID_RECIPIENT) for what is none.
        """
