"""What `jaild doctor` says of backup targets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaild.doctor.checks import backups as checks
from jaild.doctor.checks.backups import FolderFacts, SshFacts
from jaild.doctor.facts import backups as facts
from jaild.model.backups.targets import Directory, Ssh, TargetSettings

FOLDER = FolderFacts(name="disk", path="/backup", there=True, writable=True)
SSH = SshFacts(name="vault", program=True, identity="/k", mode=0o600, known_hosts="/h", knows=True)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (FOLDER, ""),
        (FolderFacts(name="disk", path="/backup", there=False, writable=False), "BACKUP_FOLDER_MISSING"),
        (FolderFacts(name="disk", path="/backup", there=True, writable=False), "BACKUP_FOLDER_READ_ONLY"),
        (SSH, ""),
        (SshFacts(name="vault", program=True), ""),
        (SshFacts(name="vault", program=False), "SSH_MISSING"),
        (SshFacts(name="vault", program=True, identity="/k", mode=None), "BACKUP_KEY_MISSING"),
        (SshFacts(name="vault", program=True, identity="/k", mode=0o640), "KEY_EXPOSED"),
        (SshFacts(name="vault", program=True, identity="/k", mode=0o600, uid=7), "KEY_EXPOSED"),
        (SshFacts(name="vault", program=True, known_hosts="/h", knows=False), "BACKUP_HOST_UNKNOWN"),
    ],
)
def test_what_would_keep_a_backup_from_being_sent_is_told(found: FolderFacts | SshFacts, code: str) -> None:
    (check,) = checks.check([found])
    assert [problem.code for problem in check.problems] == ([code] if code else [])
    assert all(problem.hint and found.name in problem.message for problem in check.problems)


def test_a_host_without_targets_is_told_nothing() -> None:
    assert checks.check(facts.targets({})) == []


def test_files_and_folders_are_looked_at_as_they_are(tmp_path: Path) -> None:
    key, known = tmp_path / "key", tmp_path / "known"
    settings = {
        "vault": TargetSettings(ssh=Ssh(host="h", dataset="tank/b", identity=key, known_hosts=known)),
        "disk": TargetSettings(directory=Directory(path=tmp_path / "disk")),
    }
    disk, vault = facts.targets(settings)
    assert isinstance(disk, FolderFacts)
    assert isinstance(vault, SshFacts)
    assert (disk.there, vault.mode, vault.knows) == (False, None, False)
    (tmp_path / "disk").mkdir()
    key.touch(mode=0o640)
    key.chmod(0o640)
    known.write_text("h ssh-ed25519 AAAA\n")
    disk, vault = facts.targets(settings)
    assert isinstance(disk, FolderFacts)
    assert isinstance(vault, SshFacts)
    assert (disk.there, disk.writable) == (True, True)
    assert (vault.mode, vault.uid, vault.knows) == (0o640, os.getuid(), True)
