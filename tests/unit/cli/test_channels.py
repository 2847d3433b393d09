"""`jailctl channel`, and what of channels other commands show."""

from __future__ import annotations

import pytest

from jaild.cli.output.exits import Exit
from jaild.v1 import channels_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

STABLE = channels_pb2.Channel(
    name="channels/stable",
    base="bases/debian-13",
    moves=[
        channels_pb2.ChannelMove(base="bases/debian-13", previous_base="bases/debian-12", actor="bob"),
        channels_pb2.ChannelMove(base="bases/debian-12", actor="ada"),
    ],
    followers=["jails/db", "jails/web"],
    behind=["jails/web"],
)


@pytest.fixture(autouse=True)
def channels(daemon: Daemon) -> None:
    daemon.channels = [STABLE]


def test_channels_are_listed_with_how_many_are_behind(jailctl: Run) -> None:
    lines = jailctl("channel", "ls").stdout.splitlines()
    assert lines[0].split() == ["NAME", "BASE", "FOLLOWERS", "BEHIND", "SET", "BY"]
    assert lines[1].split() == ["stable", "debian-13", "2", "1", "-", "bob"]


def test_a_channel_is_shown_with_its_history(jailctl: Run) -> None:
    shown = jailctl("channel", "show", "stable").stdout
    assert "debian-12 -> debian-13  bob" in shown
    assert "none -> debian-12  ada" in shown


def test_to_set_a_channel_says_who_is_then_behind(jailctl: Run, daemon: Daemon) -> None:
    told = jailctl("channel", "set", "stable", "debian-13").stdout
    assert told == "stable is debian-13: followed by 2 jails, 1 of them behind\n"
    (request,) = daemon.asked(channels_pb2.SetChannelRequest)
    assert (request.name, request.base) == ("channels/stable", "bases/debian-13")


def test_a_channel_is_removed(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("channel", "rm", "stable").stdout == "stable is removed\n"
    assert daemon.asked(channels_pb2.DeleteChannelRequest)[0].name == "channels/stable"


def test_a_jail_that_is_behind_says_so(jailctl: Run, daemon: Daemon) -> None:
    spec = jails_pb2.JailSpec(channel="stable")
    daemon.jails = [jails_pb2.Jail(name="jails/web", spec=spec, base="bases/debian-12", behind="bases/debian-13")]
    assert "behind stable (debian-13)" in jailctl("jail", "ls").stdout
    assert "stable, behind: it is debian-13 now" in jailctl("jail", "show", "web").stdout


def test_an_upgrade_names_a_base_or_a_channel(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(phase="plan", kind="upgrade", target="jails/web")]
    jailctl("jail", "upgrade", "web", "--channel", "stable", "--no-wait")
    (request,) = daemon.asked(jails_pb2.UpgradeBaseRequest)
    assert (request.base, request.channel) == ("", "channels/stable")
    for wrong in ((), ("debian-13", "--channel", "stable")):
        assert jailctl("jail", "upgrade", "web", *wrong).exit_code == Exit.USAGE
