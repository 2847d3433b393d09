"""Archives in, by bsdtar(1): it is in FreeBSD's base, reads every compression, and keeps flags, owners and hard links.

An archive is read twice: once to check every entry before anything is written, once to unpack. bsdtar's own guards (no
'..', no absolute path, nothing through a symlink) stay on as a second fence.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jaild.adapters.archives import keeping
from jaild.adapters.archives.tarstream import TarRewriter, TarStream
from jaild.adapters.files import overlay as treeoverlay
from jaild.adapters.files import sync as treesync
from jaild.adapters.files import walk as treewalk
from jaild.adapters.files.room import Room
from jaild.model.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    ResourceExhaustedError,
    command_failed,
)
from jaild.model.layers.archive import Checker, Entry, Extra, Listing, Policy, truncated
from jaild.ports.archives import Difference, Extracted, Progress
from jaild.ports.process import Child, Completed, Processes

_T = TypeVar("_T")
_PIECE = 1 << 20
_BLOCK = 4096  # bytes that an entry takes at least, content or not
# In the C locale libarchive gives up at the first name in a pax header that is not ASCII.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
# Of all that libarchive reads only tar: its mtree reader, for one, takes contents from the host's own files
# (mtree(5), `contents=`), and an upload must not name those.
_TAR = re.compile(r"\b(us)?tar\b|\bpax\b", re.IGNORECASE)
_FORMAT = "Archive Format: "
_DAMAGED = re.compile(r"truncated|lzma library error|premature|damaged|corrupt", re.IGNORECASE)
_NO_SPACE = re.compile(r"no space left|quota exceeded", re.IGNORECASE)
_WITHOUT_DEV = ("--exclude", "^dev/?*")  # ^: at the root only (archive_match(3) is silent, archive_pathmatch.c is not)


class BsdtarArchives:
    """Checks and unpacks archives with bsdtar (implements `jaild.ports.archives.Archives`)."""

    def __init__(self, processes: Processes, *, bsdtar: str = "bsdtar", room: Room | None = None) -> None:
        self._processes = processes
        self._room = room  # the file system of the staging folder, beside the daemon's own memory
        self._bsdtar = bsdtar

    async def verify(self, archive: Path, policy: Policy) -> Listing:
        """See the port."""
        checker = Checker(policy)
        async with aclosing(self.entries(archive)) as entries:  # what is refused half-way leaves no program behind
            async for entry in entries:
                checker.see(entry)
        return checker.finish()

    async def entries(self, archive: Path) -> AsyncGenerator[Entry, None]:
        """Yield the archive's entries in their order. Raises what `verify` raises of the archive as a whole."""
        await self._require_tar(archive)
        stream = TarStream()
        async with self._processes.start(self._repack(archive), env=_ENVIRONMENT) as child:
            await child.close_stdin()
            async for piece in child.read(_PIECE):
                for entry in stream.feed(piece):
                    yield entry
            done = await child.wait()
        if done.status or not stream.complete:
            raise truncated(str(archive), _evidence(done))

    async def verify_tree(self, source: Path, policy: Policy) -> Listing:
        """See the port."""
        return await _in_thread(lambda stopped: treewalk.check(source, policy, stopped))

    async def extract(
        self, archive: Path, destination: Path, listing: Listing, *, progress: Progress | None = None
    ) -> Extracted:
        """See the port."""
        _require_empty(destination)
        without = await self.not_kept(destination, listing.extras) if listing.policy.keep_attributes else frozenset()
        blocks = listing.size + listing.files * _BLOCK
        with self._room.unpacking(destination, blocks) if self._room is not None else nullcontext():
            if without:
                notes = await self.rewrite(
                    archive, destination, listing, TarRewriter(without=without), progress=progress
                )
            else:
                notes = ()
                await self._extract(archive, destination, listing.policy, progress=progress)
        return Extracted(files=listing.files, size=listing.size, notes=listing.notes + notes)

    async def _extract(self, archive: Path, destination: Path, policy: Policy, *, progress: Progress | None) -> None:
        async with self._processes.start(self._unpack(destination, policy), env=_ENVIRONMENT) as child:
            await _feed(child, archive, progress)
            done = await child.wait()
        if done.status:
            raise _failure(done, archive, destination)

    async def not_kept(self, destination: Path, extras: frozenset[Extra]) -> frozenset[Extra]:
        """Return which of these the file system of a folder does not keep, by trying."""
        return await keeping.not_kept(self._processes, self._bsdtar, destination, extras, _ENVIRONMENT)

    async def rewrite(
        self,
        archive: Path,
        destination: Path,
        listing: Listing,
        rewriter: TarRewriter,
        *,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """Unpack into a folder that may hold something, entries changed on the way; return notes.

        bsdtar's own guards see the names as they are after the change.
        """
        pack, unpack = self._repack(archive), self._unpack(destination, listing.policy)
        return await self._piped(pack, unpack, rewriter, _Way(archive, destination, listing.size, progress))

    async def copy_tree(
        self, source: Path, destination: Path, listing: Listing, *, progress: Progress | None = None
    ) -> Extracted:
        """See the port."""
        _require_empty(destination)
        policy, every = listing.policy, frozenset(Extra)
        without = await self.not_kept(destination, every) if policy.keep_attributes else every
        pack = [self._bsdtar, "-c", "--one-file-system", "--format=pax", "-f", "-", "-C", str(source.absolute())]
        pack += [*(_WITHOUT_DEV if policy.leave_out_dev else ()), "."]
        way = _Way(source, destination, listing.size, progress)
        notes = await self._piped(pack, self._unpack(destination, policy), TarRewriter(without=without), way)
        return Extracted(files=listing.files, size=listing.size, notes=listing.notes + notes)

    async def pack(self, folder: Path) -> AsyncIterator[bytes]:
        """See the port."""
        argv = [self._bsdtar, "-c", "--one-file-system", "--numeric-owner", "--format=pax", "-f", "-"]
        async with self._processes.start([*argv, "-C", str(folder.absolute()), "."], env=_ENVIRONMENT) as child:
            await child.close_stdin()
            last = b""
            async for piece in child.read(_PIECE, whole=True):
                yield last
                last = piece
            done = await child.wait()
            if done.status:
                raise command_failed(done.argv, done.status, done.error_text)
            yield last

    async def _piped(self, pack: list[str], unpack: list[str], rewriter: TarRewriter, way: _Way) -> tuple[str, ...]:
        async with (
            self._processes.start(pack, env=_ENVIRONMENT) as reader,
            self._processes.start(unpack, env=_ENVIRONMENT) as writer,
        ):
            await reader.close_stdin()
            await _pipe(reader, writer, rewriter, way)
            written = await writer.wait()
            if written.status:  # first: the reader may just wait for room in the pipe
                raise _failure(written, way.source, way.destination)
            read = await reader.wait()
        if read.status:
            raise _failure(read, way.source, way.destination)
        if not rewriter.complete:
            raise truncated(str(way.source), _evidence(read))
        return rewriter.dropped.notes("which the dataset does not keep")

    async def add_tree(self, source: Path, destination: Path) -> None:
        """See the port."""
        try:
            await _in_thread(lambda stopped: treeoverlay.overlay(source, destination, stopped))
        except OSError as error:
            raise _os_failure(error, destination) from error

    async def match_tree(self, source: Path, destination: Path, listing: Listing) -> Difference:
        """See the port."""
        try:
            counts = await _in_thread(lambda stopped: treesync.sync(source, destination, stopped))
        except OSError as error:
            raise _os_failure(error, destination) from error
        return _difference(listing.files, listing.size, counts, listing.notes)

    async def extract_difference(
        self,
        archive: Path,
        destination: Path,
        listing: Listing,
        *,
        staging: Path,
        progress: Progress | None = None,
    ) -> Difference:
        """See the port."""
        await asyncio.to_thread(_clear, staging)
        try:
            staging.mkdir(mode=0o700)  # what is setuid in there must not be reachable for others
            tree = staging / "tree"
            tree.mkdir(mode=0o755)
            unpacked = await self.extract(archive, tree, listing, progress=progress)
            counts = await _in_thread(lambda stopped: treesync.sync(tree, destination, stopped))
        except OSError as error:
            raise _os_failure(error, destination) from error
        finally:
            await asyncio.shield(asyncio.to_thread(_clear, staging))
        return _difference(unpacked.files, unpacked.size, counts, unpacked.notes)

    def _repack(self, archive: Path) -> list[str]:
        return [self._bsdtar, "-c", "-P", "--numeric-owner", "--format=pax", "-f", "-", f"@{archive.absolute()}"]

    def _unpack(self, destination: Path, policy: Policy) -> list[str]:
        keep = () if policy.keep_attributes else ("--no-fflags", "--no-acls", "--no-xattrs")
        argv = [self._bsdtar, "-x", "-p", "--numeric-owner", *keep, "-f", "-", "-C", str(destination.absolute())]
        return [*argv, *(_WITHOUT_DEV if policy.leave_out_dev else ())]

    async def _require_tar(self, archive: Path) -> None:
        if not archive.is_file():
            raise NotFoundError("ARCHIVE_MISSING", f"there is no file {archive}", hint="check the path")
        # -q stops at the first entry, -vvv tells the format in the last line; names are escaped, so none can forge it.
        done = await self._processes.run(
            [self._bsdtar, "-t", "-q", "-vvv", "-f", str(archive.absolute()), "*"], env=_ENVIRONMENT, check=False
        )
        last = done.text.rstrip().rpartition("\n")[2].strip()
        form = last.removeprefix(_FORMAT).partition(",")[0] if last.startswith(_FORMAT) else ""
        if _TAR.search(form):
            return
        if _DAMAGED.search(done.error_text):
            raise truncated(str(archive), _evidence(done))
        raise InvalidArgumentError(
            "ARCHIVE_UNREADABLE",
            f"{archive} is not a tar archive but {form or 'of a kind unknown to bsdtar'}",
            hint="pack the tree with tar, compressed with gzip, xz, zstd or bzip2 as you like",
            detail={"format": form, "stderr": done.error_text.strip()},
        )


async def _feed(child: Child, archive: Path, progress: Progress | None) -> None:
    total = archive.stat().st_size
    fed = 0
    with archive.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            try:
                await child.write(piece)
            except BrokenPipeError:  # it failed, or needs nothing beyond the end mark; its status tells which
                break
            fed += len(piece)
            if progress is not None:
                progress(fed, total)
    await child.close_stdin()


@dataclass(frozen=True)
class _Way:
    """From where to where, for errors and progress."""

    source: Path
    destination: Path
    size: int  # bytes of content
    progress: Progress | None


async def _pipe(reader: Child, writer: Child, rewriter: TarRewriter, way: _Way) -> None:
    moved = 0
    async for piece in reader.read(_PIECE):
        try:
            await writer.write(rewriter.feed(piece))
        except BrokenPipeError:  # its status tells why
            break
        moved += len(piece)
        if way.progress is not None:
            way.progress(min(moved, way.size), way.size)  # headers are in what moved, holes are not
    await writer.close_stdin()


async def _in_thread(work: Callable[[threading.Event], _T]) -> _T:
    """Run blocking work; when cancelled, tell it so and wait until it no longer touches anything."""
    stopped = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stopped))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.gather(task, return_exceptions=True)
        raise


