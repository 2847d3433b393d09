"""A pool whose state a test sets (implements `jaild.ports.outside.Outside`)."""

from __future__ import annotations

from collections.abc import Mapping

from jaild.model.errors import JaildError
from jaild.ports.outside import PoolStatus


class FakeOutside:
    """Answers with `health`, or raises `error`."""

    def __init__(self) -> None:
        self.health = "ONLINE"
        self.error: JaildError | None = None

    async def pool(self) -> PoolStatus:
        """Answer."""
        if self.error is not None:
            raise self.error
        return PoolStatus(pool="tank", health=self.health, errors={}, data_errors=0)

    async def certificates(self) -> Mapping[str, float]:
        """Answer: there are none."""
        return {}
