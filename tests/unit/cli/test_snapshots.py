"""Snapshots of jails, listed, taken, removed, and restored from, by hand."""

from __future__ import annotations

import time

import pytest
from google.protobuf import empty_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from jaild.cli.output.exits import Exit
from jaild.v1 import backups_pb2, jails_pb2, snapshots_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation
from tests.unit.cli.test_changes import JAIL


def test_snapshots_are_listed_with_whose_they_are(jailctl: Run) -> None:
    lines = [line.split() for line in jailctl("jail", "snapshots", "web", "--no-headers").stdout.splitlines()]
    assert [line[0] for line in lines] == ["autosnap_1", "mine"]
    assert lines[0][-2:] == ["others'", "-"]
    assert lines[1][-2:] == ["manual", "alice"]


def test_one_is_taken_by_the_jails_name_alone_and_removed_by_its_own(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="snapshot")] * 2 + [operation(empty_pb2.Empty(), kind="remove-snapshot")]
    assert jailctl("jail", "snapshot", "web", "--name", "mine").exit_code == 0
    assert jailctl("jail", "snapshot", "take", "web").exit_code == 0
    assert jailctl("jail", "snapshot", "rm", "web", "mine", "--yes").exit_code == 0
    named, unnamed = daemon.asked(snapshots_pb2.TakeJailSnapshotRequest)
    assert (named.parent, named.snapshot_id, unnamed.snapshot_id) == ("jails/web", "mine", "")
    (removed,) = daemon.asked(snapshots_pb2.DeleteJailSnapshotRequest)
    assert removed.name == "jails/web/snapshots/mine"
    assert jailctl("jail", "snapshot").exit_code in {0, Exit.USAGE}  # its help


@pytest.mark.parametrize(
    ("at", "snapshot", "ago"),
    [("mine", "mine", 0), ("@2h", "2h", 0), ("2h", "", 7200), ("1h30m", "", 5400), ("2001-09-09T01:46:40Z", "", 0)],
)
def test_a_restore_names_a_time_or_a_snapshot(jailctl: Run, daemon: Daemon, at: str, snapshot: str, ago: int) -> None:
    daemon.answers = [operation(JAIL, kind="restore")]
    assert jailctl("jail", "restore", "web", "--at", at, "--path", "/var/x").exit_code == 0
    (asked,) = daemon.asked(snapshots_pb2.RestoreJailRequest)
    assert (asked.name, asked.path, asked.snapshot) == ("jails/web", "/var/x", snapshot)
    if ago:
        assert asked.time.seconds == pytest.approx(time.time() - ago, abs=60)
    elif not snapshot:
        assert asked.time.seconds == 1_000_000_000


def test_another_jail_is_made_of_a_snapshot_or_the_jail_again_of_a_backup(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="import")]
    assert jailctl("jail", "restore", "web", "--from", "vault", "--into", "web-2").exit_code == 0
    (again,) = daemon.asked(backups_pb2.RestoreBackupRequest)
    assert (again.target, again.jail, again.jail_id) == ("vault", "jails/web", "web-2")
    reach = ("--ip", "10.0.0.8/24", "--no-ports")
    for wrong in (
        ("--into", "web-2"),
        ("--at", "1h", *reach),
        ("--from", "vault", "--into", "web-2", *reach),
        ("--path", "/var", "--from", "vault"),
        ("--path", "/v", "--into", "x", "--at", "1h"),
    ):
        assert jailctl("jail", "restore", "web", *wrong).exit_code == Exit.USAGE


def test_a_time_that_is_none_is_told_before_anything_is_asked(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("jail", "restore", "web", "--at", "2026-13-45").exit_code == Exit.USAGE
    assert jailctl("jail", "restore", "web").exit_code == Exit.USAGE
    assert daemon.requests == []


def test_a_jail_shows_how_its_schedule_is_and_that_it_fails(jailctl: Run, daemon: Daemon) -> None:
    jail = jails_pb2.Jail()
    jail.CopyFrom(JAIL)
    jail.spec.snapshots.every = "15m"
    jail.snapshots.count = 3
    jail.snapshots.newest_time.GetCurrentTime()
    daemon.jails = [jail]
    assert "every 15m, 3 kept, the newest" in jailctl("jail", "show", "web").stdout
    jail.snapshots.failing_since.CopyFrom(Timestamp(seconds=5))
    jail.snapshots.message = "out of space"
    assert "FAILING: out of space" in jailctl("jail", "show", "web").stdout
    jail.snapshots.ClearField("newest_time")
    assert "every 15m, none yet" in jailctl("jail", "show", "web").stdout
