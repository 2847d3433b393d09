"""What root in a jail may do to its own tree while the host looks at it, copies it, or takes it away."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from jaild.adapters.files import (
    config_tree,
    fingerprint,
    treeadded,
)
from jaild.adapters.files import (
    copy as treecopy,
)
from jaild.adapters.files import (
    remove as treeremoval,
)
from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.model import bounds
from jaild.model.errors import JaildError, ResourceExhaustedError
from jaild.model.salvage import Loss
from jaild.trees.openat import DEEPEST, NotAFileError, StepError, opened, reached, reading


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "secret").write_text("of the host")
    return folder


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    (folder / "d").mkdir(parents=True)
    (folder / "d/own").write_text("the jail's")
    return folder


def swap_when_entered(etc: Path, victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `d` become a link to the host just before it is opened, by whatever way, after it was looked at."""

    def hooked(real: Callable[..., Any]) -> Callable[..., Any]:
        def hook(path: Any = ".", *arguments: Any, **keywords: Any) -> Any:
            entered = isinstance(path, str | bytes) and Path(os.fsdecode(path)).name == "d"
            if entered and not (etc / "d").is_symlink():
                (etc / "d").rename(etc / "aside")
                (etc / "d").symlink_to(victim)
            return real(path, *arguments, **keywords)

        return hook

    for name in ("scandir", "open"):
        monkeypatch.setattr(os, name, hooked(getattr(os, name)))


def test_a_folder_that_becomes_a_link_while_it_is_looked_at_is_not_entered(
    etc: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    line = fingerprint.line

    def noted(path: bytes, status: os.stat_result) -> bytes:
        seen.append(path)
        return line(path, status)

    monkeypatch.setattr(fingerprint, "line", noted)
    swap_when_entered(etc, victim, monkeypatch)
    fingerprint.state(etc)
    assert (etc / "d").is_symlink()
    assert b"d/secret" not in seen


@pytest.fixture(params=[fingerprint.state, config_tree.read])
def look_at(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return request.param  # type: ignore[no-any-return]


def test_content_beyond_the_limit_is_not_read(
    etc: Path, look_at: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for reader in (config_tree, fingerprint):
        monkeypatch.setattr(reader, "LIMIT", 10 * bounds.TREE_ENTRY)
    look_at(etc)
    with (etc / "endless").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ResourceExhaustedError) as refused:
        look_at(etc)
    assert (refused.value.reason, refused.value.detail["path"]) == ("TREE_TOO_LARGE", "endless")


def test_entries_beyond_the_limit_are_not_looked_at(
    etc: Path, look_at: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (etc / str(number)).touch()
    look_at(etc)
    for reader in (config_tree, fingerprint):
        monkeypatch.setattr(reader, "LIMIT", 10 * bounds.TREE_ENTRY)
    with pytest.raises(ResourceExhaustedError) as refused:
        look_at(etc)
    assert refused.value.reason == "TREE_TOO_LARGE"


BEYOND = 700  # more than calls can be nested or descriptors be held then, and a path be long
NAME = "folder"


@pytest.fixture
def scarce() -> Iterator[None]:
    """Let a process nest fewer calls and hold fewer descriptors than usual, so that BEYOND is soon reached."""
    calls, files = sys.getrecursionlimit(), resource.getrlimit(resource.RLIMIT_NOFILE)
    sys.setrecursionlimit(600)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, files[1]))
    yield
    sys.setrecursionlimit(calls)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)


def deepen(folder: Path, depth: int) -> None:
    """Make a folder in a folder in a folder, deeper than any path can say."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(NAME, dir_fd=descriptor)
        inner = os.open(NAME, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


@pytest.mark.usefixtures("scarce")
def test_folders_in_folders_without_end_are_refused(etc: Path, look_at: Callable[[Path], object]) -> None:
    deepen(etc, BEYOND)
    with pytest.raises(ResourceExhaustedError) as refused:
        look_at(etc)
    assert refused.value.reason == "TREE_TOO_LARGE"
    treeremoval.remove(etc)


@pytest.mark.usefixtures("scarce")
def test_folders_in_folders_without_end_are_removed(etc: Path, tmp_path: Path) -> None:
    deepen(etc, BEYOND)
    deepen(etc / "d", BEYOND)
    treeremoval.remove(etc)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("scarce")
def test_folders_in_folders_without_end_are_not_copied(etc: Path, tmp_path: Path) -> None:
    deepen(etc, BEYOND)
    with pytest.raises(JaildError) as refused:
        treecopy.copy(etc, tmp_path / "copy", Event())
    assert refused.value.reason == "TREE_TOO_LARGE"
    assert list(treeadded.added(etc, etc)) == []
    for tree in (etc, tmp_path / "copy"):
        treeremoval.remove(tree)


@pytest.mark.usefixtures("scarce")
async def test_folders_in_folders_without_end_are_told_as_lost_and_the_rest_is_salvaged(etc: Path) -> None:
    deepen(etc, BEYOND)
    losses: list[Loss] = []
    stream = b"".join([chunk async for chunk in HostFileTrees().read(etc, losses)])
    assert b"the jail's" in stream
    assert [(loss.lost, loss.reason) for loss in losses] == [(True, f"deeper than {DEEPEST} folders")]
    treeremoval.remove(etc)


def test_a_pipe_and_a_link_are_not_opened_as_a_file(etc: Path, victim: Path) -> None:
    os.mkfifo(etc / "pipe")
    (etc / "link").symlink_to(victim / "secret")
    with opened(etc) as folder:
        with pytest.raises(NotAFileError), reading("pipe", within=folder):
            pass
        with pytest.raises(OSError, match="link"), reading("link", within=folder):
            pass


def test_the_way_down_ends_at_a_link_and_says_which_step_it_is(etc: Path, victim: Path) -> None:
    (etc / "d/out").symlink_to(victim)
    with pytest.raises(StepError) as refused, reached(etc, ("d", "out", "secret")):
        pass
    assert (refused.value.depth, refused.value.is_link) == (2, True)
    with pytest.raises(StepError) as refused, reached(etc, ("d", "none")):
        pass
    assert (refused.value.depth, refused.value.is_link) == (2, False)
