"""The room of files, put together."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.jailfiles.rpc import FilesServicer
from jaild.jailfiles.service import JailFiles
from jaild.jails.build import JailParts


def build(engine: Engine, jails: JailParts) -> JailFiles:
    """Put the room together. Nothing is started."""
    files = JailFiles(engine, jails)
    engine.recovery.after_jail(files.recover)
    engine.services.add(FilesServicer(files))
    return files
