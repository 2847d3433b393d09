"""What py-libzfs's enums and its exception are made of; numbers of libzfs.h."""

from __future__ import annotations

import enum


class Error(enum.IntEnum):
    """Some of libzfs.h's numbers, by py-libzfs's names."""

    NOMEM = 2000
    BADPROP = 2001
    PROPREADONLY = 2002
    BUSY = 2008
    EXISTS = 2009
    NOENT = 2010
    INVALIDNAME = 2014
    MOUNTFAILED = 2027
    UMOUNTFAILED = 2028
    PERM = 2032
    NOSPC = 2033
    IO = 2035
    RELE = 2060
    HOLD = 2061


class DatasetType(enum.IntEnum):
    FILESYSTEM = 1
    SNAPSHOT = 2
    VOLUME = 4


class PropertySource(enum.IntEnum):
    NONE = 1
    DEFAULT = 2
    LOCAL = 8
    INHERITED = 16


CODES = {
    "DATASET_NOT_FOUND": Error.NOENT,
    "DATASET_EXISTS": Error.EXISTS,
    "DATASET_BUSY": Error.BUSY,
    "SNAPSHOT_HELD": Error.BUSY,
    "DATASET_HAS_CHILDREN": Error.EXISTS,
    "DATASET_HAS_CLONES": Error.EXISTS,
    "INVALID_PROPERTY": Error.BADPROP,
    "INVALID_DATASET_NAME": Error.INVALIDNAME,
    "NO_SPACE": Error.NOSPC,
}


class ZFSException(RuntimeError):  # noqa: N818 -- theirs
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
