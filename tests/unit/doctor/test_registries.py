"""What `jaild doctor` says of registries: the program and the files that they need."""

from __future__ import annotations

from pathlib import Path

from jaild.doctor.checks import registries as checks
from jaild.doctor.facts import registries as facts
from jaild.model.layers.registry import Registries, Registry


def codes(registries: Registries, skopeo: str | None = "/usr/bin/skopeo") -> list[str]:
    found = checks.check(len(registries), skopeo, facts.files(registries))
    return [problem.code for check in found for problem in check.problems]


def test_without_registries_nothing_is_asked_for() -> None:
    assert checks.check(0, None, []) == []


def test_without_skopeo_no_registry_can_be_asked() -> None:
    assert codes({"r.example": Registry()}) == []
    assert codes({"r.example": Registry()}, None) == ["PROGRAM_MISSING"]


def test_a_file_that_is_not_there_is_an_error_and_an_account_that_others_read_a_warning(tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    named = {"r.example": Registry(authfile=authfile, certificates=tmp_path)}
    assert codes(named) == ["REGISTRY_FILE_MISSING"]
    authfile.write_text("{}")
    authfile.chmod(0o644)
    assert codes(named) == ["KEY_EXPOSED"]
    others = [file for file in facts.files(named) if not file.secret]
    assert [file.setting for file in others] == ["certificates"]
    known = checks.RegistryFile(registry="r", setting="authfile", path="/a", there=True, secret=True)
    assert [problem for check in checks.check(1, "/s", [known]) for problem in check.problems] == []
