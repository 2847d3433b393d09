"""What is asked first, and what is asked elsewhere."""

from __future__ import annotations

import pytest
from google.protobuf import empty_pb2

from jaild.cli.client import mutation
from jaild.cli.output.exits import Exit
from jaild.v1 import common_pb2, jails_pb2, volumes_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status
from tests.unit.cli.test_changes import JAIL


@pytest.mark.parametrize(
    ("codes", "typed", "deleted"),
    [((), "y\n", True), ((), "n\n", False), (("ONLY_COPY",), "web\n", True), (("ONLY_COPY",), "y\n", False)],
)
def test_a_deletion_asks_on_a_terminal_by_its_name_where_nobody_else_has_the_data(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, codes: tuple[str, ...], typed: str, *, deleted: bool
) -> None:
    asked = common_pb2.Plan(
        kind="delete", target="jails/web", problems=[common_pb2.Problem(code=code, message="gone") for code in codes]
    )
    daemon.answers = [operation(asked, kind="delete"), operation(empty_pb2.Empty(), kind="delete")]
    monkeypatch.setattr(mutation, "at_terminal", lambda: True)
    result = jailctl("jail", "rm", "web", stdin=typed.encode())
    assert [request.validate_only for request in daemon.requests] == ([True, False] if deleted else [True])
    assert result.exit_code == (0 if deleted else Exit.ABORTED)
    assert ("error: not deleted" in result.stderr) is not deleted
    assert "plan: delete jails/web" in result.stderr


def test_the_owner_is_asked_where_the_jail_is_not_this_hosts(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_MOVED, owner="beta")]
    nobody = jailctl("--follow-owner", "jail", "stop", "web")
    assert (nobody.exit_code, "there is no context 'beta'" in nobody.stderr) == (Exit.USAGE, True)
    addition = "jailctl context add beta --address 10.0.0.2:8443 --ca FILE --cert FILE --key FILE"
    assert addition in nobody.stderr
    ask = "ask: jailctl --context beta jail show web"
    moved = status("FAILED_PRECONDITION", "JAIL_MOVED", "it moved", hint=ask, owner="beta", address="10.0.0.2:8443")
    unknown = status("FAILED_PRECONDITION", "JAIL_MOVED", "it moved", hint=ask, owner="beta")
    daemon.answers = [unknown]
    assert addition.replace("10.0.0.2:8443", "HOST:PORT") in jailctl("jail", "stop", "web").stderr
    daemon.answers = [moved, moved]
    assert addition in jailctl("jail", "stop", "web").stderr
    assert jailctl("context", "add", "beta", "--address", daemon.address).exit_code == 0
    assert addition not in jailctl("jail", "stop", "web").stderr
    daemon.answers = [operation(JAIL, kind="stop"), operation(JAIL, kind="stop")]
    followed = jailctl("--follow-owner", "jail", "stop", "web")
    assert (followed.exit_code, followed.stderr) == (0, "the jail is that of beta: asking there\n")
    piped = jailctl("--follow-owner", "jail", "exec", "web", "--", "cat", "0", stdin=b"all of it")
    assert piped.stdout_bytes == b"all of it"  # nothing of it was read for the host that was asked first
    daemon.jails = [JAIL]
    assert jailctl("--follow-owner", "jail", "stop", "web").stderr == ""
    assert jailctl("--follow-owner", "jail", "stop", "web", "db").exit_code == Exit.USAGE


def test_volumes_are_listed_and_one_that_no_spec_names_is_removed_after_asking(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [line.split() for line in jailctl("volume", "ls", "--no-headers").stdout.splitlines()]
    assert listed == [
        ["web", "db", "/var/db/x", "mounted", "0B", "2K", "-"],
        ["web", "old", "-", "kept", "1M", "1G", "-"],
    ]
    plan = common_pb2.Plan(
        kind="remove-volume", problems=[common_pb2.Problem(code="VOLUME_LOST", message="1M of files")]
    )
    daemon.answers = [operation(plan), operation(empty_pb2.Empty(), kind="remove-volume", target="jails/web")] * 2
    monkeypatch.setattr(mutation, "at_terminal", lambda: True)
    asked = jailctl("volume", "rm", "web", "old", stdin=b"y\n")
    assert (asked.exit_code, "1M of files" in asked.stderr) == (0, True)
    daemon.answers = daemon.answers[1:]
    assert jailctl("volume", "rm", "web", "old", "--yes").stdout == "remove-volume jails/web: done\n"
    requests = daemon.asked(volumes_pb2.DeleteVolumeRequest)
    assert [(r.name, r.validate_only) for r in requests] == [
        ("jails/web/volumes/old", only) for only in (True, False, False)
    ]
