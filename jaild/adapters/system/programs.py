"""Where programs are: each looked for once, so that no start of one tries folder after folder."""

from __future__ import annotations

import os
import shutil


class Programs:
    """The paths of programs that were found so far."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str] = {}

    def path(self, name: str, search: str) -> str | None:
        """Return the path of a program on `search` (as PATH is written); None if it is not there.

        It is looked for again if it is no longer where it was. A name with a slash is no name to look for: None.
        """
        if "/" in name:
            return None
        known = self._found.get((name, search))
        if known is not None and os.access(known, os.X_OK):
            return known
        found = shutil.which(name, path=search)
        if found is not None:
            self._found[name, search] = found
        return found
