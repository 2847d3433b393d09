"""Exports on their way: from a daemon to a file, from a file to a daemon, from one daemon to another."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click
import grpc

from jaild.cli.client import interrupts, upload
from jaild.cli.client.connection import READ_SECONDS, Api
from jaild.cli.output import progress
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.progress import View
from jaild.v1 import copies_pb2

_PART = ".part"
_KEPT, _LOST = "what has come is kept for a day: ask again to go on", "the daemon keeps nothing of it"


@dataclass
class Written:
    """What came of an export."""

    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def take(self, chunk: bytes) -> None:
        """Count a piece."""
        self.size += len(chunk)
        self.digest.update(chunk)


def save(api: Api, request: copies_pb2.ExportJailRequest, path: str) -> Written:
    """Write an export to a file, `-` for stdout. The file is there only if all of it has come."""
    written = Written()
    with _target(path) as out, progress.shown() as view:
        stream = api.copies.ExportJail(request)
        try:
            for response in stream:
                out.write(response.chunk)
                written.take(response.chunk)
                view.step("receive", path, written.size, 0)
        finally:
            stream.cancel()
    return written


@contextmanager
def _target(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        if sys.stdout.isatty():
            raise click.UsageError("an export is no text: give a file, or send stdout to one")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    part = None
    try:
        # New and its owner's alone, whatever lies there: the jail's secrets are in it.
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=_PART)
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        Path(part).replace(target)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", Exit.UNEXPECTED) from error
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


def bring(api: Api, path: str, header: copies_pb2.ImportJailHeader) -> Any:
    """Send an export to a daemon, `-` from stdin, and return the operation. One that was broken off is gone on with."""
    with upload.opened(path) as archive, progress.shown() as view:
        header.size_bytes = archive.size
        if archive.size:
            header.sha256 = archive.digest(view)
            there = copies_pb2.GetUploadRequest(sha256=header.sha256)
            header.offset = api.copies.GetUpload(there, timeout=READ_SECONDS).size_bytes
            archive.stream.seek(header.offset)
        requests = archive.requests(copies_pb2.ImportJailRequest(header=header), _chunk, view, done=header.offset)
        after = _KEPT if header.sha256 else _LOST
        return upload.send(api.copies.ImportJail, archive, requests, after=after)


def pass_on(
    source: Api, request: copies_pb2.ExportJailRequest, target: Api, header: copies_pb2.ImportJailHeader
) -> Any:
    """Send one daemon's export to another one, through here, and return the operation."""
    with progress.shown() as view:
        stream = source.copies.ExportJail(request)
        passing = _Passing(stream, request.name, view)
        try:
            return interrupts.result(lambda: target.copies.ImportJail.future(passing.requests(header)))
        except KeyboardInterrupt:
            raise Failure(f"interrupted; {_LOST}", Exit.ABORTED) from None
        except grpc.RpcError:
            if passing.error is not None:
                raise passing.error from None
            raise
        finally:
            stream.cancel()


class _Passing:
    def __init__(self, stream: Any, name: str, view: View) -> None:
        self._stream = stream
        self._name = name
        self._view = view
        self.error: grpc.RpcError | None = None  # of the source

    def requests(self, header: copies_pb2.ImportJailHeader) -> Iterator[Any]:
        """Yield the header, then what comes. Runs in a thread of gRPC's."""
        yield copies_pb2.ImportJailRequest(header=header)
        done = 0
        try:
            for response in self._stream:
                yield _chunk(response.chunk)
                done += len(response.chunk)
                self._view.step("pass on", self._name, done, 0)
        except grpc.RpcError as error:
            self.error = error
            raise


def _chunk(block: bytes) -> copies_pb2.ImportJailRequest:
    return copies_pb2.ImportJailRequest(chunk=block)
