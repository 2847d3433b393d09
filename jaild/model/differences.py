"""How a tree differs from another one that it was made of."""

from __future__ import annotations

import msgspec


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Paths below the two trees, sorted; of a folder that only one has, the folder itself."""

    changed: tuple[str, ...] = ()  # in both, with another content, owner, mode or kind
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()  # folders that are empty in the first tree, and are not in this one
    more: int = 0  # that are not listed, since there are too many

    def __bool__(self) -> bool:
        """Whether they differ."""
        return bool(self.changed or self.added or self.removed or self.filled)
