"""Backups, listed, sent and restored by hand."""

from __future__ import annotations

from jaild.v1 import backups_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation
from tests.unit.cli.test_changes import JAIL


def test_targets_and_what_is_there_are_listed(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("backup", "targets", "--no-headers").stdout.split() == ["vault", "jaild@192.0.2.9:tank/vault"]
    line = jailctl("backup", "ls", "vault", "web", "--no-headers").stdout.split()
    assert (line[0], line[1], line[-1]) == ("web", "backup-1", "alpha")
    (asked,) = daemon.asked(backups_pb2.ListBackupsRequest)
    assert (asked.target, asked.jail) == ("vault", "jails/web")


def test_one_is_sent_and_a_jail_is_made_of_it(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="backup")] + [operation(JAIL, kind="import")] * 3
    assert jailctl("backup", "send", "vault", "web").exit_code == 0
    (sent,) = daemon.asked(backups_pb2.BackUpJailRequest)
    assert (sent.target, sent.name) == ("vault", "jails/web")
    for at in ((), ("--at", "backup-1"), ("--at", "2d")):
        assert jailctl("backup", "restore", "vault", "web", "--as", "web-2", *at).exit_code == 0
    newest, named, old = daemon.asked(backups_pb2.RestoreBackupRequest)
    assert [request.jail_id for request in (newest, named, old)] == ["web-2"] * 3
    assert [request.WhichOneof("at") for request in (newest, named, old)] == [None, "backup", "time"]


def test_a_jail_shows_how_old_its_backups_are(jailctl: Run, daemon: Daemon) -> None:
    jail = jails_pb2.Jail()
    jail.CopyFrom(JAIL)
    jail.backups.add(target="vault").newest_time.GetCurrentTime()
    jail.backups.add(target="disk", message="not there")
    daemon.jails = [jail]
    shown = jailctl("jail", "show", "web").stdout
    assert "vault: " in shown
    assert "disk: none known; FAILING: not there" in shown
