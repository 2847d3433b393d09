"""What Salt does with the API's streams: archives that are sent, commands in jails, logs, events that are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from jaild.client import READ_SECONDS, Api
from jaild.model.filerecords import batches
from jaild.salt import plain
from jaild.trees.messages import messages_of
from jaild.trees.openat import opened
from jaild.trees.reader import TreeReader
from jaild.v1 import builds_pb2, copies_pb2, events_pb2, files_pb2, jails_pb2

_CHUNK = 1 << 20


def sent(stub: Any, request: Any, header: Any, archive: Path | None) -> Any:
    """Send a header and the archive after it; return the operation. None: the header goes alone.

    The header's size is set, and its digest where none is given. `OSError` if the archive cannot be read.
    """
    if archive is None or header.validate_only:
        return stub(iter([request(header=header)]))
    with archive.open("rb") as file:
        header.size_bytes = archive.stat().st_size
        header.sha256 = header.sha256 or hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        chunks = (request(chunk=chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))
        return stub(chain([request(header=header)], chunks))


def brought(api: Api, header: Any, export: Path | None) -> Any:
    """Send an export, from where one that was broken off has come to; return the operation. None: the header alone."""
    if export is None:
        return api.copies.ImportJail(iter([copies_pb2.ImportJailRequest(header=header)]))
    with export.open("rb") as file:
        header.size_bytes = export.stat().st_size
        header.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        asked = copies_pb2.GetUploadRequest(sha256=header.sha256)
        header.offset = api.copies.GetUpload(asked, timeout=READ_SECONDS).size_bytes
        file.seek(header.offset)
        chunks = (copies_pb2.ImportJailRequest(chunk=chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))
        return api.copies.ImportJail(chain([copies_pb2.ImportJailRequest(header=header)], chunks))


def saved(export: Iterator[Any], target: Path) -> dict[str, Any]:
    """Write an export to a file, which is there only if all of it has come; return its size and digest."""
    part, digest = target.with_name(f"{target.name}.part"), hashlib.sha256()
    try:
        part.touch(mode=0o600)
        with part.open("wb") as out:
            for piece in export:
                out.write(piece.chunk)
                digest.update(piece.chunk)
        size = part.stat().st_size
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return {"size_bytes": size, "sha256": digest.hexdigest()}


def executed(api: Api, start: jails_pb2.ExecStart, stdin: bytes = b"", timeout: float | None = None) -> dict[str, Any]:
    """Run a command in a jail; return `stdout`, `stderr` and `retcode`. Its end is waited for `timeout` seconds."""
    request = jails_pb2.ExecInJailRequest
    pieces = (request(stdin=stdin[begin : begin + _CHUNK]) for begin in range(0, len(stdin), _CHUNK))
    out, err, status = bytearray(), bytearray(), None
    for part in api.jails.ExecInJail(
        chain([request(start=start)], pieces, [request(end_of_stdin=True)]), timeout=timeout
    ):
        out += part.stdout
        err += part.stderr
        status = part.exit_status if part.HasField("exit_status") else status
    return {"retcode": status, "stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}


def written(api: Api, start: files_pb2.WriteFilesStart, source: Path) -> dict[str, Any]:
    """Write a file or a folder of this machine into a jail. `OSError` if it cannot be read."""
    place = source.resolve(strict=True)

    def requests() -> Iterator[files_pb2.WriteFilesRequest]:
        yield files_pb2.WriteFilesRequest(start=start)
        with opened(place.parent) as folder:
            for batch in batches(() if start.validate_only else TreeReader().entry(folder, place.name)):
                yield files_pb2.WriteFilesRequest(records=files_pb2.FileRecords(records=messages_of(batch)))

    found: dict[str, Any] = plain.data(api.files.WriteFiles(requests()))
    return found


def logged(api: Api, request: jails_pb2.TailLogsRequest) -> str:
    """Return what a jail wrote."""
    return b"".join(part.data for part in api.jails.TailLogs(request, timeout=READ_SECONDS)).decode(errors="replace")


def built(api: Api, request: builds_pb2.TailBuildRequest) -> str:
    """Return what a build wrote so far."""
    return b"".join(part.data for part in api.builds.TailBuild(request, timeout=READ_SECONDS)).decode(errors="replace")


def happened(api: Api, request: events_pb2.WatchEventsRequest, limit: int) -> list[Any]:
    """Return the events that are kept, at most `limit` if that is not 0."""
    request.no_follow = True
    call = api.events.WatchEvents(request, timeout=READ_SECONDS)
    found = [plain.data(event) for event in islice(call, limit or None)]
    call.cancel()
    return found
