"""A host's files in a scratch folder, beside a folder that stands for the rest of the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles

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
