"""What users see is in the field's own words: docs, help, messages and the API have none of those that went."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from jaild.cli.main import command
from tests.unit.project.sources import parsed

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]
# A word that went, and what stands for it. `findings/` is a folder; `jail confirm-change` another verb.
WENT = {
    r"blackouts?": "downtime",
    r"(health |the )gates?": "readiness check",
    r"rehears\w*": "test migration",
    r"findings?(?!/)": "problem",
    r"remed(y|ies)": "hint",
    r"untidy": "cleanup pending",
    r"halted": "shut down",
    r"mend(s|ed|ing)?": "fix",
    r"jail confirm(?!-)": "jail force-start",
    r"jail damage": "jail data-loss",
    r"modes? `?own`?": "vnet",
    r"modes? `?shared`?(?!-)": "shared-ip",
    r"rule jails": "manage jails",
    r"is stronger": "overrides",
    r"is away since": "has been away for",
    r"\$\{places?\}": "variable",
}
_WENT = re.compile(rf"(?<![\w-])({'|'.join(WENT)})(?!\w)", re.IGNORECASE)
# By what name the first version stored something, sent it to other hosts, or took it: whole texts of the code.
KEPT = {
    *("remedy", "findings", "damages", "untidy", "rehearsal", "halted"),  # fields and values
    *("rehearsals", "halted.json"),  # a dataset, a file
    *("--rehearse", "HOST_HALTED", "jaild.peer.v1.Rehearsals", "/jaild.peer.v1.Rehearsals/Rehearse"),
    "/jaild.v1.Rehearsals/RehearseJail",
}


def _documents() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "proto/jaild/v1").glob("*.proto")):
        yield path.name, path.read_text()
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.is_file():
            yield path.name, path.read_text(errors="replace")


def _help(group: click.Group, *path: str) -> Iterator[tuple[str, str]]:
    context = click.Context(group, info_name="jailctl")
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield " ".join((*path, name)), found.get_help(click.Context(found, info_name=name))
        if isinstance(found, click.Group):
            yield from _help(found, *path, name)


def _texts() -> Iterator[tuple[str, str]]:
    """Every text of the code but those that explain it, and generated ones."""
    for path in sorted((ROOT / "jaild").rglob("*.py")):
        if path.stem.endswith(("_pb2", "_pb2_grpc")):
            continue
        tree = parsed(path)
        explaining = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explaining:
                text = node.value
                if text not in KEPT and text.removeprefix("{root}/").removeprefix("/") not in KEPT:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_no_word_that_went_comes_back() -> None:
    wrong = [
        f"{where}: {found[0]!r}"
        for where, text in (*_documents(), *_help(command), *_texts())
        for found in _WENT.finditer(text)
    ]
    assert wrong == []


# Numbers that are told exactly: what is compared, or bounded by another program in bytes.
EXACT = {
    *("jaild/adapters/archives/ociimages.py", "jaild/adapters/files/spool.py", "jaild/adapters/files/plain.py"),
    *("jaild/adapters/zfs/names.py", "jaild/adapters/freebsd/kernel_calls.py", "jaild/model/jails/quotas.py"),
    *("jaild/model/layers/archive.py", "jaild/model/layers/records.py", "jaild/model/operation.py"),
    *("jaild/model/salvage.py", "jaild/doctor/checks/host.py"),
}
_COUNTED = re.compile(
    r" (?:more )?(jail|host|file|layer|hook|snapshot|task|time|problem|error|warning|entrie|symlink|operation|release"
    r"|base|round|step|line|conflict|image|field)s\b"
)
_SIZED = re.compile(r" (bytes|[KMG]i?B)\b")


def _after_numbers(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Iterate over what stands behind a number that is put into a text: line, expression, what follows."""
    for node in ast.walk(tree):
        for number, after in itertools.pairwise(node.values) if isinstance(node, ast.JoinedStr) else ():
            if isinstance(number, ast.FormattedValue) and isinstance(after, ast.Constant):
                yield number.lineno, ast.unparse(number.value), str(after.value)


def test_counts_and_sizes_for_people_are_made_in_one_place() -> None:
    wrong = []
    for path in sorted((ROOT / "jaild").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for line, number, after in _after_numbers(parsed(path)):
            if number.lstrip("_").isupper():  # a bound that is not 1
                continue
            counted = _COUNTED.match(after) and re.search(r"len\(|count|number|fail|jails|times|left|more", number)
            if counted or (_SIZED.match(after) and name not in EXACT):
                wrong.append(f"{name}:{line}: {{{number}}}{after}: jaild.model.quantity")
    assert wrong == []
