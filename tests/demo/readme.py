"""Puts the numbers of build/NAME.json (make NAME) into README and docs: `python -m tests.demo.readme`.

`TABLES` says on which page each table stands. What is between `<!-- demo-table -->` and `<!-- /demo-table -->` (and so
on) is replaced, the rest is left.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
            _downtime(step["downtime_daemon_s"]),
            _downtime(step["downtime_client_s"]),
        )
        for step in document["steps"]
    ]
    heads = ("step", "result", "seconds", "downtime, daemon (s)", "downtime, client (s)")
    sum_up = f"{document['acknowledged_writes']} acknowledged writes, {document['lost_writes']} lost."
    parts = [_table(heads, rows), sum_up]
    if promises := document.get("rollout", []):
        parts.append(_table(("rollout", "planned", "happened"), [tuple(each.values()) for each in promises]))
    return "\n\n".join(parts)


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
    downtimes = [step["downtime_daemon_s"] for step in story["steps"] if step["name"].startswith("migrate")]
    rows = [
        ("cases of the ZFS contract that passed", contract),
        ("power cuts", f"{document['cuts']}, {document['survived']} survived"),
        ("acknowledged writes lost, things left over", f"{document['lost_writes']}, {document['orphans']}"),
        ("the demo's story", f"{story['acknowledged_writes']} acknowledged writes, {story['lost_writes']} lost"),
        ("its migrations' downtimes, under emulation", ", ".join(f"{seconds:.1f} s" for seconds in downtimes)),
        *_beyond_stop_and_start(document.get("downtimes", {})),
    ]
    rows += [(f"a rollout cut in mid-wave: {row['jails']}", row["happened"]) for row in document.get("rollout", [])]
    return _table(("what", "result"), rows)


def _beyond_stop_and_start(downtimes: Mapping[str, Mapping[str, Sequence[float]]]) -> list[tuple[str, str]]:
    rows = []
    for version, found in sorted(downtimes.items()):
        move, restart = median(found["migrate"]), median(found["restart"])
        what = f"downtime of a migration less that of a restart on {version}, under emulation (goal: under 0.7 s)"
        medians = f"medians of {len(found['migrate'])}: {move:.1f} and {restart:.1f} s"
        rows.append((what, f"{move - restart:.1f} s ({medians})"))
        if parted := found.get("migrate with 8 volumes"):
            what = f"downtime of a migration with 8 volumes to one with none on {version} (goal: at most 1.2)"
            rows.append((what, f"{median(parted) / move:.2f} (median of {len(parted)}: {median(parted):.1f} s)"))
    return rows


def faults_table(document: Mapping[str, Any]) -> str:
    """What became of the faults that were injected."""
    names = ("points", "survived", "lost", "double_owners", "no_owner")
    return _table([name.replace("_", " ") for name in names], [[str(document[name]) for name in names]])


def soak_table(document: Mapping[str, Any]) -> str:
    """What became of the jail that went back and forth."""
    names = ("migrations", "lost_writes", "orphans", "double_owners")
    return _table([name.replace("_", " ") for name in names], [[str(document[name]) for name in names]])


def truth_table(document: Mapping[str, Any]) -> str:
    """How often the proof and the linkers were asked, and how often they differed."""
    names = ("releases", "files", "programs", "loaded", "differences")
    heads = ("releases", "files judged", "of these programs", "loaded by the linker", "differences")
    return _table(heads, [[f"{document[name]:,}" for name in names]])


def fill(text: str, name: str, content: str) -> str:
    """Return `text` with `content` between the markers of `name`; `ValueError` if they are not there once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise ValueError(f"the page must have {begin} and {end}, once and in this order")
    return f"{text[: text.index(begin)]}{begin}\n{content}\n{text[text.index(end) :]}"


@dataclass(frozen=True)
class Table:
    """A table that is made of a result: the page that it stands on, from the root, and what makes it."""

    page: str
    render: Callable[[Mapping[str, Any]], str]


# By the name of its result (`build/NAME.json`) and of its markers (`NAME-table`).
TABLES: Mapping[str, Table] = {
    "demo": Table("README.md", demo_table),
    "bench": Table("docs/benchmarks.md", bench_table),
    "lab": Table("docs/lab.md", lab_table),
    "faults": Table("docs/faults.md", faults_table),
    "soak": Table("docs/faults.md", soak_table),
    "truth": Table("docs/contributing.md", truth_table),
}


def write(root: Path) -> dict[str, str]:
    """Fill the pages of `root` from what is in its build folder; return which result went to which page."""
    used = {}
    for name, table in TABLES.items():
        source, page = root / "build" / f"{name}.json", root / table.page
        if source.exists():
            page.write_text(fill(page.read_text(), f"{name}-table", table.render(json.loads(source.read_text()))))
            used[source.name] = table.page
    return used


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _downtime(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds else ""


def _verdict(told: str, *, met: bool) -> str:
    return f"{told}: {'met' if met else 'missed'}"


if __name__ == "__main__":
    if not (found := write(ROOT)):
        made = ", ".join(f"make {name}" for name in TABLES)
        sys.exit(f"build/ has none of {', '.join(TABLES)} (.json): {made}")
    for result, filled in found.items():
        print(f"{filled} is filled from {result}")  # noqa: T201
