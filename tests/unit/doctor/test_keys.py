"""What `jaild doctor` says of keys."""

from __future__ import annotations

from pathlib import Path

from jaild.adapters.system.keys import ConfiguredKeys, KeySource
from jaild.adapters.system.process import ProcessRunner
from jaild.doctor.facts.keys import keys


async def test_a_key_that_cannot_be_read_is_an_error_and_none_is_shown(tmp_path: Path) -> None:
    (file := tmp_path / "key").write_text("correct horse")
    file.chmod(0o600)
    sources = {"a": KeySource(file=file), "b": KeySource(file=tmp_path / "missing")}
    [check] = await keys(sorted(sources), ConfiguredKeys(ProcessRunner(), sources))
    assert check.summary == "2 keys"
    assert [(problem.code, problem.subject) for problem in check.problems] == [("KEY_UNREADABLE", "keys.b")]
    assert "correct horse" not in str(check)
    assert await keys([], ConfiguredKeys(ProcessRunner(), {})) == []
