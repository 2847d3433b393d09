"""Tests stand on what modules offer: a private member (`_name`) is its own module's, in tests as everywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.sources import parsed

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]
BY_NAME = frozenset({"setattr", "getattr", "delattr", "hasattr", "object"})  # what takes a member's name as a string
# Of others, who offer no public way to it.
ALLOWED = {
    ("tests/lab/asker.py", "os._exit"): "the documented way to end a process without its handlers",
    ("tests/unit/cli/forked.py", "os._exit"): "the documented way to end a fork, which is no second run of its parent",
    ("tests/loopwatch/sitecustomize.py", "handles._run"): "asyncio tells nobody how long a callback took",
    ("tests/loopwatch/sitecustomize.py", "handle._callback"): "nor which one it was",
}


def is_private(name: str) -> bool:
    return name.startswith("_") and name.strip("_") != "" and not name.startswith("__")


def bound(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module itself gives to members: what it may use wherever it meets them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and of_itself(node):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def of_itself(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}


def privates(tree: ast.AST) -> Iterator[str]:
    """Yield the private members of others that a module reads, sets, imports or names to `setattr` and its like."""
    own = set(bound(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(name.name for name in node.names)]
            yield from filter(is_private, names)
        elif isinstance(node, ast.Import):
            yield from (part for name in node.names for part in name.name.split(".") if is_private(part))
        elif isinstance(node, ast.Call) and called(node) in BY_NAME:
            texts = [given.value for given in node.args if isinstance(given, ast.Constant)]
            yield from (text for text in texts if isinstance(text, str) and is_private(text.rpartition(".")[2]))


def called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("host.core._start_guard.settled()", ["host.core._start_guard"]),
        ("store._db = None", ["store._db"]),
        ("class Mine(Theirs):\n    def end(self):\n        self._gone()", ["self._gone"]),
        ("from jaild.adapters.zfs import _parse", ["_parse"]),
        ("from jaild.adapters.zfs._errors import refusal", ["_errors"]),
        ("import jaild._secret as open", ["_secret"]),
        ("monkeypatch.setattr(store, '_connection', None)", ["_connection"]),
        (
            "monkeypatch.setattr('jaild.adapters.system.process._REAPED', 1)",
            ["jaild.adapters.system.process._REAPED"],
        ),
        ("mock.patch.object(store, '_connection')", ["_connection"]),
        ("getattr(store, '_connection')", ["_connection"]),
        (
            "class Mine:\n  def __init__(self):\n    self._a = 1\n  def same(self, other):\n    return other._a",
            [],
        ),
        ("for _ in range(3):\n    thing.__class__", []),
    ],
)
def test_the_rule_sees(text: str, found: list[str]) -> None:
    assert list(privates(ast.parse(text))) == found


def test_tests_use_no_private_member_of_another_module() -> None:
    modules = [path for path in sorted((ROOT / "tests").rglob("*.py")) if "__pycache__" not in path.parts]
    assert len(modules) > 200
    found = {(str(path.relative_to(ROOT)), what) for path in modules for what in privates(parsed(path))}
    assert found - ALLOWED.keys() == set(), "use what the module offers, or let it offer what a test honestly needs"
    assert ALLOWED.keys() - found == set(), "an exception that nobody needs any more: take it out of the list"
