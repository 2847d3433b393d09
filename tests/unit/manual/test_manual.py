"""The manual has what the programs have, and mandoc(1) has nothing to say against it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import pytest

from jaild.cli.main import command
from jaild.cli.output import exits
from jaild.config import Config
from jaild.main import parser
from jaild.manual import commands, daemon, mdoc, settings, spec
from jaild.model.jails import reference

PAGES = [commands.page(), daemon.page(), settings.page(), spec.page()]
DAY = date(2026, 11, 9)
BY_NAME = {page.name: page.text(DAY) for page in PAGES}
# Said of pages that are not installed here: ours, and other packages'.
_ELSEWHERE = re.compile(r"STYLE: referenced manual not found|outdated mandoc.db")


def verbs(group: click.Group, ctx: click.Context) -> Iterator[click.Context]:
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        place = click.Context(found, info_name=name, parent=ctx)
        if isinstance(found, click.Group):
            yield from verbs(found, place)
        else:
            yield place


def test_every_verb_is_there_with_its_options_and_examples() -> None:
    whole = BY_NAME["jailctl"]
    for ctx in verbs(command, click.Context(command, info_name="jailctl")):
        _, found, after = whole.partition(f"\n.Nm {ctx.command_path}\n")
        assert found, ctx.command_path
        own = re.split(r"\n\.S[hs] ", after)[0]
        for option in ctx.command.params:
            if isinstance(option, click.Option) and not option.hidden:
                names = [mdoc.word(name.removeprefix("-")) for name in option.opts]
                assert all(f"Fl {name}" in own or f"Fl {name}" in whole.partition(".Sh COMMANDS")[0] for name in names)
        for example in getattr(ctx.command, "examples", ()):
            assert f"\njailctl {mdoc.escaped(example)}\n" in own


def test_every_exit_status_is_there() -> None:
    rows = dict(re.findall(r"^\.It (\d+)\n(.*)$", BY_NAME["jailctl"], re.MULTILINE))
    assert set(rows) == {str(status.value) for status in exits.Exit}


def test_every_argument_of_the_daemon_is_there() -> None:
    told = re.findall(r"--([a-z-]+)", parser().format_help())
    assert told
    assert [name for name in told if f"Fl \\&-{name}" not in BY_NAME["jaild"]] == []


def test_every_setting_is_there_and_says_what_it_is() -> None:
    told = {path: words for path, _, words in settings.settings()}
    assert {path for path in told if "." not in path} == {*Config.__struct_fields__}
    assert {"peers.NAME.tls.key", "grants.NAME.policy.builds.limits.memory", "log_rotation.keep"} <= {*told}
    assert [path for path, words in told.items() if not words] == []
    assert [path for path in told if f".It Cm \\&{path}\n" not in BY_NAME["jaild.yaml"]] == []
    assert "It is a number above 0; 120.0 if absent." in BY_NAME["jaild.yaml"]
    assert "[none, vnet, host] if absent." in " ".join(BY_NAME["jaild.yaml"].split())


def test_every_field_that_can_be_explained_is_there() -> None:
    page = BY_NAME["jaild-spec"]
    for root in reference.EXAMPLES:
        paths = [field.path.partition(".")[2] for field in spec.fields(root)]
        assert paths
        assert [path for path in paths if f".It Cm \\&{path}\n" not in page] == []


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("One. Two (and `three`).", ["One.", r"Two (and \(lqthree\(rq)."]),
        (".rc of 'her', C:\\x", [r"\&.rc of 'her', C:\ex"]),
        ("of FreeBSD: --plan", [r"of Free\&BSD: \-\-plan"]),
        ("a " * 60 + "z", ["a " * 38 + "a", "a " * 21 + "z"]),
    ],
)
def test_prose_means_itself(words: str, lines: list[str]) -> None:
    assert [*mdoc.prose(words)] == lines


def test_pages_are_written_below_a_folder_and_dated_as_the_package_is(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        argv = [sys.executable, "-m", "jaild.manual", str(folder)]
        env = {"SOURCE_DATE_EPOCH": "1794182400", "PYTHONPATH": str(Path(__file__).parents[3])}
        subprocess.run(argv, env=env, check=True)
    found = {str(path.relative_to(tmp_path / "one")): path.read_text() for path in (tmp_path / "one").rglob("*.?")}
    assert found == {page.path: page.text(DAY) for page in PAGES}
    assert found == {str(p.relative_to(tmp_path / "two")): p.read_text() for p in (tmp_path / "two").rglob("*.?")}


@pytest.mark.real("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_mandoc_finds_nothing_wrong(page: mdoc.Page, tmp_path: Path) -> None:
    path = tmp_path / f"{page.name}.{page.section}"
    path.write_text(page.text(DAY))
    done = subprocess.run(["mandoc", "-Tlint", str(path)], capture_output=True, text=True, check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if not _ELSEWHERE.search(line)] == []
