"""Port: the daemon's configuration, read again while it runs."""

from __future__ import annotations

from typing import Protocol

from jaild.model.views import Reloaded


class Configuration(Protocol):
    """What the daemon was started with."""

    async def reload(self, *, validate_only: bool) -> Reloaded:
        """Read it again, and let what can be changed count from now on; `validate_only`: only look.

        `InvalidArgumentError` (INVALID_CONFIG), `UnavailableError` (TLS_FILE_UNREADABLE, TLS_FILE_UNUSABLE): nothing
        has changed then.
        """
