"""Every field that the daemon logs is in the reference of docs/operators.md, and every field there is logged."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.rpc import correlation
from tests.unit.project.sources import parsed

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]
OURS = sorted(
    path for path in (ROOT / "jaild").rglob("*.py") if not {"cli", "web", "salt"} & set(path.relative_to(ROOT).parts)
)
LOGS = {"debug", "info", "warning", "error", "exception", "critical"}
GIVEN = {"event", "level", "timestamp", "exception"}  # of every line, by what writes it
NOT_FIELDS = {"exc_info"}
# What is handed on by `**`: where, and what it is made of.
BY_NAME = {
    "jaild/engine/operations.py": {"operation", "kind", "target", "actor", "request", "reason", "result"},
    "jaild/jails/runs.py": {"status"},
    "jaild/engine/events.py": set(),  # details of events: their own call names them
}
_ROW = re.compile(r"(?m)^\| (`[^|]*`) \|")


def _is_logger(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.strip("_") == "log" or (isinstance(node, ast.Call) and "get_logger" in ast.unparse(node.func))


def _fields_of(call: ast.Call) -> Iterator[str]:
    """Yield the fields that a call of a logger, or one that emits an event, brings."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return
    logs = function.attr in LOGS | {"bind"} and _is_logger(function.value)
    emits = function.attr == "emit" or (
        function.attr in {"bind", "begin"} and ast.unparse(function.value) == "correlation"
    )
    if logs or emits:
        yield from (keyword.arg for keyword in call.keywords if keyword.arg is not None)


def logged() -> dict[str, set[str]]:
    """Return the fields of each module that logs."""
    found: dict[str, set[str]] = {}
    for path in OURS:
        name = str(path.relative_to(ROOT))
        fields = {field for node in ast.walk(parsed(path)) if isinstance(node, ast.Call) for field in _fields_of(node)}
        fields |= BY_NAME.get(name, set())
        if fields - NOT_FIELDS:
            found[name] = fields - NOT_FIELDS
    return found


def documented() -> set[str]:
    page = (ROOT / "docs/operators.md").read_text()
    table = page[page.index("### Fields of the log") :].split("\n## ")[0]
    return {name for row in _ROW.findall(table) for name in re.findall(r"`([a-z_0-9]+)`", row)}


def test_the_reference_has_every_field_and_no_other() -> None:
    fields = set().union(*logged().values()) | GIVEN | set(correlation.IDS)
    assert fields - documented() == set(), "logged, not in docs/operators.md"
    assert documented() - fields == set(), "in docs/operators.md, not logged"


def test_whatever_is_handed_on_by_name_is_known() -> None:
    """A `**` would bring fields that nobody sees here."""
    unseen = {
        str(path.relative_to(ROOT))
        for path in OURS
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and any(keyword.arg is None for keyword in node.keywords)
        and isinstance(node.func, ast.Attribute)
        and ((node.func.attr in LOGS and _is_logger(node.func.value)) or node.func.attr == "emit")
    }
    assert unseen - BY_NAME.keys() == set()
