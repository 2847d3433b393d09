"""Help, completion, and how quick they are."""

from __future__ import annotations

import importlib.resources
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from jaild.cli.main import NOUNS, command
from jaild.cli.output import exits
from tests.unit.cli.daemon import Daemon


def verbs(group: click.Group, ctx: click.Context, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from verbs(found, ctx, *path, name)


ALL = list(verbs(command, click.Context(command)))


def complete(address: str, *words: str, incomplete: str = "") -> list[str]:
    completer = ShellComplete(command, {}, "jailctl", "_JAILCTL_COMPLETE")
    return [item.value for item in completer.get_completions(["--address", address, *words], incomplete)]


def test_every_command_has_a_one_line_summary_and_takes_an_output_form() -> None:
    for path, found in ALL:
        summary = (found.help or "").splitlines()[0]
        result = CliRunner().invoke(command, [*path, "--help"])

        assert summary.endswith("."), path
        assert len(summary) < 100, path
        assert result.exit_code == 0, path
        assert isinstance(found, click.Group) or "--output" in result.stdout, path


def test_every_verb_ends_its_help_with_examples_that_its_parser_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # What an example reads is nowhere here.
    monkeypatch.setattr(click.File, "convert", lambda *_: io.StringIO("text"))
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, _param, _ctx: value)
    for path, found in ALL:
        if isinstance(found, click.Group):
            continue
        examples = getattr(found, "examples", ())
        assert examples, path
        for example in examples:
            words = shlex.split(re.split(" [<>|] ", example)[0])  # the rest is the shell's
            assert tuple(words[: len(path)]) == path, example
            found.make_context(found.name, words[len(path) :], parent=click.Context(command))  # `UsageError` if not
        shown = CliRunner().invoke(command, [*path, "--help"]).stdout
        assert shown.endswith("".join(f"  jailctl {example}\n" for example in examples)), path


def test_the_roots_table_of_nouns_says_what_the_nouns_say() -> None:
    assert {path[0]: (found.help or "").strip() for path, found in ALL if len(path) == 1} == NOUNS


def test_every_exit_status_is_documented(daemon: Daemon) -> None:  # noqa: ARG001
    shown = CliRunner().invoke(command, ["help", "exit-codes"]).stdout

    assert set(exits.MEANING) == set(exits.Exit)
    assert all(meaning in shown for meaning in exits.MEANING.values())


def test_help_explains_a_command_in_its_place() -> None:
    assert "jail migrate [OPTIONS] NAME TARGET" in CliRunner().invoke(command, ["help", "jail", "migrate"]).stdout
    assert CliRunner().invoke(command, ["help", "jail", "fly"]).exit_code == 2


def test_the_roots_help_loads_neither_grpc_nor_rich() -> None:
    code = "import sys, json; from jaild.cli.main import command; command(['--help'], standalone_mode=False)"
    report = "; print(json.dumps([m for m in ('grpc', 'rich', 'google.protobuf', 'yaml') if m in sys.modules]))"

    shown = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)

    assert json.loads(shown.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shells_completion_script_calls_jailctl_back(shell: str) -> None:
    script = CliRunner().invoke(command, ["completion", shell]).stdout

    assert f"_JAILCTL_COMPLETE={shell}_complete" in script


def test_names_are_completed_by_asking_the_daemon(daemon: Daemon) -> None:
    assert complete(daemon.address, "base", "show", incomplete="debian-1") == ["debian-12", "debian-13"]
    assert complete(daemon.address, "jail", "deploy", "web", incomplete="redis/") == ["redis/7.0"]
    assert complete(daemon.address, "jail", "migrate", "web") == ["beta"]


def test_completion_without_a_daemon_is_empty_and_silent(capfd: pytest.CaptureFixture[str]) -> None:
    assert complete("unix:///nonexistent/jaild.sock", "jail", "show") == []
    assert complete("tcp:1", "jail", "show") == []
    assert capfd.readouterr() == ("", "")


def test_nouns_are_completed_without_a_daemon() -> None:
    assert complete("unix:///nonexistent", incomplete="mi") == ["migration"]


def test_the_version_is_the_packages() -> None:
    assert CliRunner().invoke(command, ["--version"]).stdout.startswith("jailctl, version 0.")


def test_an_example_takes_a_template_that_is_shipped() -> None:
    shipped = importlib.resources.files("jaild") / "templates"
    for _, found in ALL:
        for example in getattr(found, "examples", ()):
            for name in re.findall(r"--template (\S+)", example):
                template = shipped / f"{name}.yaml"
                assert template.is_file(), example
                wanted = set(re.findall(r"^[^#\n]*?\$\{(\w+)\}", template.read_text(encoding="utf-8"), re.MULTILINE))
                assert set(re.findall(r"--set (\w+)=", example)) == wanted, example


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("jial", "ls"), "jail"),
        (("jail", "sotp"), "stop"),
        (("version",), "--version"),
        (("jail", "set", "web"), "configure"),
        (("jail", "shell", "web"), "console"),
    ],
)
def test_a_word_that_is_no_command_is_answered_with_the_nearest(words: tuple[str, ...], meant: str) -> None:
    result = CliRunner().invoke(command, words)
    assert (result.exit_code, result.stderr.count(f"Did you mean {meant!r}?")) == (exits.Exit.USAGE, 1)
