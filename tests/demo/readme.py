"""Puts the numbers of build/{demo,bench,lab,faults,soak}.json into the README: `python -m tests.demo.readme`.

What stands between `<!-- demo-table -->` and `<!-- /demo-table -->` (and so on) is replaced, the rest is left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
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


def lab_table(document: Mapping[str, Any]) -> str:
    """What was tried on kernel OpenZFS."""
    contract = ", ".join(f"{passed} on {version}" for version, passed in sorted(document["contract"].items()))
    story = document["story"]
    blackouts = [step["blackout_daemon_s"] for step in story["steps"] if step["name"].startswith("migrate")]
    rows = [
        ("cases of the ZFS contract that passed", contract),
        ("power cuts", f"{document['cuts']}, {document['survived']} survived"),
        ("acknowledged writes lost, things left over", f"{document['lost_writes']}, {document['orphans']}"),
        ("the demo's story", f"{story['acknowledged_writes']} acknowledged writes, {story['lost_writes']} lost"),
        ("its migrations' blackouts, under emulation", ", ".join(f"{seconds:.1f} s" for seconds in blackouts)),
        *_beyond_stop_and_start(document.get("blackouts", {})),
    ]
    return _table(("what", "result"), rows)


def _beyond_stop_and_start(blackouts: Mapping[str, Mapping[str, Sequence[float]]]) -> list[tuple[str, str]]:
    rows = []
    for version, found in sorted(blackouts.items()):
        move, restart = median(found["migrate"]), median(found["restart"])
        what = f"blackout of a migration less that of a restart on {version}, under emulation (goal: under 1 s)"
        medians = f"medians of {len(found['migrate'])}: {move:.1f} and {restart:.1f} s"
        rows.append((what, f"{move - restart:.1f} s ({medians})"))
    return rows


def faults_table(document: Mapping[str, Any]) -> str:
    """What became of the faults that were injected."""
    names = ("points", "survived", "lost", "double_owners", "no_owner")
    return _table([name.replace("_", " ") for name in names], [[str(document[name]) for name in names]])


def soak_table(document: Mapping[str, Any]) -> str:
    """What became of the jail that went back and forth."""
    names = ("migrations", "lost_writes", "orphans", "double_owners")
    return _table([name.replace("_", " ") for name in names], [[str(document[name]) for name in names]])


def fill(text: str, name: str, content: str) -> str:
    """Return `text` with `content` between the markers of `name`; `ValueError` if they are not there once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise ValueError(f"the README must have {begin} and {end}, once and in this order")
    return f"{text[: text.index(begin)]}{begin}\n{content}\n{text[text.index(end) :]}"


_TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "demo": demo_table,
    "bench": bench_table,
    "lab": lab_table,
    "faults": faults_table,
    "soak": soak_table,
}


def write(root: Path) -> list[str]:
    """Fill the README of `root` from what is in its build folder; return which files were there."""
    readme = root / "README.md"
    text, used = readme.read_text(), []
    for name, render in _TABLES.items():
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
        sys.exit(
            f"build/ has none of {', '.join(_TABLES)} (.json): make demo, make bench, make lab, make faults, make soak"
        )
    print(f"README.md is filled from {' and '.join(found)}")  # noqa: T201
