"""What works on a tree that a jail's root can write goes by open folders, never by a path: a house rule.

Any folder on a path can be swapped for a link at any moment; `jaild/trees/openat.py` says how else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.sources import parsed

ADAPTERS = Path(__file__).parents[3] / "jaild/adapters"
TREES = "../trees"
# The modules that touch what a jail can write to: /etc, data, volumes, a tree that is mounted.
MODULES = (
    *(
        "files/folders",
        "files/jailtrees",
        f"{TREES}/openat",
        f"{TREES}/reader",
        f"{TREES}/writer",
        "files/salvage_reader",
        "files/salvage_writer",
        "files/treeadded",
        "files/copy",
        "files/filecopy",
        "files/matching",
        "files/owners",
        "files/remove",
        "files/config_tree",
    ),
    *("files/fingerprint", "files/config_tree_update", "oci/mount_syscalls", "oci/mounts", "runtime/treepaths"),
)
# What may go by a path there, and why.
ALLOWED = {
    ("oci/mount_syscalls", "read_text"): "the kernel's own words in /proc",
    ("oci/mounts", "open"): "the kernel's own words in /proc",
    ("oci/mounts", "read_text"): "the kernel's own words in /proc",
    ("oci/mounts", "os.scandir"): "of the folder that a tree lies in: the run folder is the daemon's alone",
    ("oci/mounts", "mkdir"): "the tree's root: the run folder is the daemon's alone",
    ("runtime/treepaths", "resolve"): "what lies above a layer is the operator's",
    ("files/copy", "mkdir"): "its destination: what lies above it is the daemon's",
    ("files/remove", "resolve"): "what lies above what is removed is the daemon's",
    ("files/config_tree", "mkdir"): "its destination: what lies above it is the daemon's",
    ("files/filecopy", "os.listxattr"): "of a descriptor",
    (f"{TREES}/openat", "os.listdir"): "of a descriptor: the one place",
    (f"{TREES}/openat", "os.open"): "the folder to begin with: the one place",
    **{
        (name, "os.utime"): "of a descriptor"
        for name in (
            *("files/salvage_writer", "files/filecopy", "files/config_tree_update", "files/config_tree"),
            f"{TREES}/writer",
        )
    },
}
BY_FOLDER = frozenset({"dir_fd", "src_dir_fd"})  # the parameters by which os goes by an open folder
# Functions of os that take a path, if they have no such parameter here.
OS = frozenset(
    {
        "access",
        "chdir",
        "chmod",
        "chown",
        "link",
        "listdir",
        "listxattr",
        "lstat",
        "mkdir",
        "mkfifo",
        "mknod",
        "open",
        "readlink",
        "remove",
        "removedirs",
        "rename",
        "renames",
        "replace",
        "rmdir",
        "scandir",
        "stat",
        "statvfs",
        "symlink",
        "truncate",
        "unlink",
        "utime",
        "walk",
    }
)
METHODS = frozenset(
    {
        "chmod",
        "exists",
        "glob",
        "group",
        "hardlink_to",
        "is_dir",
        "is_file",
        "is_mount",
        "is_symlink",
        "iterdir",
        "lchmod",
        "lstat",
        "mkdir",
        "open",
        "owner",
        "read_bytes",
        "read_text",
        "readlink",
        "rename",
        "resolve",
        "rglob",
        "rmdir",
        "samefile",
        "stat",
        "symlink_to",
        "touch",
        "unlink",
        "walk",
        "write_bytes",
        "write_text",
    }
)
ANYWHERE = frozenset({"open", "shutil.copytree", "shutil.rmtree", "shutil.copyfile", "shutil.copy2", "shutil.move"})


def by_path(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module goes by a path."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        whole = ast.unparse(node.func)
        keywords = {keyword.arg for keyword in node.keywords}
        name = whole.rpartition(".")[2]
        of_os = whole == f"os.{name}"
        if (of_os and name in OS and not keywords & BY_FOLDER) or whole in ANYWHERE or whole.startswith("os.path."):
            yield whole
        elif isinstance(node.func, ast.Attribute) and not of_os and name in METHODS:
            yield name


@pytest.mark.parametrize(
    "text",
    [
        "os.open(path, os.O_RDONLY)",
        "os.stat(path)",
        "os.scandir(folder)",
        "os.walk(folder)",
        "os.path.exists(path)",
        "open(path)",
        "folder.iterdir()",
        "(folder / name).read_bytes()",
        "shutil.rmtree(folder)",
    ],
)
def test_the_rule_sees(text: str) -> None:
    assert list(by_path(ast.parse(text)))


@pytest.mark.parametrize(
    "text", ["os.open(name, flags, dir_fd=folder)", "os.fstat(folder)", "reading(name, within=folder)", "file.read(5)"]
)
def test_the_rule_lets_pass(text: str) -> None:
    assert not list(by_path(ast.parse(text)))


def test_what_works_on_a_jails_tree_goes_by_open_folders() -> None:
    found = {(name, what) for name in MODULES for what in by_path(parsed(ADAPTERS / f"{name}.py"))}
    assert found - ALLOWED.keys() == set()
    assert ALLOWED.keys() - found == set(), "an exception that nobody needs any more: take it out of the list"
