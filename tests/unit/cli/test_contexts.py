"""Which daemon is talked to, and with which certificates."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jaild.cli.client import contexts
from jaild.cli.client.contexts import Context, Contexts
from jaild.cli.client.settings import Settings
from jaild.cli.main import command
from tests.unit.cli.daemon import Daemon

PROD = Context("prod:8443", "/ca", "/cert", "/key")


@pytest.fixture
def known() -> None:
    contexts.save(Contexts(current="lab", known={"lab": Context("unix:///lab"), "prod": PROD}))


def run(*arguments: str, env: dict[str, str] | None = None) -> click.testing.Result:
    return CliRunner().invoke(command, list(arguments), env=env)


def test_without_contexts_it_is_the_local_socket() -> None:
    assert contexts.choose(Settings(), {}) == Context("unix:///var/run/jaild/jaild.sock")


@pytest.mark.parametrize("address", ["5", "caf\udce9", "null"])
def test_an_address_in_the_file_that_is_none_is_no_defect(home: Path, address: str) -> None:
    path = home / "config" / "jaild" / "contexts.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"contexts: {{odd: {{address: {address}}}}}\n", encoding="utf-8", errors="surrogateescape")

    assert run("--context", "odd", "jail", "ls").exit_code == 2


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("settings", "environment", "chosen"),
    [
        (Settings(), {}, Context("unix:///lab")),
        (Settings(), {"JAILCTL_CONTEXT": "prod"}, PROD),
        (Settings(), {"JAILCTL_ADDRESS": "unix:///env"}, Context("unix:///env")),
        (Settings(context="lab"), {"JAILCTL_CONTEXT": "prod"}, Context("unix:///lab")),
        (Settings(context="prod"), {"JAILCTL_ADDRESS": "unix:///env"}, PROD),
        (Settings(context="prod", address="other:1"), {}, Context("other:1", "/ca", "/cert", "/key")),
    ],
)
def test_options_come_before_the_environment_and_that_before_the_current_context(
    settings: Settings, environment: dict[str, str], chosen: Context
) -> None:
    assert contexts.choose(settings, environment) == chosen


@pytest.mark.usefixtures("known")
def test_certificates_are_never_shown_to_an_address_they_were_not_given_for() -> None:
    assert contexts.choose(Settings(address="evil:1"), {"JAILCTL_CONTEXT": "prod"}) == Context("evil:1")


@pytest.mark.usefixtures("known")
def test_tcp_without_certificates_is_refused() -> None:
    result = run("--address", "evil:1", "jail", "ls")

    assert result.exit_code == 2
    assert "needs certificates" in result.stderr


def test_a_context_is_added_used_listed_and_removed(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.touch()
    files = [f"--{kind}={pem}" for kind in ("ca", "cert", "key")]

    assert run("context", "add", "beta", "--address", "beta:8443", *files).exit_code == 0
    assert run("context", "add", "lab", "--address", "unix:///lab").exit_code == 0
    assert run("context", "use", "lab").exit_code == 0
    listed = json.loads(run("context", "ls", "-o", "json").stdout)
    assert listed["current"] == "lab"
    assert listed["contexts"][0] == {
        "name": "beta",
        "address": "beta:8443",
        "ca": str(pem),
        "cert": str(pem),
        "key": str(pem),
        "server_name": "",
    }
    assert run("context", "rm", "lab").exit_code == 0
    assert contexts.load().current == ""


def test_a_context_for_tcp_without_certificates_is_refused() -> None:
    assert run("context", "add", "beta", "--address", "beta:8443").exit_code == 2
    assert contexts.load().known == {}


def test_an_unknown_context_is_refused_with_those_there_are(known: None) -> None:  # noqa: ARG001
    result = run("--context", "moon", "jail", "ls")

    assert result.exit_code == 2
    assert "lab, prod" in result.stderr


@pytest.mark.parametrize("text", ["contexts: [1]", "contexts: {a: {nonsense: 1}}", "{", "- 1"])
def test_a_broken_contexts_file_is_named(text: str) -> None:
    contexts.path().parent.mkdir(parents=True)
    contexts.path().write_text(text)

    result = run("jail", "ls")

    assert result.exit_code == 2
    assert str(contexts.path()) in result.stderr


def test_a_context_reaches_its_daemon(daemon: Daemon) -> None:
    contexts.save(Contexts(known={"lab": Context(daemon.address.removeprefix("unix://"))}))

    assert run("jail", "ls", "--context", "lab").exit_code == 0


def test_a_daemon_that_is_not_there_is_told_with_its_address(tmp_path: Path) -> None:
    result = run("--address", f"unix://{tmp_path}/none.sock", "jail", "ls", "-o", "json")

    assert result.exit_code == 8
    assert f"{tmp_path}/none.sock" in result.stderr
    assert "--context" in result.stderr
