"""Trees read as records and written again: the same, by no link, and each file at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError
from jaild.model.filerecords import BLOCK, Data, Entry, Kind, Record, batches
from jaild.trees.messages import messages_of, records_of
from jaild.trees.openat import opened
from jaild.trees.reader import TreeReader
from jaild.trees.writer import TreeWriter
from jaild.v1 import files_pb2

HOLE = 3 * BLOCK


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(folder: Path, name: str, skip: frozenset[bytes] = frozenset()) -> list[Record]:
    with opened(folder) as top:
        return list(TreeReader(skip).entry(top, name))


def write(records: Iterable[Record], folder: Path, name: bytes = b"copy", **how: object) -> TreeWriter:
    writer = TreeWriter(name, **{"owner": None, "preserve": True, **how})  # type: ignore[arg-type]
    with opened(folder) as top:
        for record in records:  # each in a call of its own, with nothing open in between
            writer.take(top, [record])
            writer.rest()
        writer.close(top)
    return writer


def entry(path: bytes, kind: Kind = Kind.FILE, **more: object) -> Entry:
    return Entry(path=path, kind=kind, mode=0o640, **more)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "inner").mkdir(parents=True, mode=0o750)
    with (top / "sparse").open("wb") as file:
        file.seek(HOLE)
        file.write(b"end")
        file.truncate(HOLE + BLOCK)
    (top / "inner/plain").write_bytes(os.urandom(2 * BLOCK + 5))
    (top / "inner/plain").chmod(0o4711)
    os.link(top / "inner/plain", top / "other")
    (top / "link").symlink_to("/etc/passwd")
    os.mkfifo(top / "pipe", 0o600)
    (top / "empty").touch()
    for path in (top / "sparse", top / "inner/plain", top / "inner"):
        os.utime(path, ns=(1_000_000_001, 2_000_000_003))
    return top


def test_a_copy_is_the_same_with_holes_links_modes_and_times(tree: Path, tmp_path: Path) -> None:
    messages = [messages_of(batch) for batch in batches(read(tmp_path, "tree"))]
    sent = [files_pb2.FileRecord.FromString(m.SerializeToString()) for part in messages for m in part]
    write(records_of(sent), tmp_path)
    copy = tmp_path / "copy"
    assert names_in(copy) == names_in(tree)
    for name in ("sparse", "inner", "inner/plain", "link", "pipe", "empty"):
        before, after = (tree / name).lstat(), (copy / name).lstat()
        assert (before.st_mode, before.st_size, before.st_uid) == (after.st_mode, after.st_size, after.st_uid), name
    for name in ("sparse", "inner/plain", "inner"):
        assert (copy / name).stat().st_mtime_ns == 2_000_000_003
    for name in ("sparse", "inner/plain"):
        assert (copy / name).read_bytes() == (tree / name).read_bytes()
    assert (copy / "sparse").stat().st_blocks * 512 < HOLE
    assert (copy / "link").readlink() == Path("/etc/passwd")
    assert (copy / "other").stat().st_ino == (copy / "inner/plain").stat().st_ino


@pytest.mark.usefixtures("tree")
def test_without_preserve_it_is_the_owners_and_no_setuid_is_left(tmp_path: Path) -> None:
    write(read(tmp_path, "tree"), tmp_path, owner=(os.geteuid(), os.getegid()), preserve=False)
    assert stat.S_IMODE((tmp_path / "copy/inner/plain").stat().st_mode) == 0o711


def test_a_file_takes_the_place_of_another_when_it_is_whole_and_links_there_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("stays")
    (tmp_path / "copy").symlink_to(outside)
    writer = TreeWriter(b"copy", owner=None)
    with opened(tmp_path) as top:
        writer.take(top, [entry(b"", size=3), Data(0, b"new")])
        assert (tmp_path / "copy").is_symlink()
        writer.close(top)
    assert ((tmp_path / "copy").read_text(), outside.read_text()) == ("new", "stays")
    assert names_in(tmp_path) == ["copy", "outside"]


def test_what_is_not_whole_is_taken_away(tmp_path: Path) -> None:
    writer = TreeWriter(b"copy", owner=None)
    with opened(tmp_path) as top:
        writer.take(top, [entry(b"", Kind.FOLDER), entry(b"a", size=9), Data(0, b"x")])
        writer.rest()
        writer.abandon(top)
        writer.abandon(top)
    assert names_in(tmp_path / "copy") == []


def test_a_file_of_unknown_size_ends_with_its_last_bytes(tmp_path: Path) -> None:
    write([entry(b""), Data(0, b"ab"), Data(BLOCK, b"c")], tmp_path)
    assert (tmp_path / "copy").stat().st_size == BLOCK + 1


@pytest.mark.parametrize(
    "records",
    [
        [entry(b"../out")],
        [entry(b"a/../../out")],
        [entry(b"/out")],
        [entry(b"a//b")],
        [entry(b"a\0b")],
        [Data(0, b"of nothing")],
        [entry(b""), Data(5, b"x"), Data(2, b"backwards")],
        [entry(b"", Kind.FOLDER), entry(b"a", Kind.HARDLINK, target=b"../../etc/passwd")],
    ],
)
def test_records_that_lead_elsewhere_or_make_no_sense_are_refused(tmp_path: Path, records: list[Record]) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        write(records, tmp_path / ".")
    assert refused.value.reason == "FILES_INVALID"
    assert not (tmp_path.parent / "out").exists()


@pytest.mark.parametrize("way", [b"a", b"link/a"])
def test_nothing_is_written_through_a_link(tmp_path: Path, way: bytes) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "place"
    place.mkdir()
    (place / "link").symlink_to(outside)
    (place / "copy").symlink_to(outside)
    with pytest.raises((OSError, JaildError)):
        write([entry(way)], place, b"copy" if way == b"a" else b"")
    assert names_in(outside) == []


def test_a_folder_is_never_replaced_by_a_file_nor_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name, kind in ((b"folder", Kind.FILE), (b"file", Kind.FOLDER)):
        with pytest.raises(FailedPreconditionError) as refused:
            write([entry(b"", kind)], tmp_path, name)
        assert refused.value.reason == "PATH_TAKEN"
    with pytest.raises(FailedPreconditionError, match="a folder is there"):
        write([entry(b"")], tmp_path, b"")


@pytest.mark.usefixtures("tree")
def test_what_is_mounted_below_is_left_out_and_not_written_to(tmp_path: Path) -> None:
    paths = [record.path for record in read(tmp_path, "tree", frozenset({b"inner"})) if isinstance(record, Entry)]
    assert b"inner" not in paths
    assert b"sparse" in paths
    with pytest.raises(FailedPreconditionError) as refused:
        write(read(tmp_path, "tree"), tmp_path, closed=frozenset({b"inner"}))
    assert refused.value.reason == "PATH_OF_VOLUME"


def test_a_file_that_becomes_shorter_while_it_is_read_ends_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3 * BLOCK)
    with opened(tmp_path) as top:
        records = TreeReader().entry(top, "file")
        first = [next(records), next(records)]
        os.truncate(tmp_path / "file", BLOCK)
        rest = list(records)
    assert isinstance(first[0], Entry)
    assert rest == []
