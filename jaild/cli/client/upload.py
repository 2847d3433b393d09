"""Archives on their way to the daemon: a header, then chunks; with a digest wherever the file can be read twice."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
import grpc

from jaild.cli.client import interrupts
from jaild.cli.output import progress
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.progress import View

CHUNK = 1 << 20


@dataclass
class Archive:
    """Bytes to send. `size` is 0 where it is not known; `error` is what went wrong while they were read."""

    stream: IO[bytes]
    name: str
    size: int = 0
    error: OSError | None = None

    def digest(self, view: View) -> str:
        """Return the SHA-256 of a regular file, in hex; empty for a pipe, which can be read only once."""
        if not self.size:
            return ""
        digest, done = hashlib.sha256(), 0
        for block in self._blocks():
            digest.update(block)
            done += len(block)
            view.step("digest", self.name, done, self.size)
        self.stream.seek(0)
        return digest.hexdigest()

    def requests(self, header: Any, chunk: Callable[[bytes], Any], view: View, *, done: int = 0) -> Iterator[Any]:
        """Yield the header, then a request for each chunk after `done` bytes. Runs in a thread of gRPC's."""
        yield header
        try:
            for block in self._blocks():
                yield chunk(block)
                done += len(block)
                view.step("send", self.name, done, self.size)
        except OSError as error:
            self.error = error
            raise

    def _blocks(self) -> Iterator[bytes]:
        while block := self.stream.read(CHUNK):
            yield block


@contextmanager
def opened(path: str) -> Iterator[Archive]:
    """Yield the archive at `path`, `-` for stdin; raise `click.UsageError` if it cannot be streamed."""
    if path == "-":
        yield Archive(sys.stdin.buffer, "stdin")
        return
    with _open(path) as stream:
        status = os.fstat(stream.fileno())
        yield Archive(stream, Path(path).name, status.st_size if stat.S_ISREG(status.st_mode) else 0)


def _open(path: str) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except IsADirectoryError as error:
        raise click.UsageError(f"{path} is a folder: send an archive of it, or import it with --on-host") from error
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from error


def sent(archive: Archive, method: Any, request: Any, header: Any) -> Any:
    """Send the header, then the archive in chunks, and return the operation; Ctrl-C takes the whole upload back.

    The header is completed: size, and the digest unless one is given. Where only the plan is asked for it goes alone.
    """
    with progress.shown() as view:
        header.size_bytes = archive.size
        if header.validate_only:
            return send(method, archive, iter([request(header=header)]))
        header.sha256 = header.sha256 or archive.digest(view)
        chunks = archive.requests(request(header=header), lambda block: request(chunk=block), view)
        return send(method, archive, chunks)


def send(
    method: Any, archive: Archive, requests: Iterator[Any], *, after: str = "the daemon keeps nothing of it"
) -> Any:
    """Send requests that are made of an archive. `after`: what becomes of those that Ctrl-C ends."""
    try:
        return interrupts.result(lambda: method.future(requests))
    except KeyboardInterrupt:
        raise Failure(f"interrupted; {after}", Exit.ABORTED) from None
    except grpc.RpcError:
        if archive.error is not None:
            raise Failure(f"cannot read {archive.name}: {archive.error}", Exit.UNEXPECTED) from archive.error
        raise
