"""What is in templates/salt is tried: `make salt` takes a configuration, and all else is led to from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.node import CHECKOUT

TEMPLATES = CHECKOUT / "templates/salt"
# How a file names another one: a reaction, an orchestration or a state; and how a test of tests/salt names it.
_NAMES = (
    re.compile(r"salt://(jaild/[\w/]+)\.sls"),
    re.compile(r"(?:mods|sls): (jaild\.[\w.]+)"),
    re.compile(r'"(jaild\.(?:orch|host)\.\w+)"'),
    re.compile(r'configured\("([\w-]+)\.conf"\)'),
)


def file(name: str) -> Path:
    if name.startswith("jaild-"):
        return TEMPLATES / f"master.d/{name}.conf"
    return TEMPLATES / f"{name.replace('.', '/')}.sls"


def led_to(texts: list[str]) -> set[Path]:
    """Return the files that texts name, and those that these do."""
    found: set[Path] = set()
    while texts:
        text = texts.pop()
        for each in {file(name) for pattern in _NAMES for name in pattern.findall(text)} - found:
            found.add(each)
            texts.append(each.read_text())
    return found


@pytest.mark.rule
def test_no_file_of_templates_salt_is_one_that_no_test_runs() -> None:
    tests = [path.read_text() for path in (CHECKOUT / "tests/salt").glob("test_*.py")]
    assert led_to(tests) == {path for path in TEMPLATES.rglob("*") if path.is_file()}
