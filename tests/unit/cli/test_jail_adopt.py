"""`jailctl jail adopt`: what is asked of the daemon."""

from __future__ import annotations

from pathlib import Path

from jaild.v1 import foreign_jails_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

JAIL = jails_pb2.Jail(name="jails/web-1", state=jails_pb2.Jail.STATE_RUNNING, generation=1, base="bases/b")


def test_a_jail_is_called_as_its_tool_calls_it_as_far_as_that_is_a_name_here(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="adopt-foreign")]
    assert jailctl("jail", "adopt", "Web_1", "--from", "ezjail").exit_code == 0
    (request,) = daemon.asked(foreign_jails_pb2.AdoptForeignJailRequest)
    assert (request.tool, request.foreign_name, request.jail_id) == ("ezjail", "Web_1", "web-1")
    assert not request.stop_old
    assert not request.HasField("spec")


def test_all_that_can_be_said_is_sent(jailctl: Run, daemon: Daemon, tmp_path: Path) -> None:
    daemon.answers = [operation(JAIL, kind="adopt-foreign")]
    (tmp_path / "web.yaml").write_text("base: b\n")
    asked = ("--as", "web-1", "--base", "b", "-f", str(tmp_path / "web.yaml"), "--root", "/mnt/iocage", "--stop-old")
    assert jailctl("jail", "adopt", "web", "--from", "iocage", *asked, "--stopped").exit_code == 0
    (request,) = daemon.asked(foreign_jails_pb2.AdoptForeignJailRequest)
    assert (request.jail_id, request.base, request.root) == ("web-1", "b", "/mnt/iocage")
    assert request.spec.yaml == "base: b\n"
    assert request.stop_old
    assert request.stopped


def test_a_tool_that_nobody_knows_is_refused_here(jailctl: Run, daemon: Daemon) -> None:
    result = jailctl("jail", "adopt", "web", "--from", "cbsd")
    assert result.exit_code == 2
    assert "iocage" in result.stderr
    assert daemon.requests == []
