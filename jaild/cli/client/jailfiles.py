"""Files between this machine and a jail: read here and sent, or received and written here, as they come."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import grpc

from jaild.cli.client import interrupts, references
from jaild.cli.client.connection import Api
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import printable
from jaild.cli.output.progress import View
from jaild.model.errors import JaildError
from jaild.model.filerecords import BLOCK, Data, Entry, Kind, Record, batches
from jaild.trees.messages import messages_of, records_of
from jaild.trees.openat import opened
from jaild.trees.reader import TreeReader
from jaild.trees.writer import TreeWriter
from jaild.v1 import files_pb2

STREAM = "-"  # stdin or stdout
_IN_JAIL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*):(/.*)", re.DOTALL)


@dataclass(frozen=True)
class End:
    """One end of a copy: a path, of a jail (its full name) or of this machine."""

    path: str
    jail: str = ""


def end(text: str) -> End:
    """Return the end that somebody typed: JAIL:/PATH, a path, or -."""
    found = _IN_JAIL.fullmatch(text)
    return End(found[2], references.jail(found[1])) if found is not None else End(text)


@dataclass
class Tally:
    """What went over; `error` is what reading here failed with, and `skipped` what was not copied."""

    view: View
    entries: int = 0
    bytes: int = 0
    error: Exception | None = None

    def count(self, records: Iterable[Record]) -> None:
        """Count records, and show how far it is."""
        for record in records:
            if isinstance(record, Data):
                self.bytes += len(record.content)
            elif record.kind is Kind.SKIPPED:
                self.view.note(f"not copied, a socket or a device: {os.fsdecode(record.path)}")
            else:
                self.entries += 1
        self.view.step("copy", "", self.bytes)


def sent(api: Api, start: files_pb2.WriteFilesStart, records: Iterator[Record], tally: Tally) -> Any:
    """Send records and return what the daemon wrote. Ctrl-C ends it: what has come stays."""

    def requests() -> Iterator[files_pb2.WriteFilesRequest]:
        yield files_pb2.WriteFilesRequest(start=start)
        try:
            for batch in () if start.validate_only else batches(records):
                yield files_pb2.WriteFilesRequest(records=files_pb2.FileRecords(records=messages_of(batch)))
                tally.count(batch)
        except (OSError, JaildError) as error:
            tally.error = error
            raise

    try:
        return interrupts.result(lambda: api.files.WriteFiles.future(requests()))
    except grpc.RpcError:
        if tally.error is not None:
            raise failed("read", tally.error) from tally.error
        raise


def received(api: Api, end_there: End, tally: Tally) -> Generator[list[Record], None, None]:
    """Yield what a jail has, in lists as they come."""
    request = files_pb2.ReadFilesRequest(name=end_there.jail, path=end_there.path)
    for part in interrupts.stream(lambda: api.files.ReadFiles(request)):
        records = records_of(part.records)
        tally.count(records)
        yield records


def read(path: str) -> Iterator[Record]:
    """Yield what is at a path of this machine; a link that it is itself is followed, others are copied."""
    place = Path(path).resolve(strict=True)
    with opened(place.parent) as folder:
        yield from TreeReader().entry(folder, place.name)


def piped(source: IO[bytes]) -> Iterator[Record]:
    """Yield what comes from a pipe as a file."""
    yield Entry(path=b"", kind=Kind.FILE, mode=0o644, mtime=time.time_ns())
    offset = 0
    while block := source.read(BLOCK):
        yield Data(offset, block)
        offset += len(block)


def write(parts: Iterable[list[Record]], folder: Path, name: bytes, *, preserve: bool) -> None:
    """Write records into a folder of this machine: as ours, unless `preserve` keeps owners and all permissions."""
    writer = TreeWriter(name, owner=None if preserve else (os.geteuid(), os.getegid()), preserve=preserve)
    try:
        with opened(folder) as top:
            try:
                for records in parts:
                    writer.take(top, records)
                writer.close(top)
            except BaseException:
                writer.abandon(top)
                raise
    except (OSError, JaildError) as error:
        raise failed("write", error) from error


def write_out(parts: Iterable[list[Record]], stream: IO[bytes], path: str) -> None:
    """Write a file to a pipe, its holes as zeros. `Failure` for anything else."""
    at = size = 0
    for records in parts:
        for record in records:
            if isinstance(record, Data):
                _zeros(stream, record.offset - at)
                stream.write(record.content)
                at = record.offset + len(record.content)
            elif record.kind is not Kind.FILE:
                raise Failure(f"{printable(path)} is no file: only that goes to stdout", Exit.USAGE)
            else:
                size = record.size
    _zeros(stream, size - at)
    stream.flush()


def failed(what: str, error: Exception) -> Failure:
    """Return the failure of a copy for what this machine said."""
    if isinstance(error, JaildError):
        return Failure(error.message, Exit.REFUSED, reason=error.reason, hint=error.hint)
    why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    where = os.fsdecode(error.filename) if isinstance(error, OSError) and error.filename is not None else ""
    return Failure(f"cannot {what} {printable(where)}: {why}", Exit.UNEXPECTED)


def _zeros(stream: IO[bytes], count: int) -> None:
    while count > 0:
        count -= stream.write(bytes(min(count, BLOCK)))
