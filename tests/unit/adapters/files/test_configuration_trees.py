from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.model.errors import InternalError, InvalidArgumentError
from jaild.model.etc.tree import Entry, Kind
from tests.unit.adapters.files.conftest import ME, untouched


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


def made_in_place(folder: Path, tree: dict[str, Entry]) -> None:
    """Make a tree without renames: UFS's soft updates end one later, and move the change time of what was renamed."""
    for path, entry in tree.items():
        if entry.kind is Kind.LINK:
            (folder / path).symlink_to(entry.target)
            continue
        if entry.kind is Kind.DIRECTORY:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(entry.content)
        (folder / path).chmod(entry.mode)


async def test_only_what_differs_is_written_and_the_folder_stays_the_same_one(files: HostFiles, etc: Path) -> None:
    made_in_place(etc, tree_of())
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
    assert await files.state_of(etc, like=state) == state


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
    assert await files.state_of(etc, like=state) == state


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
    assert await files.state_of(etc, like=state) != state


async def test_the_state_of_a_tree_does_not_follow_links(files: HostFiles, etc: Path, outside: Path) -> None:
    (etc / "link").symlink_to(outside)
    state = await files.state_of(etc)
    (outside / "passwd").write_text("changed")
    assert await files.state_of(etc, like=state) == state
