from __future__ import annotations

import asyncio
import os
import platform
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.model.errors import FailedPreconditionError
from jaild.ports.files import NewFolder
from tests.unit.adapters.files.conftest import ME, untouched


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


async def test_a_folder_that_another_thread_makes_meanwhile_is_no_error(files: HostFiles, tmp_path: Path) -> None:
    for number in range(200):
        path = tmp_path / str(number) / "b"
        await asyncio.gather(*(files.make_folder(path) for _ in range(4)))
        assert path.is_dir()


async def test_a_link_that_leads_nowhere_is_no_folder(files: HostFiles, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
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


@pytest.mark.real("root")
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


FOLDER = ("-t", "nullfs") if platform.system() == "FreeBSD" else ("--bind",)


@contextmanager
def mounted(target: Path, *arguments: str | Path) -> Iterator[None]:
    subprocess.run(["mount", *map(str, arguments), str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.real("mount")
@pytest.mark.parametrize("kind", ["tmpfs", "folder", "folder on an empty folder", "folder on the tree itself"])
async def test_a_mount_in_the_tree_is_busy_and_its_content_stays(
    files: HostFiles, tmp_path: Path, outside: Path, kind: str
) -> None:
    tree = tmp_path / "tree"
    target = tree if kind == "folder on the tree itself" else tree / "a" / "mounted"
    target.mkdir(parents=True)
    if kind == "folder":
        (target / "below").write_bytes(b"")
    arguments = ("-t", "tmpfs", "jaild-test") if kind == "tmpfs" else (*FOLDER, outside)
    with mounted(target, *arguments):
        (target / "passwd").write_text("the host's own")
        with pytest.raises(FailedPreconditionError) as caught:
            await files.remove(tree)
        assert caught.value.reason == "TREE_BUSY"
        assert untouched(target)
    await files.remove(tree)
    assert not tree.exists()
    assert untouched(outside)


@pytest.mark.real("mount")
async def test_nothing_is_removed_beside_a_mount_of_another_file_system(files: HostFiles, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "mounted").mkdir(parents=True)
    for name in "az":
        (tree / name).write_bytes(b"")
    with mounted(tree / "mounted", "-t", "tmpfs", "jaild-test"):
        with pytest.raises(FailedPreconditionError):
            await files.remove(tree)
        assert await files.names(tree) == ["a", "mounted", "z"]
