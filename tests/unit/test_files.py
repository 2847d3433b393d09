from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jaild.adapters import files as files_module
from jaild.adapters import treecopy
from jaild.adapters.files import HostFiles
from jaild.adapters.oserrors import explain
from jaild.domain.errors import (
    CancelledError,
    DataLossError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from jaild.domain.etctree import Entry, Kind
from jaild.ports.files import Files, NewFolder

ME = (os.getuid(), os.getgid())


@pytest.fixture
def files(tmp_path: Path) -> HostFiles:
    return HostFiles(tmp_path / "spool")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the host that nothing may touch."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "passwd").write_text("the host's own")
    return folder


def untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["passwd"] and (outside / "passwd").read_text() == "the host's own"  # noqa: PTH208


def test_it_is_what_the_port_asks_for(files: HostFiles) -> None:
    port: Files = files
    assert port is files


# --- single files


async def test_a_missing_file_is_told_by_its_path(files: HostFiles, tmp_path: Path) -> None:
    for attempt in (files.read(tmp_path / "no"), files.digest(tmp_path / "no")):
        with pytest.raises(NotFoundError, match="no") as caught:
            await attempt
        assert caught.value.reason == "FILE_NOT_FOUND"


async def test_what_is_written_replaces_the_old_file_and_leaves_nothing_beside_it(
    files: HostFiles, tmp_path: Path
) -> None:
    path = tmp_path / "in" / "generation.json"
    path.parent.mkdir()
    await files.write(path, b"old")
    await files.write(path, b"new")
    assert await files.read(path) == b"new"
    assert await files.digest(path) == hashlib.sha256(b"new").hexdigest()
    assert await files.names(path.parent) == ["generation.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_a_write_that_fails_leaves_the_old_content(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in" / "record"
    path.parent.mkdir()
    await files.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jaild.adapters.plainfiles.os.fsync", full)
    with pytest.raises(ResourceExhaustedError) as caught:
        await files.write(path, b"new")
    assert caught.value.reason == "NO_SPACE"
    assert path.read_bytes() == b"old"
    assert await files.names(path.parent) == ["record"]


async def test_content_and_folder_are_on_disk_before_a_write_returns(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        "jaild.adapters.plainfiles.os.fsync",
        lambda fd: synced.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"),
    )
    await files.write(tmp_path / "record", b"x")
    assert synced == ["file", "folder"]


async def test_a_symlink_is_replaced_by_a_write_and_not_followed_by_a_read(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    link = tmp_path / "record"
    link.symlink_to(outside / "passwd")
    with pytest.raises(InternalError) as caught:
        await files.read(link)
    assert caught.value.reason == "FILE_FAILED"
    await files.write(link, b"mine")
    assert not link.is_symlink()
    assert untouched(outside)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_both_no_space(number: int) -> None:
    error = explain(OSError(number, os.strerror(number)), Path("/x"))
    assert isinstance(error, ResourceExhaustedError)
    assert error.reason == "NO_SPACE"


def test_a_forbidden_file_is_a_matter_of_permission() -> None:
    error = explain(PermissionError(errno.EPERM, "Operation not permitted"), Path("/x"))
    assert isinstance(error, PermissionDeniedError)


def test_any_other_failure_names_the_path_and_what_the_system_said() -> None:
    error = explain(OSError(errno.EIO, "Input/output error", "deep"), Path("/x"))
    assert isinstance(error, InternalError)
    assert (error.reason, error.detail["errno"]) == ("FILE_FAILED", "EIO")
    assert "/x: Input/output error at deep" in error.message


# --- logs


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc", 9, b"a\nb\nc"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 3, b""),
        (b"x" * 200_000 + b"\nlast\n", 1, b"last\n"),
        (b"first\n" + b"x" * 200_000, 1, b"x" * 200_000),
        (b"first\n" + b"y" * (65_536 - 1) + b"\n", 1, b"y" * 65_535 + b"\n"),
    ],
)
async def test_the_last_lines_begin_after_the_newline_before_them(
    files: HostFiles, tmp_path: Path, content: bytes, lines: int, expected: bytes
) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    start = await files.line_start(path, lines)
    assert content[start:] == expected


async def test_a_log_that_is_not_there_yet_is_empty(files: HostFiles, tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert await files.tail(path, 10) == b""
    assert await files.read_at(path, 5, 10) == b""
    assert await files.size(path) == 0
    assert await files.line_start(path, 3) == 0


async def test_a_piece_of_a_log_is_what_lies_there(files: HostFiles, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"0123456789")
    assert await files.tail(path, 3) == b"789"
    assert await files.tail(path, 30) == b"0123456789"
    assert await files.read_at(path, 4, 2) == b"45"
    assert await files.read_at(path, 10, 2) == b""


# --- folders


async def test_folders_are_0755_whatever_the_umask(files: HostFiles, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        await files.make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [0o755, 0o755]


async def test_a_file_where_a_folder_should_be_is_refused(files: HostFiles, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(FailedPreconditionError) as caught:
        await files.make_folder(tmp_path / "a" / "b")
    assert caught.value.reason == "NOT_A_FOLDER"


async def test_a_folder_that_is_not_there_has_no_names(files: HostFiles, tmp_path: Path) -> None:
    assert await files.names(tmp_path / "no") == []


async def test_missing_folders_get_their_owner_and_mode_and_others_are_left_alone(
    files: HostFiles, tmp_path: Path
) -> None:
    (tmp_path / "var").mkdir(mode=0o711)
    wanted = [
        NewFolder(path="var", uid=ME[0], gid=ME[1], mode=0o777),
        NewFolder(path="var/redis", uid=ME[0], gid=ME[1], mode=0o2750),
    ]
    await files.make_folders(tmp_path, wanted)
    await files.make_folders(tmp_path, wanted)
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o711
    assert stat.S_IMODE((tmp_path / "var/redis").stat().st_mode) == 0o2750


@pytest.mark.real
async def test_what_is_missing_above_a_folder_is_roots(files: HostFiles, tmp_path: Path) -> None:
    await files.make_folders(tmp_path, [NewFolder(path="var/lib/redis", uid=4711, gid=4712, mode=0o750)])
    assert (tmp_path / "var/lib").stat().st_uid == 0
    assert (tmp_path / "var/lib/redis").stat().st_uid == 4711
    assert (tmp_path / "var/lib/redis").stat().st_gid == 4712


@pytest.mark.parametrize("path", ["var/redis", "var/run/redis", "var/run"])
async def test_folders_are_never_made_through_a_symlink_of_the_jails(
    files: HostFiles, tmp_path: Path, outside: Path, path: str
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    if path == "var/redis":
        (root / "var").symlink_to(outside)
    else:
        (root / "var").mkdir()
        (root / "var/run").symlink_to(outside)
    with pytest.raises(FailedPreconditionError) as caught:
        await files.make_folders(root, [NewFolder(path=path, uid=ME[0], gid=ME[1])])
    assert caught.value.reason == "NOT_A_FOLDER"
    assert "symlink" in caught.value.message
    assert untouched(outside)


@pytest.mark.parametrize("path", ["../outside/x", "/etc/x", "var/../../outside/x"])
async def test_a_folders_path_does_not_lead_out_of_the_tree(
    files: HostFiles, tmp_path: Path, outside: Path, path: str
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(FailedPreconditionError):
        await files.make_folders(root, [NewFolder(path=path, uid=ME[0], gid=ME[1])])
    assert untouched(outside)


# --- removing


async def test_removing_what_is_gone_is_no_error(files: HostFiles, tmp_path: Path) -> None:
    await files.remove(tmp_path / "no")
    await files.remove(tmp_path / "no" / "deeper")


async def test_a_removed_tree_is_gone_and_what_its_links_name_is_not(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/file").write_bytes(b"x")
    (tree / "a/folder").symlink_to(outside)
    (tree / "a/b/file").symlink_to(outside / "passwd")
    os.mkfifo(tree / "a/pipe")
    await files.remove(tree)
    assert not tree.exists()
    link = tmp_path / "link"
    link.symlink_to(outside)
    await files.remove(link)
    assert not link.is_symlink()
    assert untouched(outside)


@contextmanager
def mounted(target: Path, *arguments: str | Path) -> Iterator[None]:
    subprocess.run(["mount", *map(str, arguments), str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.real
@pytest.mark.parametrize("kind", ["tmpfs", "bind", "bind on an empty folder", "bind on itself"])
async def test_a_mount_in_the_tree_is_busy_and_its_content_stays(
    files: HostFiles, tmp_path: Path, outside: Path, kind: str
) -> None:
    tree = tmp_path / "tree"
    target = tree if kind == "bind on itself" else tree / "a" / "mounted"
    target.mkdir(parents=True)
    if kind == "bind":
        (target / "below").write_bytes(b"")
    arguments = ("-t", "tmpfs", "jaild-test") if kind == "tmpfs" else ("--bind", outside)
    with mounted(target, *arguments):
        (target / "passwd").write_text("the host's own")
        with pytest.raises(FailedPreconditionError) as caught:
            await files.remove(tree)
        assert caught.value.reason == "TREE_BUSY"
        assert untouched(target)
    await files.remove(tree)
    assert not tree.exists()
    assert untouched(outside)


@pytest.mark.real
async def test_nothing_is_removed_beside_a_mount_of_another_file_system(files: HostFiles, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "mounted").mkdir(parents=True)
    for name in "az":
        (tree / name).write_bytes(b"")
    with mounted(tree / "mounted", "-t", "tmpfs", "jaild-test"):
        with pytest.raises(FailedPreconditionError):
            await files.remove(tree)
        assert await files.names(tree) == ["a", "mounted", "z"]


# --- configuration trees


def tree_of(**changes: Entry | None) -> dict[str, Entry]:
    tree: dict[str, Entry] = {
        "a": Entry(kind=Kind.FILE, content=b"aa", mode=0o640, uid=ME[0], gid=ME[1], mtime=10**18),
        "link": Entry(kind=Kind.LINK, target="a", mode=0, uid=ME[0], gid=ME[1]),
        "sub": Entry(kind=Kind.DIRECTORY, mode=0o750, uid=ME[0], gid=ME[1]),
        "sub/b": Entry(kind=Kind.FILE, content=b"b" * 100_000, mode=0o4755, uid=ME[0], gid=ME[1]),
        "sub/empty": Entry(kind=Kind.DIRECTORY, mode=0o755, uid=ME[0], gid=ME[1]),
    }
    for name, entry in changes.items():
        if entry is None:
            del tree[name]
        else:
            tree[name] = entry
    return tree


def same(one: dict[str, Entry], other: object) -> bool:
    assert isinstance(other, dict)
    return one.keys() == other.keys() and all(entry.same(other[path]) for path, entry in one.items())


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


async def test_a_tree_that_is_written_reads_back_the_same(files: HostFiles, etc: Path) -> None:
    await files.write_tree(etc, tree_of())
    read = await files.read_tree(etc)
    assert same(tree_of(), read)
    assert read["a"].mtime == 10**18


async def test_a_tree_that_does_not_exist_is_empty(files: HostFiles, tmp_path: Path) -> None:
    assert await files.read_tree(tmp_path / "no") == {}


async def test_only_what_differs_is_written_and_the_folder_stays_the_same_one(files: HostFiles, etc: Path) -> None:
    await files.write_tree(etc, tree_of())
    before = {path: (etc / path).lstat() for path in (".", "a", "link", "sub", "sub/b")}
    changed = Entry(kind=Kind.FILE, content=b"AA", mode=0o600, uid=ME[0], gid=ME[1])
    (etc / "stray").mkdir()
    (etc / "stray/deep").write_bytes(b"")
    await files.write_tree(etc, tree_of(a=changed))
    assert same(tree_of(a=changed), await files.read_tree(etc))
    after = {path: (etc / path).lstat() for path in before}
    kept = {path for path in before if before[path].st_ino == after[path].st_ino}
    assert kept == {".", "link", "sub", "sub/b"}
    assert before["sub/b"].st_ctime_ns == after["sub/b"].st_ctime_ns


async def test_a_tree_written_twice_changes_nothing_the_second_time(files: HostFiles, etc: Path) -> None:
    await files.write_tree(etc, tree_of())
    state = await files.state_of(etc)
    await files.write_tree(etc, tree_of())
    assert await files.state_of(etc) == state


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("name", ["a", "link", "sub"])
async def test_a_path_may_become_another_kind_of_thing(files: HostFiles, etc: Path, name: str, kind: Kind) -> None:
    tree = {path: entry for path, entry in tree_of().items() if not path.startswith("sub/")}
    await files.write_tree(etc, tree)
    content, target = (b"now", "") if kind is Kind.FILE else (b"", "there" if kind is Kind.LINK else "")
    mode = 0 if kind is Kind.LINK else 0o755
    tree[name] = Entry(kind=kind, mode=mode, content=content, target=target, uid=ME[0], gid=ME[1])
    await files.write_tree(etc, tree)
    assert same(tree, await files.read_tree(etc))


async def test_a_jails_links_into_the_host_are_replaced_and_never_written_through(
    files: HostFiles, etc: Path, outside: Path
) -> None:
    (etc / "a").symlink_to(outside / "passwd")
    (etc / "sub").symlink_to(outside)
    (etc / "gone").symlink_to(outside)
    await files.write_tree(etc, tree_of())
    assert same(tree_of(), await files.read_tree(etc))
    assert untouched(outside)


async def test_a_folder_that_is_a_symlink_is_not_written_into(files: HostFiles, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "etc").symlink_to(outside)
    with pytest.raises(InternalError):
        await files.write_tree(tmp_path / "etc", tree_of())
    assert untouched(outside)


async def test_two_names_of_one_file_become_two_files(files: HostFiles, etc: Path) -> None:
    await files.write_tree(etc, tree_of())
    (etc / "c").hardlink_to(etc / "a")
    tree = tree_of(c=tree_of()["a"], a=Entry(kind=Kind.FILE, content=b"aa", mode=0o600, uid=ME[0], gid=ME[1]))
    await files.write_tree(etc, tree)
    assert same(tree, await files.read_tree(etc))


async def test_a_leftover_of_an_interrupted_write_goes_with_the_next_one(files: HostFiles, etc: Path) -> None:
    (etc / ".jaild-new.0").write_bytes(b"half")
    tree = tree_of()
    tree[".jaild-new.1"] = tree["a"]  # a jail's own file of such a name stays
    await files.write_tree(etc, tree)
    assert same(tree, await files.read_tree(etc))


@pytest.mark.parametrize("path", ["../a", "sub/../../a", "/a", "nowhere/a", "a/b", "sub//b", "."])
async def test_a_tree_with_a_path_that_leads_out_is_refused_before_anything_is_written(
    files: HostFiles, etc: Path, path: str
) -> None:
    tree = tree_of()
    tree[path] = tree["a"]
    with pytest.raises(InvalidArgumentError) as caught:
        await files.write_tree(etc, tree)
    assert caught.value.reason == "INVALID_TREE"
    assert await files.names(etc) == []


# --- the state of a tree


async def test_the_state_of_a_tree_stays_the_same_while_it_is_only_read(files: HostFiles, etc: Path) -> None:
    await files.write_tree(etc, tree_of())
    state = await files.state_of(etc)
    await files.read_tree(etc)
    assert await files.state_of(etc) == state


async def test_the_state_of_a_missing_folder_is_none_and_differs_from_that_of_an_empty_one(
    files: HostFiles, etc: Path
) -> None:
    assert await files.state_of(etc / "no") == ""
    assert await files.state_of(etc)


def keep_time(path: Path, content: bytes) -> None:
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda etc: (etc / "a").write_bytes(b"other"), id="size"),
        pytest.param(lambda etc: keep_time(etc / "a", b"AA"), id="content with the old size and time"),
        pytest.param(lambda etc: (etc / "sub/b").chmod(0o600), id="mode"),
        pytest.param(lambda etc: (etc / "sub/empty").rmdir(), id="removed"),
        pytest.param(lambda etc: (etc / "sub/new").write_bytes(b""), id="added"),
        pytest.param(lambda etc: (etc / "a").rename(etc / "z"), id="renamed"),
        pytest.param(lambda etc: etc.chmod(0o700), id="the folder itself"),
    ],
)
async def test_the_state_of_a_tree_changes_with(files: HostFiles, etc: Path, change: object) -> None:
    await files.write_tree(etc, tree_of())
    state = await files.state_of(etc)
    assert callable(change)
    change(etc)
    assert await files.state_of(etc) != state


async def test_the_state_of_a_tree_does_not_follow_links(files: HostFiles, etc: Path, outside: Path) -> None:
    (etc / "link").symlink_to(outside)
    state = await files.state_of(etc)
    (outside / "passwd").write_text("changed")
    assert await files.state_of(etc) == state


# --- copying


async def test_a_copy_has_modes_links_and_times_and_no_pipes(files: HostFiles, tmp_path: Path, outside: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(b"x" * 3_000_000)
    (source / "sub/file").chmod(0o4711)
    (source / "link").symlink_to(outside)
    os.mkfifo(source / "pipe")
    for name in ("sub/file", "sub"):
        os.utime(source / name, ns=(10**18, 10**18 + 7))
    source.chmod(0o1777)
    await files.copy(source, tmp_path / "copy")
    copied = tmp_path / "copy"
    assert await files.names(copied) == ["link", "sub"]
    assert (copied / "link").readlink() == outside
    assert (copied / "sub/file").read_bytes() == b"x" * 3_000_000
    assert stat.S_IMODE((copied / "sub/file").stat().st_mode) == 0o4711
    assert stat.S_IMODE(copied.stat().st_mode) == 0o1777
    assert [(copied / path).stat().st_mtime_ns for path in ("sub", "sub/file")] == [10**18 + 7] * 2
    assert untouched(outside)


@pytest.mark.real
async def test_a_copy_has_the_owners_of_everything_also_of_links(files: HostFiles, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"")
    (source / "link").symlink_to("file")
    for path in (source, source / "file", source / "link"):
        os.chown(path, 4711, 4712, follow_symlinks=False)
    await files.copy(source, tmp_path / "copy")
    for name in ("", "file", "link"):
        status = (tmp_path / "copy" / name).lstat()
        assert (status.st_uid, status.st_gid) == (4711, 4712)


async def test_an_empty_folder_is_copied_into_and_a_full_one_is_not(files: HostFiles, tmp_path: Path) -> None:
    source, copied = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    copied.mkdir()
    (source / "file").write_bytes(b"1")
    await files.copy(source, copied)
    with pytest.raises(FailedPreconditionError) as caught:
        await files.copy(source, copied)
    assert caught.value.reason == "DESTINATION_NOT_EMPTY"


async def test_a_destination_that_is_a_symlink_is_not_copied_into(
    files: HostFiles, tmp_path: Path, outside: Path
) -> None:
    source, empty = tmp_path / "source", tmp_path / "empty"
    source.mkdir()
    empty.mkdir()
    (source / "file").write_bytes(b"1")
    (tmp_path / "copy").symlink_to(empty)
    with pytest.raises(InternalError):
        await files.copy(source, tmp_path / "copy")
    assert await files.names(empty) == []
    assert untouched(outside)


def test_a_copy_that_is_told_to_stop_stops_at_the_next_entry(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CancelledError):
        treecopy.copy(source, tmp_path / "copy", stopped)
    assert not (tmp_path / "copy/file").exists()


async def test_cancelling_waits_until_the_thread_touches_nothing_any_more() -> None:
    begun, stopped, over = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stopped.wait(10)
        over.set()

    task = asyncio.ensure_future(files_module._in_thread(Path("/x"), work, stopped))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.is_set()


# --- streams


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_stream_becomes_a_file_with_its_digest_and_size(files: HostFiles) -> None:
    spooled = await files.spool(pieces(b"ab", b"cd"), sha256="", size=0)
    assert (spooled.path.read_bytes(), spooled.size) == (b"abcd", 4)
    assert spooled.sha256 == hashlib.sha256(b"abcd").hexdigest()
    await files.remove(spooled.path)
    assert not spooled.path.exists()


@pytest.mark.parametrize(
    ("sha256", "size", "reason"),
    [("0" * 64, 4, "DIGEST_MISMATCH"), ("", 5, "STREAM_TRUNCATED"), ("", 3, "STREAM_TRUNCATED")],
)
async def test_a_stream_that_is_not_as_announced_leaves_nothing(
    files: HostFiles, tmp_path: Path, sha256: str, size: int, reason: str
) -> None:
    with pytest.raises(DataLossError) as caught:
        await files.spool(pieces(b"ab", b"cd"), sha256=sha256, size=size)
    assert caught.value.reason == reason
    assert await files.names(tmp_path / "spool") == []


async def test_what_the_sender_raises_is_raised_as_it_is_and_leaves_nothing(files: HostFiles, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"ab"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await files.spool(broken(), sha256="", size=0)
    assert await files.names(tmp_path / "spool") == []


async def test_a_sweep_removes_what_a_crash_left_and_nothing_else(files: HostFiles, tmp_path: Path) -> None:
    assert await files.sweep() == []
    left = (await files.spool(pieces(b"ab"), sha256="", size=0)).path
    (tmp_path / "spool/other").write_bytes(b"")
    assert await files.sweep() == [left]
    assert await files.names(tmp_path / "spool") == ["other"]


# --- what may be mounted on


@pytest.fixture
def roots(tmp_path: Path, outside: Path) -> list[tuple[str, Path]]:
    base, release = tmp_path / "base", tmp_path / "release"
    for folder in (base / "usr/local", base / "etc", base / "srv", release / "etc", release / "share"):
        folder.mkdir(parents=True)
    (base / "home").symlink_to(outside)
    (base / "srv/file").write_bytes(b"")
    (base / "usr/local/only-in-the-base").mkdir()
    return [("/", base), ("/usr/local", release)]


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("/", ""),
        ("/etc", ""),
        ("/usr/local", ""),
        ("/usr/local/etc", ""),
        ("/usr/local/only-in-the-base", "/usr/local/only-in-the-base is not there"),
        ("/home", "/home is a symlink"),
        ("/home/passwd/x", "/home is a symlink"),
        ("/srv/file", "/srv/file is a file"),
        ("/srv/file/deeper", "/srv/file is a file"),
        ("/opt/app", "/opt is not there"),
    ],
)
async def test_a_mount_point_is_a_folder_in_the_layer_that_would_hold_it(
    files: HostFiles, roots: list[tuple[str, Path]], target: str, problem: str
) -> None:
    assert await files.obstacles(roots, [target]) == ({target: problem} if problem else {})


async def test_a_releases_own_mount_point_is_looked_for_in_the_base(files: HostFiles, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "release").mkdir()
    found = await files.obstacles([("/", tmp_path / "base"), ("/opt", tmp_path / "release")], ["/opt"])
    assert found == {"/opt": "/opt is not there"}


async def test_a_name_that_only_begins_like_a_layers_is_not_in_it(
    files: HostFiles, roots: list[tuple[str, Path]]
) -> None:
    (roots[0][1] / "usr/localized").mkdir()
    assert await files.obstacles(roots, ["/usr/localized"]) == {}


# --- what is wrapped


async def test_a_folder_that_is_no_system_is_told_so(files: HostFiles, tmp_path: Path) -> None:
    with pytest.raises(JaildError) as caught:
        await files.system(tmp_path)
    assert caught.value.reason == "NOT_A_BASE"
    assert (await files.libraries(tmp_path, "/usr/local")).files == ()
