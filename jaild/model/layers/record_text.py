"""Records as the properties of datasets hold them: JSON, of this schema or an older one."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import SCHEMA, BaseRecord, JailRecord, ReleaseRecord

_Record = TypeVar("_Record", BaseRecord, ReleaseRecord, JailRecord)


def decode(text: str, kind: type[_Record], where: str) -> _Record:
    """Read a record from a property. `FailedPreconditionError` (RECORD_TOO_NEW, RECORD_DAMAGED)."""
    try:
        record = msgspec.json.decode(text, type=kind)
    except (ValueError, TypeError, RecursionError) as error:  # a record, or anything else that somebody put there
        raise FailedPreconditionError(
            "RECORD_DAMAGED",
            f"the record on {where} cannot be read: {error}",
            remedy=f"look at its jaild: properties: zfs get all {where}",
            detail={"record": text[:200]},
        ) from error
    if record.schema > SCHEMA:
        raise FailedPreconditionError(
            "RECORD_TOO_NEW",
            f"the record on {where} has schema {record.schema}, this jaild knows {SCHEMA}",
            remedy="start the jaild that wrote it",
        )
    return record
