"""Filters without programs: zlib in the place of zstd, and an encryption that anybody can read."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Sequence

from jaild.model.exports.header import damaged


class FakeFilters:
    """Implements `jaild.ports.filters.Filters`."""

    async def compressed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        packer = zlib.compressobj()
        async for chunk in chunks:
            yield packer.compress(chunk)
        yield packer.flush()

    async def decompressed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        unpacker = zlib.decompressobj()
        try:
            async for chunk in chunks:
                yield unpacker.decompress(chunk)
        except zlib.error as error:
            raise damaged(str(error)) from error
        if not unpacker.eof:
            raise damaged("it ends too early")

    async def encrypted(self, chunks: AsyncIterable[bytes], recipients: Sequence[str]) -> AsyncIterator[bytes]:
        yield f"age-encryption.org/v1 for {','.join(recipients)}\n".encode()
        async for chunk in chunks:
            yield chunk
