"""What is kept of what a build's commands write."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.engine.operations import Handle, Operations
from jaild.layers.build_steps import BuildLog
from jaild.model import bounds
from jaild.model.views import Caller
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore


async def test_a_build_that_writes_without_end_fills_no_disk_and_its_error_still_has_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BUILD_LOG", 1000)
    operations = Operations(MemoryStore(), FakeClock())
    operation = operations.new("build", "apps/web/releases/1", Caller(actor="ada"))
    log = BuildLog(HostFiles(tmp_path / "spool"), tmp_path / "log", Handle(operations, operation.id))
    for number in range(100):
        await log.write(f"{number:099}\n".encode())
    text = (tmp_path / "log").read_text()
    assert len(text) < 1100
    assert text.startswith(f"{0:099}\n")
    assert text.count("the log ends here") == 1
    assert log.tail.endswith("99")
