"""Keys of encrypted jails: what of them may be done where. Pure."""

from __future__ import annotations

import re

from jaild.model.jails.spec import Encryption, JailSpec
from jaild.model.problems import Problem, Severity

# The first OpenZFS that can mount what came back by raw sends (openzfs/zfs#12594: I/O errors before it).
SAFE = (2, 1, 3)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def as_told(key: bytes, keyformat: str) -> bytes:
    """Return a key as `zfs load-key` reads it: a raw one to the last byte, any other as its first line."""
    return key if keyformat == "raw" else key.partition(b"\n")[0].rstrip(b"\r") + b"\n"


def damaging(version: str) -> bool:
    """Whether an OpenZFS (`zfs-2.1.11-1`) damages what is received raw. One that tells no version is none."""
    match = _VERSION.search(version)
    return match is not None and tuple(map(int, match.groups())) < SAFE


def fixed(before: JailSpec, after: JailSpec) -> list[Problem]:
    """Refuse a change of what was decided when the datasets were made."""
    if _decided(before.encryption) == _decided(after.encryption):
        return []
    return [
        Problem(
            severity=Severity.ERROR,
            code="ENCRYPTION_FIXED",
            message="whether a jail's data are encrypted, and the form of its key, are decided at its creation",
            subject="$.encryption",
            hint="create another jail with it and copy the data there (jailctl jail cp); `key` may be changed",
        )
    ]


def _decided(encryption: Encryption | None) -> str:
    return encryption.keyformat if encryption is not None else ""
