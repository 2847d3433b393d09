"""Port: what the host's own tools say of what wears out, its pool and certificates. Asked seldom: by processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class PoolStatus:
    """A pool, as zpool-status(8) tells of it."""

    pool: str
    health: str  # ONLINE, DEGRADED, FAULTED ...
    errors: Mapping[str, int]  # read, write, checksum: of all its devices, since they were cleared last
    data_errors: int  # files and other objects that cannot be read
    scrubbed: float | None = None  # when the last scrub ended, seconds since the epoch; None: never, or one goes on


class Outside(Protocol):
    """Asks."""

    async def pool(self) -> PoolStatus:
        """Return how the pool is. `InternalError` (COMMAND_FAILED) if it does not say."""

    async def certificates(self) -> Mapping[str, float]:
        """Return until when each certificate of the configuration counts, by its setting: listen.tls, peers.beta.tls.

        Seconds since the epoch. One that cannot be read is left out: connecting tells of it.
        """
