"""What tools of bases have made, kept in a folder of the daemon's own: the next jail on the same needs no sandbox.

Each is a file that is written whole and has its digest in it: what a crash or anybody else left of it is not found, and
is made again. None comes from a peer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from weakref import WeakValueDictionary

import structlog

from jaild.model.errors import JaildError, NotFoundError
from jaild.model.etc import results
from jaild.model.etc.results import Result
from jaild.ports.files import Files

KEPT_RESULTS = 128
_LARGEST = 4 << 20  # bytes: a linker's cache has some ten KiB, FreeBSD's links to certificates less


class ToolResults:
    """Those of this host, by their keys."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._log = structlog.get_logger("jaild.toolresults")

    def turn(self, key: str) -> asyncio.Lock:
        """Return what to hold from the look for a result until it is kept: jails that want the same wait for it."""
        return self._turns.setdefault(key, asyncio.Lock())

    async def find(self, key: str) -> Result | None:
        """Return a result; None if it is not known."""
        try:
            found = results.decoded(await self._files.read(self._folder / key))
        except NotFoundError:
            return None
        except JaildError as error:
            self._log.warning("cannot be read", key=key, reason=error.reason, message=error.message)
            return None
        if found is None:
            self._log.warning("damaged, and made again", key=key)
        return found

    async def keep(self, key: str, result: Result) -> None:
        """Keep a result, instead of any other if there are too many. What fails is told: it is made again then."""
        content = results.encoded(result)
        if len(content) > _LARGEST:
            return
        try:
            await self._files.make_folder(self._folder)
            for name in [each for each in await self._files.names(self._folder) if each != key][KEPT_RESULTS - 1 :]:
                await self._files.remove(self._folder / name)
            await self._files.write(self._folder / key, content, mode=0o600)
        except JaildError as error:
            self._log.warning("not kept", key=key, reason=error.reason, message=error.message)
