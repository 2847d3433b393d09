"""What the matrix says, as build/faults.json has it and as people read it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.demo.hosts import CHECKOUT
from tests.demo.programs import ProgramError, run
from tests.faults.trial import Row


def document_of(row: Row) -> dict[str, Any]:
    """Return a row as JSON."""
    point = row.point
    return {
        "mode": point.mode if point else "",
        "side": point.side if point else "",
        "step": point.call if point else "",
        "nth": point.nth if point else 0,
        "fault": point.fault.value if point else "",
        "reached": row.reached,
        "outcome": row.outcome,
        "operation": row.operation,
        "owners": row.owners,
        "most_owners": row.most_owners,
        "lost": row.lost,
        "downtime": row.downtime,
        "seconds": round(row.seconds, 2),
        "problems": row.problems,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count what matters. A point that was not reached is told apart: it neither survived nor failed."""
    reached = [row for row in rows if row["reached"]]
    return {
        "points": len(reached),
        "survived": sum(not row["problems"] for row in reached),
        "lost": sum(row["lost"] for row in rows),
        "double_owners": sum(row["most_owners"] > 1 for row in rows),
        "no_owner": sum(not row["owners"] for row in rows),
        "not_reached": len(rows) - len(reached),
        "moved": sum(row["outcome"] == "moved" for row in reached),
        "stayed": sum(row["outcome"] == "stayed" for row in reached),
    }


def clean(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether every row is as it should be, reached or not."""
    return bool(rows) and not any(row["problems"] for row in rows)


def about(module: str, seed: int, began: float) -> dict[str, Any]:
    """Say what was run, on what, and for how long."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "command": " ".join(["python -m", module, *sys.argv[1:]]),
        "seed": seed,
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "seconds": round(time.monotonic() - began, 1),
    }


def write(output: Path, document: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
    """Write all of it, and show what is not a row."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({**document, **rows}, indent=1) + "\n")
    say(json.dumps(document, indent=1))
    say(f"written: {output}")


def say(what: str) -> None:
    """Tell whoever waits."""
    print(what, file=sys.stderr, flush=True)  # noqa: T201


def _commit() -> str:
    try:
        return run(["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"]).strip()
    except (ProgramError, FileNotFoundError):
        return ""  # not a checkout of git
