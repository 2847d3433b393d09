"""Backups over a real sshd to another host's ZFS, and to a folder; a host that never had the jail makes it again."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.v1 import backups_pb2, jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted

pytestmark = pytest.mark.real(*LINUX_HOST, "sshd", "ssh", "ssh-keygen")
_SSHD = "/usr/sbin/sshd"  # it insists on its whole path


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    return folder


@pytest.fixture(scope="module")
def hosts(workshop: Path, keys: Path) -> Iterator[tuple[Node, Node]]:
    """Alpha, and beta, whose pool has the dataset that both send to: by an sshd among beta's mounts."""
    port, folder = _port(), keys / "vault"
    folder.mkdir()
    (keys / "known").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
    beta = Node("vault")
    ssh = {"host": "127.0.0.1", "port": port, "user": "root", "dataset": f"{beta.pool}/vault"}
    ssh |= {"identity": str(keys / "user"), "known_hosts": str(keys / "known"), "zfs": [shutil.which("zfs")]}
    config = {"backups": {"vault": {"ssh": ssh}, "disk": {"directory": {"path": str(folder)}}}}
    beta.config |= config
    (keys / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys / 'host'}\nAuthorizedKeysFile {keys / 'authorized'}\n"
        f"PidFile {keys / 'sshd.pid'}\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with hosted(beta), hosted(Node("alpha", config=config)) as alpha:
        furnish(alpha.api, workshop)
        furnish(beta.api, workshop)
        beta.zfs("create", "-o", "mountpoint=none", f"{beta.pool}/vault")
        sshd = subprocess.Popen(beta.mounts_argv(_SSHD, "-D", "-e", "-f", str(keys / "sshd.conf")))
        try:
            until(lambda: _listens(port))
            yield alpha, beta
        finally:
            sshd.terminate()
            sshd.wait(10)
            beta.zfs("destroy", "-r", f"{beta.pool}/vault")


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def send(api: Client, target: str) -> None:
    api.done(api.call(api.backups.BackUpJail, backups_pb2.BackUpJailRequest(name="jails/edge-1", target=target)))


def listed(api: Client, target: str) -> list[Any]:
    return list(api.call(api.backups.ListBackups, backups_pb2.ListBackupsRequest(target=target)).backups)


@pytest.mark.parametrize("target", ["vault", "disk"])
def test_another_host_makes_the_jail_of_its_second_backup(hosts: tuple[Node, Node], target: str) -> None:
    alpha, beta = hosts
    api, big = alpha.api, secrets.token_hex(8)
    api.create("edge-1", trees.spec("tiny-1", "web/1", volumes="{db: {path: /var/db/x}}"))
    try:
        api.sh("edge-1", f"echo {big} >/var/db/x/rows && echo first >/var/state")
        send(api, target)
        api.sh("edge-1", "echo second >/var/state")
        time.sleep(1)  # a backup is named by the second
        send(api, target)
        assert [backup.host for backup in listed(beta.api, target)] == ["alpha", "alpha"]
        request = backups_pb2.RestoreBackupRequest(target=target, jail="jails/edge-1", jail_id="again")
        beta.api.done(beta.api.call(beta.api.backups.RestoreBackup, request))
        assert beta.api.jail("again").state == jails_pb2.Jail.STATE_STOPPED
        beta.api.start("again")
        assert beta.api.sh("again", "cat /var/state /var/db/x/rows").split() == ["second", big]
        assert not [name for name in beta.datasets() if "/rehearsals/" in name]
    finally:
        api.delete("edge-1")
        if "again" in beta.api.names_of_jails():
            beta.api.delete("again")
