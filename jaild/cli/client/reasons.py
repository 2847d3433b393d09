"""What an error's reason, or a problem's code, means: docs/errors.md, which comes with jailctl."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_ROW = re.compile(r"^\| `(?P<code>[A-Z][A-Z0-9_]*\*?)` \|(?P<told>.*)\|$", re.MULTILINE)
_CELLS = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+|INTERNAL", re.IGNORECASE)


@dataclass(frozen=True)
class Reason:
    """One of them. `PEER_*` stands for all that begin so."""

    code: str
    happened: str
    remedy: str


@cache
def known() -> dict[str, Reason]:
    """Return all by their code."""
    page = resources.files("jaild.cli").joinpath("errors.md").read_text("utf-8")
    return {row["code"]: _reason(row["code"], row["told"]) for row in _ROW.finditer(page)}


def find(code: str) -> Reason | None:
    """Return the one of this code, however it is written; None if there is none."""
    code = code.upper()
    family = next((name for name in known() if name.endswith("*") and code.startswith(name[:-1])), "")
    return known().get(code) or known().get(family)


def nearest(code: str) -> list[str]:
    """Return the codes that may be meant, the nearest first."""
    return difflib.get_close_matches(code.upper(), known(), n=3)


def _reason(code: str, told: str) -> Reason:
    *happened, remedy = (_plain(cell) for cell in _CELLS.split(told))
    return Reason(code, "; ".join(filter(None, happened)), remedy)


def _plain(cell: str) -> str:
    return _LINK.sub(r"\1", cell).replace("\\|", "|").replace("`", "").strip()
