"""What ssh(1) is told, and what is made of it when it fails itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.backups.making import VaultAdapters
from jaild.adapters.backups.over_ssh import OverSsh
from jaild.adapters.backups.pool import PoolVault
from jaild.adapters.system.process import ProcessRunner
from jaild.model.backups.targets import Directory, Ssh, TargetSettings
from jaild.model.errors import UnavailableError
from jaild.ports.process import Completed

VAULT = Ssh(host="192.0.2.9", user="jaild", dataset="tank/vault", zfs=("doas", "/sbin/zfs"))


@dataclasses.dataclass
class Told:
    """Implements `Processes.run`: remembers what it was asked, and ends as it is told."""

    status: int = 0
    stderr: bytes = b""
    asked: list[Sequence[str]] = dataclasses.field(default_factory=list)

    async def run(self, argv: Sequence[str], **_: Any) -> Completed:
        self.asked.append(argv)
        return Completed(argv=tuple(argv), status=self.status, stdout=b"", stderr=self.stderr, seconds=0.0)


async def test_each_word_is_quoted_for_the_shell_there_and_no_option_is_made_of_a_name() -> None:
    told: Any = Told()
    await OverSsh(told, VAULT).run(["zfs", "get", "-o", "a b;$(x)", "tank/vault"])
    (argv,) = told.asked
    assert argv[:4] == ["ssh", "-T", "-p", "22"]
    assert argv[-3:] == ["--", "jaild@192.0.2.9", "doas /sbin/zfs get -o 'a b;$(x)' tank/vault"]
    assert "BatchMode=yes" in argv


async def test_the_key_and_the_known_hosts_are_those_of_the_settings() -> None:
    told: Any = Told()
    settings = Ssh(host="h", port=2222, dataset="tank/v", identity=Path("/k"), known_hosts=Path("/h"))
    await OverSsh(told, settings).run(["zfs", "version"])
    (argv,) = told.asked
    words = {"IdentityFile=/k", "IdentitiesOnly=yes", "UserKnownHostsFile=/h", "StrictHostKeyChecking=yes"}
    assert words <= set(argv)
    assert argv[-1] == "zfs version"


async def test_what_ssh_says_of_itself_is_told() -> None:
    told: Any = Told(status=255, stderr=b"banner\nPermission denied (publickey).\n")
    with pytest.raises(UnavailableError, match=r"Permission denied \(publickey\)\. \(BACKUP_UNREACHABLE\)") as caught:
        await OverSsh(told, VAULT).run(["zfs", "version"])
    assert "ssh -T" in caught.value.hint
    empty: Any = Told(status=255)
    with pytest.raises(UnavailableError, match="status 255"):
        await OverSsh(empty, VAULT).run(["zfs", "version"])


def test_a_target_is_one_of_the_two_and_no_option(tmp_path: Path) -> None:
    for wrong in (
        TargetSettings,
        lambda: TargetSettings(ssh=VAULT, directory=Directory(path=tmp_path)),
        lambda: Ssh(host="-oProxyCommand=x", dataset="tank"),
        lambda: Ssh(host="h", user="-l", dataset="tank"),
        lambda: Ssh(host="h", dataset="tank/-x"),
        lambda: Directory(path=Path("relative")),
    ):
        with pytest.raises(ValueError, match=r"give|none|absolute"):
            wrong()
    assert TargetSettings(ssh=VAULT).destination == "jaild@192.0.2.9:tank/vault"
    assert isinstance(VaultAdapters(ProcessRunner()).make(TargetSettings(ssh=VAULT)), PoolVault)
