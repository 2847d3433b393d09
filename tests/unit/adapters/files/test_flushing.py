from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from pathlib import Path

import pytest

from jaild.adapters.files import flushing
from jaild.adapters.files.host import HostFiles
from jaild.model.errors import InternalError


@pytest.mark.parametrize("syncfs", [True, False])
async def test_a_folder_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, syncfs: bool
) -> None:
    if not syncfs:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
        monkeypatch.setattr(os, "sync", lambda: None)
    with pytest.raises(InternalError, match="FILE_FAILED"):
        await HostFiles(tmp_path).flush([tmp_path, tmp_path / "gone"])


async def test_a_flush_that_hangs_holds_up_nobody_who_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, freed = threading.Event(), threading.Event()

    def hangs(_: Path) -> None:
        begun.set()
        freed.wait()

    monkeypatch.setattr(flushing, "flush", hangs)
    task = asyncio.create_task(HostFiles(tmp_path).flush([tmp_path]))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        freed.set()


def test_where_there_is_no_syncfs_all_file_systems_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    monkeypatch.setattr(os, "sync", lambda: flushed.append("all"))
    flushing.flush(tmp_path)
    assert flushed == ["all"]
