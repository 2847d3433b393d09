"""What is installed is what is in the checkout: a wheel has no other source."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]


def test_the_wheel_has_every_file_of_the_package() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    patterns = told["*"]  # below each folder with an __init__.py
    assert set(told) == {"*"}
    missing = []
    for path in (ROOT / "jaild").rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
            if not any(fnmatch(str(path.relative_to(package)), pattern) for pattern in patterns):
                missing.append(str(path.relative_to(ROOT)))
    assert missing == []
