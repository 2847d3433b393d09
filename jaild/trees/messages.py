"""Records of files as messages, and back; both ends use it."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import timestamp_pb2

from jaild.model.filerecords import Data, Entry, Kind, Record, invalid
from jaild.v1 import files_pb2

_ENTRY = files_pb2.FileEntry
_KINDS = {
    Kind.FILE: _ENTRY.KIND_FILE,
    Kind.FOLDER: _ENTRY.KIND_FOLDER,
    Kind.SYMLINK: _ENTRY.KIND_SYMLINK,
    Kind.HARDLINK: _ENTRY.KIND_HARDLINK,
    Kind.PIPE: _ENTRY.KIND_PIPE,
    Kind.SKIPPED: _ENTRY.KIND_SKIPPED,
}
_BY_NUMBER = {number: kind for kind, number in _KINDS.items()}
_NANOS = 1_000_000_000


def messages_of(records: Iterable[Record]) -> list[files_pb2.FileRecord]:
    """Return records as they are sent."""
    return [_message(record) for record in records]


def records_of(messages: Iterable[files_pb2.FileRecord]) -> list[Record]:
    """Return records as they came. `InvalidArgumentError` (FILES_INVALID) for what is none."""
    return [_record(message) for message in messages]


def _message(record: Record) -> files_pb2.FileRecord:
    if isinstance(record, Data):
        return files_pb2.FileRecord(data=files_pb2.FileData(offset=record.offset, content=record.content))
    seconds, nanos = divmod(record.mtime, _NANOS)
    entry = _ENTRY(
        path=record.path,
        kind=_KINDS[record.kind],
        mode=record.mode,
        uid=record.uid,
        gid=record.gid,
        modify_time=timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos),
        size=record.size,
        target=record.target,
    )
    return files_pb2.FileRecord(entry=entry)


def _record(message: files_pb2.FileRecord) -> Record:
    if message.WhichOneof("record") == "data":
        if message.data.offset < 0:
            raise invalid(f"an offset of {message.data.offset}")
        return Data(message.data.offset, message.data.content)
    entry = message.entry
    kind = _BY_NUMBER.get(entry.kind)
    if kind is None or entry.size < 0:
        raise invalid("an entry without a kind, or of a negative size")
    return Entry(
        path=entry.path,
        kind=kind,
        mode=entry.mode & 0o7777,
        uid=entry.uid,
        gid=entry.gid,
        mtime=entry.modify_time.seconds * _NANOS + entry.modify_time.nanos,
        size=entry.size,
        target=entry.target,
    )