def _difference(files: int, size: int, counts: treesync.Counts, notes: tuple[str, ...]) -> Difference:
    return Difference(
        files=files,
        size=size,
        added=counts.added,
        unchanged=counts.unchanged,
        written=counts.written,
        adjusted=counts.adjusted,
        removed=counts.removed,
        notes=notes,
    )


def _require_empty(destination: Path) -> None:
    if not destination.is_dir() or destination.is_symlink():
        raise NotFoundError("DESTINATION_MISSING", f"{destination} is not a folder", hint="make it first")
    with os.scandir(destination) as entries:
        found = next(entries, None)
    if found is not None:
        raise FailedPreconditionError(
            "DESTINATION_NOT_EMPTY",
            f"{destination} already holds {found.name!r}",
            hint="unpack into a dataset that was just made",
        )


def _clear(staging: Path) -> None:
    if os.path.lexists(staging):
        shutil.rmtree(staging)


def _evidence(done: Completed) -> str:
    lines = [line.removeprefix("bsdtar: ") for line in done.error_text.splitlines()]
    told = [line for line in lines if line not in {"(null)", "Error exit delayed from previous errors."}]
    return "; ".join(told[:5])


def _failure(done: Completed, source: Path, destination: Path) -> JaildError:
    if _NO_SPACE.search(done.error_text):
        return _no_space(destination, _evidence(done))
    if _DAMAGED.search(done.error_text):
        return truncated(str(source), _evidence(done))
    return command_failed(done.argv, done.status, done.error_text)


def _os_failure(error: OSError, destination: Path) -> JaildError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _no_space(destination, str(error))
    return command_failed([f"compare with {destination}"], error.errno or 0, str(error))


def _no_space(destination: Path, evidence: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        "NO_SPACE",
        f"no room left while unpacking into {destination}: {evidence}",
        hint="free space in the pool or raise the dataset's quota, then try again",
        resource=str(destination),
    )
