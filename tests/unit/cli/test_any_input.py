"""Whatever is given to jailctl and wherever its streams go: every command ends with a word, none with a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from jaild.cli.main import command
from jaild.cli.output.exits import Exit
from tests.hosts.points import some
from tests.unit.cli.obliging import Obliging

ROOT = Path(__file__).parents[3]
JAILCTL, JAILD = "jaild.cli.main", "jaild.main"
# What each kind of argument and option is given; `{folder}` has the files.
GOOD = {
    "jail": "web",
    "base": "debian-12",
    "channel": "stable",
    "app": "redis",
    "release": "redis/7.2",
    "migration": "m1",
    "evacuation": "e1",
    "operation": "op-1",
    "rollout": "op-1",
    "share": "10%",
    "hosts": "beta,gamma",
    "seconds": "5s",
    "rate": "50M",
    "pair": "a=b",
    "variable": "A=b",
    "integer range": "3",
    "float range": "0",
    "filename": "{folder}/recipe.yaml",
    "file": "{folder}/recipe.yaml",
    "path": "{folder}/recipe.yaml",
}
BY_NAME = {
    "field": "spec",
    "path": "{folder}/recipe.yaml",
    "out": "{folder}/out",
    "archive": "{folder}/recipe.yaml",
    "source": "{folder}/recipe.yaml",
    "destination": "web:/var/x",
    "target": "beta",
    "topic": "jail",
}
LATIN = "caf\udce9"  # how Python has an argument that is no UTF-8
# What no kind of number takes, or what no field of the API holds.
NUMBERS = ("9" * 30, "9" * 400 + "h", "-9", "nan", "inf", "1e999", "")
NUMERIC = {"seconds", "rate", "integer", "integer range", "float range"}
# What a command needs besides what it calls required.
BESIDES = {
    ("app", "push"): ("--manifest", "{folder}/recipe.yaml"),
    ("jail", "restore"): ("--at", "1h"),
    ("jail", "create"): ("-f", "{folder}/recipe.yaml"),
    ("jail", "configure"): ("-f", "{folder}/recipe.yaml"),
    ("host", "evacuate"): ("--to", "beta"),
    ("adopt",): ("--force",),
    ("rollout", "start"): ("--channel", "stable"),
    ("context", "add"): ("--address", "/run/x.sock"),
    ("events",): ("-o", "json"),
    ("find",): ("--base", "*"),
    ("top",): ("--once",),
}
# Options that are no use here: they end before anything is done, or wait for ever.
ASIDE = {"help", "follow", "watch"}

# Of these the end is another's: of a command in a jail, of a layer, a host or a Zabbix that cannot be looked at, of a
# login that has no terminal, of records that are none.
OTHERS = {"exec", "find", "pull", "zabbix", "console", "cp"}

# It serves until it is interrupted.
ENDLESS = {("web",)}

Case = dict[str, Any]


def verbs(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(click.Context(group)):
        found = group.get_command(click.Context(group), name)
        if isinstance(found, click.Group):
            yield from verbs(found, *path, name)
        elif found is not None:
            yield (*path, name), found


ALL = dict(verbs(command))


def good(parameter: click.Parameter) -> str:
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    name = str(parameter.name)
    return BY_NAME[name] if name in BY_NAME else GOOD.get(parameter.type.name, "word")


def line(path: tuple[str, ...], other: click.Parameter | None = None, value: str = "") -> list[str]:
    """Return a command line with all that the command needs, and `value` for the parameter `other`."""
    options, arguments = list(BESIDES.get(path, ())), []
    for parameter in ALL[path].params:
        given = value if parameter is other else good(parameter)
        if isinstance(parameter, click.Argument):
            arguments.append(given)
        elif parameter is other or parameter.required:
            options += [parameter.opts[-1], given]
    return [*path, *options, "--", *arguments]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jailctl-") as made:
        folder = Path(made)
        (folder / "recipe.yaml").write_text("release: redis/7.2\nbase: debian-12\nsteps: [{run: [make]}]\n")
        (folder / "latin.yaml").write_bytes(b"release: caf\xe9/7.2\n")
        yield folder


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Obliging]:
    made = Obliging(f"{folder}/s")
    made.start()
    yield made
    made.stop()


def case_of(folder: Path, program: str, words: Iterable[str], **streams: str | None) -> Case:
    """Return what is to be run: a program (its module) with these words, and its streams as said."""
    argv = [word.replace("{folder}", str(folder)) for word in words]
    return {"program": program, "argv": argv, "streams": streams, "home": str(folder)}


def ended(folder: Path, cases: list[Case]) -> list[Case]:
    """Run each case; return them with how each ended."""
    environment = {
        **os.environ,
        "JAILCTL_ADDRESS": f"unix://{folder}/s",
        "EDITOR": "true",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.cli.forked"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
        timeout=100,
    )
    return [case | end for case, end in zip(cases, json.loads(done.stdout), strict=True)]


def ends(folder: Path, lines: Iterable[list[str]], **streams: str | None) -> list[Case]:
    """Run jailctl with each line and the streams as said; return the lines with how each ended."""
    return ended(folder, [case_of(folder, JAILCTL, words, **streams) for words in lines])


def astray(found: Iterable[Case]) -> list[Case]:
    """Return the cases that ended as no command may end."""
    words = ("Traceback", "Exception ignored", "Error in ")
    known = {status.value for status in Exit}
    return [case for case in found if case["status"] not in known or any(word in case["stderr"] for word in words)]


def parameters() -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    """Yield every argument and option that takes a value; those that all commands have, of one command."""
    for path, verb in ALL.items():
        for parameter in verb.params:
            everywhere = parameter.name in {"context", "address", "output"} and path != ("jail", "ls")
            if not (everywhere or parameter.name in ASIDE or getattr(parameter, "is_flag", False)):
                yield path, parameter


@pytest.mark.exhaustive
@pytest.mark.usefixtures("daemon")
def test_streams_that_are_closed_or_full_end_no_command_in_a_traceback_and_change_no_status(folder: Path) -> None:
    lines = [line(path) for path in some(sorted(ALL.keys() - ENDLESS))]

    usual = ends(folder, lines)
    closed = ends(folder, lines, stdin=None, stdout=None, stderr=None)
    unheard = ends(folder, lines, stderr="/dev/full")
    unread = ends(folder, lines, stdout="/dev/full")

    assert [case for case in usual if case["status"] != Exit.OK and OTHERS.isdisjoint(case["argv"])] == []
    assert astray(usual + unread) == []
    assert status_of(closed) == status_of(usual)
    assert status_of(unheard) == status_of(usual)
    for before, case in zip(usual, unread, strict=True):
        lost = bool(before["stdout"])
        assert case["status"] == (Exit.UNEXPECTED if lost else before["status"]), case
        assert ("cannot write to stdout: No space left on device" in case["stderr"]) is lost, case


def test_a_page_whose_address_cannot_be_told_is_not_served(folder: Path) -> None:
    [unread] = ends(folder, [["web", "--port", "0", "--", "word"]], stdout="/dev/full")

    assert unread["status"] == Exit.UNEXPECTED
    assert "cannot write to stdout: No space left on device" in unread["stderr"]


@pytest.mark.usefixtures("daemon")
def test_a_stdin_that_is_closed_is_an_empty_one_and_one_that_cannot_be_read_is_told(folder: Path) -> None:
    lines = [
        ["jail", "exec", "web", "true"],
        ["base", "import", "debian-12", "-"],
        ["app", "push", "redis/7.2", "-", "--manifest", "{folder}/recipe.yaml"],
        ["jail", "create", "web", "-f", "-"],
        ["jail", "configure", "web", "-f", "-"],
    ]

    found = ended(
        folder,
        [case_of(folder, JAILCTL, words, stdin=stdin) for stdin in (None, "/dev/null") for words in lines],
    )
    closed, unreadable = found[: len(lines)], found[len(lines) :]  # /dev/null is opened for writing only

    assert astray(found) == []
    assert status_of(closed) == [1, 0, 0, 0, 0]  # exec ends with the status that the daemon tells
    assert [case["status"] for case in unreadable] == [1, 1, 1, 2, 2]
    assert [case for case in unreadable if "Bad file descriptor" not in case["stderr"]] == []


@pytest.mark.exhaustive
@pytest.mark.usefixtures("daemon")
def test_no_text_that_is_no_utf8_ends_a_command_in_a_traceback(folder: Path) -> None:
    made = f"{{folder}}/{LATIN}"  # of a file that is written
    lines = [line(path, each, made if each.name == "out" else LATIN) for path, each in some(list(parameters()))]

    found = ends(folder, [*lines, [LATIN], ["jail", LATIN], ["jail", "ls", f"--{LATIN}"]])

    assert astray(found) == []
    assert [case for case in found if case["status"] not in {Exit.USAGE, Exit.OK}] == []


def test_a_file_that_is_no_utf8_is_named(folder: Path) -> None:
    files = [(path, each) for path, each in parameters() if each.type.name == "filename"]

    found = ends(folder, [line(path, parameter, "{folder}/latin.yaml") for path, parameter in files])

    assert len(found) == 7
    assert {case["status"] for case in found} == {Exit.USAGE}
    assert [case for case in found if "latin.yaml is no UTF-8 text, from byte 12 on" not in case["stderr"]] == []


@pytest.mark.exhaustive
@pytest.mark.usefixtures("daemon")
def test_no_number_that_no_field_holds_ends_a_command_in_a_traceback(folder: Path) -> None:
    numeric = [(path, each) for path, each in parameters() if each.type.name in NUMERIC]

    found = ends(folder, [line(path, parameter, number) for path, parameter in numeric for number in NUMBERS])

    assert len(found) > 50
    assert astray(found) == []
    assert {case["status"] for case in found} == {Exit.USAGE}


def test_a_closed_stream_of_the_real_program_gets_no_file_or_socket_of_its_own() -> None:
    look = "import os; from jaild import stdio; stdio.settle(); print(open(os.devnull).fileno())"
    shell = f"exec 0<&- 2>&-; '{sys.executable}' -c '{look}'"

    assert int(subprocess.check_output(["/bin/sh", "-c", shell], cwd=ROOT)) > 2


def test_nor_does_the_daemons_program(folder: Path) -> None:
    doctor = ["--config", "/nonexistent", "doctor"]
    cases = [
        case_of(folder, JAILD, ["--embedded", "/dev/null/x"]),
        case_of(folder, JAILD, ["--embedded", f"/tmp/{LATIN}"]),
        case_of(folder, JAILD, doctor, stdout="/dev/full"),
        case_of(folder, JAILD, [*doctor, "--json"], stdin=None, stdout=None),
    ]

    not_a_folder, latin, unread, closed = ended(folder, cases)

    assert astray([not_a_folder, latin, unread, closed]) == []
    assert {case["status"] for case in (not_a_folder, latin, unread, closed)} <= {1, 2}  # it is no host, or wrong
    assert "jaild: [Errno 20] Not a directory: '/dev/null/x'" in not_a_folder["stderr"]
    assert "b'/tmp/caf\\xe9' is no UTF-8" in latin["stderr"]
    assert "jaild: [Errno 28] No space left on device: 'stdout'" in unread["stderr"]


def status_of(cases: Iterable[Case]) -> list[int]:
    return [case["status"] for case in cases]
