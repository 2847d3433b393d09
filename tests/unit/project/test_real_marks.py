"""A test marked `real` is gated by what it needs itself, and not by what others do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST, Machine, require
from tests.unit.project.sources import parsed

pytestmark = pytest.mark.rule

TESTS = Path(__file__).parents[2]
LINUXS_OWN = frozenset({"runc", "busybox", "ip", "nft", "unshare", "nsenter", "zfs-fuse"})


@pytest.fixture
def freebsd(tmp_path: Path) -> Machine:
    for program in ("jail", "ifconfig", "mount", "daemon", "bsdtar", "zfs", "zpool"):
        (tmp_path / program).touch(mode=0o755)
    return Machine(system="FreeBSD", root=True, path=str(tmp_path))


@pytest.mark.parametrize("needs", [("root",), ("mount",), ("bsdtar", "mount"), ("FreeBSD", "jail", "daemon")])
def test_on_freebsd_a_test_runs_that_needs_nothing_of_linux(freebsd: Machine, needs: tuple[str, ...]) -> None:
    require(needs, freebsd)


@pytest.mark.parametrize("needs", [LINUX_HOST, ("Linux", "mount")])
def test_on_freebsd_what_needs_linux_is_skipped_even_where_everything_is_required(
    freebsd: Machine, needs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAILD_REQUIRE_ALL", "1")
    with pytest.raises(pytest.skip.Exception, match="it needs Linux"):
        require(needs, freebsd)


def test_what_can_be_had_and_is_not_there_is_a_failure_where_everything_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Machine(system="Linux", root=False, path=str(tmp_path))
    monkeypatch.delenv("JAILD_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"missing for this test: root, runc"):
        require(("Linux", "runc"), bare)
    monkeypatch.setenv("JAILD_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match=r"missing for this test: root, runc"):
        require(("Linux", "runc"), bare)


def marks() -> Iterator[tuple[str, ast.expr]]:
    """Yield each `pytest.mark.real` with what it is called with, by file."""
    for path in TESTS.rglob("*.py"):
        if "mark.real" not in path.read_text():
            continue
        tree = parsed(path)
        called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "real" and ast.unparse(node) == "pytest.mark.real":
                yield str(path.relative_to(TESTS)), called.get(id(node), node)


def test_every_real_test_names_what_it_needs_and_linux_if_it_needs_what_only_linux_has() -> None:
    found = list(marks())
    assert len(found) > 30
    unnamed = [path for path, mark in found if not isinstance(mark, ast.Call) or not mark.args]
    assert unnamed == []
    for path, mark in found:
        words = {node.value for node in ast.walk(mark) if isinstance(node, ast.Constant)}
        assert not words & LINUXS_OWN or "Linux" in words, path
