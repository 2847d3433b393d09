"""Host keys, made by a base's real ssh-keygen, and machine ids: each jail's own, over upgrades."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import clibrary
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, metadata
from tests.tars import file, folder

pytestmark = pytest.mark.real(*LINUX_HOST, "ssh-keygen", "ldd")

NAMES = ("ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key.pub", "machine-id")


def base(path: Path, version: str) -> Path:
    shared = [file(f"etc/{name}", f"{name} of the image {version}\n".encode(), 0o600) for name in NAMES]
    return trees.with_files(path, version, clibrary.programs("ssh-keygen"), folder("etc/ssh"), *shared)


def identity(api: Client, jail: str) -> list[str]:
    return [api.sh(jail, f"cat /etc/{name}") for name in NAMES]


def test_each_jail_has_host_keys_and_a_machine_id_of_its_own_and_keeps_them(api: Client, tmp_path: Path) -> None:
    imported = api.done(api.import_begin("keyed-1", base(tmp_path / "keyed-1.tgz", "1")))
    assert [problem.code for problem in metadata(imported).plan.problems] == ["SHARED_IDENTITY"]
    api.import_base("keyed-2", base(tmp_path / "keyed-2.tgz", "2"))
    for name in ("keyed-a", "keyed-b"):
        api.create(name, trees.spec("keyed-1", "web/1"))
    first, other = identity(api, "keyed-a"), identity(api, "keyed-b")
    assert not set(first) & set(other)
    assert first[0].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert not any("of the image" in text for text in first)
    api.upgrade("keyed-a", "keyed-2")
    assert identity(api, "keyed-a") == first
    assert api.sh("keyed-a", "stat -c %a /etc/ssh/ssh_host_ed25519_key; cat /etc/motd") == "600\ntiny 2\n"
    api.rollback("keyed-a", generation=1)
    assert identity(api, "keyed-a") == first
    for name in ("keyed-a", "keyed-b"):
        api.delete(name)
