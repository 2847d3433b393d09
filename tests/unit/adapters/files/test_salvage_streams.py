"""Trees as streams of files: what can be read comes as it was, what cannot is named."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.model.errors import DataLossError
from jaild.model.salvage import File, Folder, Hardlink, Loss, Record, framed
from jaild.ports.salvage import FileTrees

BLOCK = 128 << 10


@pytest.fixture
def trees() -> FileTrees:
    return HostFileTrees()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with everything in it."""
    root = tmp_path / "source"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "motd").write_text("hello\n")
    (root / "etc" / "motd").chmod(0o4750)
    os.utime(root / "etc" / "motd", ns=(1_000_000_001, 1_000_000_001))
    os.link(root / "etc" / "motd", root / "issue")
    (root / "link").symlink_to("../nowhere")
    (root / "empty").touch()
    os.mkfifo(root / "pipe", 0o640)
    with (root / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"in the middle")
    (root / os.fsdecode(b"odd\xff\nname")).write_text("odd")
    (root / "etc").chmod(0o1711)
    os.utime(root / "etc", ns=(2_000_000_002, 2_000_000_002))
    return root


async def salvaged(trees: FileTrees, source: Path, target: Path) -> list[Loss]:
    target.mkdir()
    losses: list[Loss] = []
    await trees.write(target, trees.read(source, losses))
    return losses


async def test_all_that_a_file_is_comes_with_it(trees: FileTrees, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert await salvaged(trees, source, target) == []
    for name in ("etc", "etc/motd", "issue", "link", "empty", "pipe", "sparse", os.fsdecode(b"odd\xff\nname")):
        old, new = ((root / name).lstat() for root in (source, target))
        assert (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid), name
        assert (new.st_size, new.st_mtime_ns) == (old.st_size, old.st_mtime_ns), name
    assert (target / "etc" / "motd").read_text() == "hello\n"
    assert (target / "issue").stat().st_ino == (target / "etc" / "motd").stat().st_ino
    assert (target / "link").readlink() == Path("../nowhere")
    assert (target / "sparse").read_bytes() == (source / "sparse").read_bytes()
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


async def test_owners_are_kept(trees: FileTrees, source: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(source / "empty", 1234, 5678)
    os.chown(source / "link", 1234, 5678, follow_symlinks=False)
    await salvaged(trees, source, tmp_path / "target")
    for name in ("empty", "link"):
        status = (tmp_path / "target" / name).lstat()
        assert (status.st_uid, status.st_gid) == (1234, 5678)


async def test_a_damaged_file_comes_with_zeros_where_it_cannot_be_read_and_a_lost_one_not_at_all(
    trees: FileTrees, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "damaged").write_bytes(b"x" * (3 * BLOCK))
    (source / "lost").write_bytes(b"y" * BLOCK)
    os.link(source / "lost", source / "lost-too")
    bad = {
        (source / "damaged").stat().st_ino: [(BLOCK + 4096, BLOCK + 3 * 4096)],
        (source / "lost").stat().st_ino: [(0, BLOCK)],
    }
    real = os.pread

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        for start, end in bad.get(os.fstat(descriptor).st_ino, ()):
            if offset < end and offset + size > start:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", failing)
    losses = await salvaged(trees, source, tmp_path / "target")
    monkeypatch.undo()
    assert losses == [
        Loss(path="damaged", lost=False, reason="Input/output error", ranges=((BLOCK + 4096, BLOCK + 3 * 4096),)),
        Loss(path="lost", lost=True, reason="Input/output error"),
        Loss(path="lost-too", lost=True, reason="another name of a file that is lost"),
    ]
    whole = (tmp_path / "target" / "damaged").read_bytes()
    assert whole == b"x" * (BLOCK + 4096) + bytes(2 * 4096) + b"x" * (2 * BLOCK - 3 * 4096)
    assert not (tmp_path / "target" / "lost").exists()
    assert (tmp_path / "target" / "etc" / "motd").read_text() == "hello\n"


async def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_comes(
    trees: FileTrees, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, real = (source / "etc").stat().st_ino, os.listdir

    def failing(folder: int) -> list[str]:
        if os.fstat(folder).st_ino == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(folder)

    monkeypatch.setattr(os, "listdir", failing)
    losses = await salvaged(trees, source, tmp_path / "target")
    monkeypatch.undo()
    assert [(loss.path, loss.lost) for loss in losses] == [("etc", True)]
    assert "its list of names cannot be read" in losses[0].reason
    assert (tmp_path / "target" / "issue").read_text() == "hello\n"


@pytest.mark.parametrize(
    "records",
    [
        [File(b"../out", 0o644, 0, 0, 0, 1)],
        [File(b"/out", 0o644, 0, 0, 0, 1)],
        [File(b"", 0o644, 0, 0, 0, 1)],
        [Folder(b"a/../..", 0o755, 0, 0, 0)],
        [File(b"here", 0o644, 0, 0, 0, 0), Hardlink(b"b", b"../secret")],
    ],
)
async def test_a_stream_that_leads_out_of_its_folder_is_refused(
    trees: FileTrees, tmp_path: Path, records: list[Record]
) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "target").mkdir()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"".join(map(framed, records))

    with pytest.raises(DataLossError) as refused:
        await trees.write(tmp_path / "target", chunks())
    assert refused.value.reason == "SALVAGE_STREAM_INVALID"
    assert {path.name for path in tmp_path.iterdir()} == {"secret", "target"}


async def test_a_stream_that_ends_early_is_refused_and_pieces_of_any_size_are_put_together(
    trees: FileTrees, source: Path, tmp_path: Path
) -> None:
    stream = b"".join([chunk async for chunk in trees.read(source, [])])

    async def pieces(size: int, end: int) -> AsyncIterator[bytes]:
        for start in range(0, end, size):
            yield stream[start : min(start + size, end)]

    for size in (61, 1 << 20):  # the first divides no header, and so ends at each of its bytes
        target = tmp_path / str(size)
        target.mkdir()
        await trees.write(target, pieces(size, len(stream)))
        assert (target / "issue").read_text() == "hello\n"
    (tmp_path / "short").mkdir()
    with pytest.raises(DataLossError) as refused:
        await trees.write(tmp_path / "short", pieces(1 << 20, len(stream) - 3))
    assert refused.value.reason == "SALVAGE_STREAM_INVALID"
