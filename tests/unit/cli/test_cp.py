"""`jailctl jail cp`: what is sent, what is written here, and what is refused before anything is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jaild.cli.output.exits import Exit
from jaild.model.filerecords import BLOCK
from jaild.v1 import files_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    top.mkdir()
    (top / "file").write_bytes(b"x" * 5 + bytes(2 * BLOCK) + b"y")
    (top / "link").symlink_to("file")
    (top / "file").chmod(0o4640)
    return top


def test_a_tree_goes_into_a_jail_and_comes_back_the_same(
    jailctl: Run, daemon: Daemon, tree: Path, tmp_path: Path
) -> None:
    there = jailctl("jail", "cp", "-a", str(tree), "web:/var/lib")
    assert (there.exit_code, there.stdout) == (0, f"web:/var/lib/x: {len(daemon.files)} entries, 7B\n"), there.stderr
    (start,) = daemon.asked(files_pb2.WriteFilesStart)
    assert (start.name, start.path, start.base_name, start.preserve) == ("jails/web", "/var/lib", b"tree", True)
    back = jailctl("jail", "cp", "web:/var/lib/tree", str(tmp_path / "back"), "-o", "json")
    told = json.loads(back.stdout)
    assert (told["path"], told["entries"]) == (str(tmp_path / "back"), 3)
    assert told["bytes"] < 2 * BLOCK  # the hole is not sent
    assert (tmp_path / "back/file").read_bytes() == (tree / "file").read_bytes()
    assert (tmp_path / "back/link").readlink() == Path("file")
    assert (tmp_path / "back/file").stat().st_mode & 0o7777 == 0o640  # no setuid from a jail, without -a


def test_stdin_goes_into_a_file_and_a_file_to_stdout(jailctl: Run, daemon: Daemon, tree: Path) -> None:
    assert jailctl("jail", "cp", "-", "web:/root/in", stdin=b"typed").exit_code == 0
    assert daemon.files[1].data.content == b"typed"
    assert jailctl("jail", "cp", "web:/root/in", "-").stdout_bytes == b"typed"
    assert jailctl("jail", "cp", str(tree / "file"), "web:/root/").exit_code == 0
    assert jailctl("jail", "cp", "web:/root/file", "-").stdout_bytes == (tree / "file").read_bytes()
    assert jailctl("jail", "cp", str(tree), "web:/root/").exit_code == 0
    folder = jailctl("jail", "cp", "web:/root/tree", "-")
    assert (folder.exit_code, "is no file" in folder.stderr) == (Exit.USAGE, True)


def test_what_is_in_a_folder_goes_without_its_name_and_an_owner_can_be_given(
    jailctl: Run, daemon: Daemon, tree: Path
) -> None:
    assert jailctl("jail", "cp", f"{tree}/.", "web:/var/www", "--owner", "80:81").exit_code == 0
    (start,) = daemon.asked(files_pb2.WriteFilesStart)
    assert (start.base_name, start.owner.uid, start.owner.gid) == (b"", 80, 81)


def test_a_plan_sends_and_writes_nothing(jailctl: Run, daemon: Daemon, tree: Path, tmp_path: Path) -> None:
    planned = jailctl("jail", "cp", str(tree), "web:/var", "--plan")
    assert (planned.exit_code, "web:/var/x" in planned.stdout, daemon.files) == (0, True, [])
    assert daemon.asked(files_pb2.WriteFilesStart)[0].validate_only
    daemon.files = [files_pb2.FileRecord(entry=files_pb2.FileEntry(kind=files_pb2.FileEntry.KIND_FILE))]
    assert jailctl("jail", "cp", "web:/var/x", str(tmp_path / "out"), "--plan").exit_code == 0
    assert not (tmp_path / "out").exists()


def test_a_socket_is_told_and_not_copied(jailctl: Run, daemon: Daemon, tmp_path: Path) -> None:
    kind = files_pb2.FileEntry
    daemon.files = [
        files_pb2.FileRecord(entry=kind(kind=kind.KIND_FOLDER, mode=0o755)),
        files_pb2.FileRecord(entry=kind(path=b"s", kind=kind.KIND_SKIPPED)),
    ]
    copied = jailctl("jail", "cp", "web:/var/run", str(tmp_path))
    assert (copied.exit_code, "not copied, a socket or a device: s" in copied.stderr) == (0, True)
    assert names_in(tmp_path / "run") == []


def test_records_that_lead_out_of_the_destination_are_refused(jailctl: Run, daemon: Daemon, tmp_path: Path) -> None:
    kind = files_pb2.FileEntry
    daemon.files = [files_pb2.FileRecord(entry=kind(path=b"../../out", kind=kind.KIND_FILE))]
    copied = jailctl("jail", "cp", "web:/var/x", str(tmp_path))
    assert (copied.exit_code, "FILES_INVALID" in copied.stderr) == (Exit.REFUSED, True)


@pytest.mark.parametrize(
    "wrong",
    [
        ("a", "b"),
        ("web:/a", "db:/b"),
        ("/nowhere/at/all", "web:/a"),
        ("web:/a", "/nowhere/at/all/b"),
        ("web:/a", "b", "--owner", "1:1"),
        (".", "web:/a", "--owner", "root"),
        ("..", "web:/a"),
    ],
)
def test_what_cannot_be_meant_is_refused(jailctl: Run, daemon: Daemon, wrong: tuple[str, ...]) -> None:
    assert jailctl("jail", "cp", *wrong).exit_code == Exit.USAGE
    assert daemon.requests == []
