"""What is asked of several hosts, and other words for what there is."""

from __future__ import annotations

import json

import click
import pytest

from jaild.cli.main import SHORTCUTS, command
from jaild.cli.output.exits import Exit
from jaild.v1 import jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation
from tests.unit.cli.test_listing import web


@pytest.fixture
def contexts(jailctl: Run, daemon: Daemon) -> None:
    for name, address in (("alpha", daemon.address), ("beta", "unix:///nowhere")):
        assert jailctl("context", "add", name, "--address", address).exit_code == 0


@pytest.mark.usefixtures("contexts")
def test_the_jails_of_all_contexts_are_listed_and_a_host_that_is_away_is_told(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web()]
    result = jailctl("jail", "ls", "-A", "--columns", "context,name,state")
    assert result.stdout.splitlines() == ["CONTEXT  NAME  STATE", "alpha    web   running"]
    assert result.exit_code == Exit.UNAVAILABLE
    assert "beta: cannot reach jaild at unix:///nowhere: there is no such socket: is jaild running?" in result.stderr
    assert "failed to connect" not in result.stderr
    assert "1 of 2 hosts did not answer" in result.stderr
    (jail,) = json.loads(jailctl("jail", "ls", "--all-contexts", "-o", "json").stdout)["jails"]
    assert (jail["context"], jail["name"]) == ("alpha", "jails/web")


@pytest.mark.usefixtures("contexts")
def test_hosts_and_peers_are_listed(jailctl: Run) -> None:
    head, alpha, beta = (line.split() for line in jailctl("host", "ls").stdout.splitlines())
    assert alpha[head.index("STATE")] in {"up", "drained"}
    assert (beta[0], beta[head.index("STATE")], beta[head.index("JAILS")]) == ("beta", "unreachable", "-")
    peers = [line.split() for line in jailctl("peer", "ls", "--no-headers").stdout.splitlines()]
    assert ["beta", "10.0.0.2:8443", "yes"] in peers  # the peer's address, not the context's
    (beta,) = json.loads(jailctl("peer", "ls", "-o", "json").stdout)["peerAddresses"]
    assert beta["address"] == "10.0.0.2:8443"


def test_all_contexts_without_any_is_told(jailctl: Run) -> None:
    assert jailctl("host", "ls").exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "words", [("ls",), ("list",), ("ps",), ("jail", "list"), ("show", "web"), ("jail", "info", "web")]
)
def test_other_tools_words_are_known(jailctl: Run, daemon: Daemon, words: tuple[str, ...]) -> None:
    daemon.jails = [web()]
    shown = jailctl(*words)
    assert (shown.exit_code, "web" in shown.stdout) == (0, True)


def test_a_shortcut_is_of_a_command_that_there_is_and_in_no_help() -> None:
    ctx = click.Context(command)
    for word in SHORTCUTS:
        assert command.get_command(ctx, word) is not None
        assert word not in command.list_commands(ctx)


def test_a_standby_is_named_in_the_spec_and_nothing_else_changes(jailctl: Run, daemon: Daemon) -> None:
    jail = web(etag="e", owner="beta")
    jail.spec.standby.peers.append("beta")
    daemon.jails = [jail]
    assert "no replica: its spec names only beta" in jailctl("jail", "ls").stdout
    daemon.answers = [operation(web(), kind="configure"), operation(web(), kind="configure")]
    assert jailctl("jail", "standby", "web", "alpha,gamma", "--interval", "5m").exit_code == 0
    assert jailctl("jail", "standby", "web", "--none").exit_code == 0
    named, none = daemon.asked(jails_pb2.ConfigureJailRequest)
    assert (named.etag, none.etag) == ("e", "e")
    assert "standby:\n  peers:\n  - alpha\n  - gamma\n  interval: 300.0" in named.spec.yaml
    assert "base: debian-12" in none.spec.yaml
    assert "standby" not in none.spec.yaml
    assert jailctl("jail", "standby", "web").exit_code == Exit.USAGE


def test_templates_are_listed_and_shown_as_they_are_written(jailctl: Run) -> None:
    assert jailctl("template", "ls", "--no-headers").stdout.split() == ["redis", "base,quota", "A", "Redis."]
    assert jailctl("template", "show", "redis").stdout == "# A Redis.\nbase: x\n"
