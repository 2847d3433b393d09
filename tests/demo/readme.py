"""Puts the numbers of build/demo.json and build/bench.json into the README: `python -m tests.demo.readme`.

What stands between `<!-- demo-table -->` and `<!-- /demo-table -->` (and bench-table) is replaced, the rest is left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import report

ROOT = Path(__file__).parents[2]


def demo_table(document: Mapping[str, Any]) -> str:
    """The demo's steps, and what became of the writes."""
    rows = [
        (
            step["name"],
            step["result"].replace("_", " "),
            f"{step['seconds']:.1f}",
            _blackout(step["blackout_daemon_s"]),
            _blackout(step["blackout_client_s"]),
        )
        for step in document["steps"]
    ]
    heads = ("step", "result", "seconds", "blackout, daemon (s)", "blackout, client (s)")
    sum_up = f"{document['acknowledged_writes']} acknowledged writes, {document['lost_writes']} lost."
    return f"{_table(heads, rows)}\n\n{sum_up}"


def bench_table(document: Mapping[str, Any]) -> str:
    """What was measured, beside its goals."""
    rows = [
        (
            row.what,
            row.measured,
            row.reference,
            row.ratio,
            _verdict(row.goal.told, met=row.goal.met) if row.goal else "",
        )
        for row in report.rows(document)
    ]
    return _table(("what", "jaild", "beside", "ratio (least to greatest)", "goal"), rows)


def fill(text: str, name: str, content: str) -> str:
    """Return `text` with `content` between the markers of `name`; `ValueError` if they are not there once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise ValueError(f"the README must have {begin} and {end}, once and in this order")
    return f"{text[: text.index(begin)]}{begin}\n{content}\n{text[text.index(end) :]}"


def write(root: Path) -> list[str]:
    """Fill the README of `root` from what is in its build folder; return which files were there."""
    readme = root / "README.md"
    text, used = readme.read_text(), []
    sources: dict[str, Callable[[Mapping[str, Any]], str]] = {"demo": demo_table, "bench": bench_table}
    for name, render in sources.items():
        source = root / "build" / f"{name}.json"
        if source.exists():
            text = fill(text, f"{name}-table", render(json.loads(source.read_text())))
            used.append(source.name)
    readme.write_text(text)
    return used


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _blackout(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds else ""


def _verdict(told: str, *, met: bool) -> str:
    return f"{told}: {'met' if met else 'missed'}"


if __name__ == "__main__":
    if not (found := write(ROOT)):
        sys.exit("there is neither build/demo.json nor build/bench.json: make demo, make bench")
    print(f"README.md is filled from {' and '.join(found)}")  # noqa: T201
