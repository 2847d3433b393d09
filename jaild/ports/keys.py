"""Port: where this host has the keys of encrypted jails. None is kept: each is asked for when it is needed."""

from __future__ import annotations

from typing import Protocol


class KeySources(Protocol):
    """The sources that the configuration names."""

    async def read(self, name: str) -> bytes:
        """Return a key as it stands there, in whatever form.

        `NotFoundError` (KEY_SOURCE_MISSING: no such name), `FailedPreconditionError` (KEY_UNREADABLE: the file cannot
        be read, or others can read it; the command failed). No error says anything of what was read.
        """
