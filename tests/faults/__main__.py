"""`python -m tests.faults`: a fault at every step of a migration, on real ZFS and a real runtime: build/faults.json.

The status is 0 if every point was survived: one owner that serves, nothing lost, nothing left over. The model of three
hosts (`tests.model`) is part of it, unless only some points are wanted.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.room import remove_cgroups, room
from tests.demo.hosts import CHECKOUT
from tests.demo.interrupts import Interrupts
from tests.faults import report
from tests.faults.report import say
from tests.model.run import run

_SEEDS = 1 << 16
_MODEL_STEPS = 5000


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--points", type=int, default=0, metavar="N", help="only N of them, spread (default: all)")
    parser.add_argument("--seed", type=int, default=random.randrange(_SEEDS), help="which N")  # noqa: S311
    parser.add_argument("--only", default="", metavar="REGEX", help="only those whose name matches, as progress has it")
    parser.add_argument("--workers", type=int, default=1, help="pairs of hosts side by side (default: 1)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "faults.json")
    parser.add_argument("--model-steps", type=int, default=None, help="of the model (default: 5000 beside all points)")
    given = parser.parse_args()
    if os.geteuid() != 0:
        say("faults: needs root: pools, mounts, containers")
        return 1
    say(f"faults: seed {given.seed}")
    began = time.monotonic()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with Interrupts():
        rows, status = _rows(given)
    model = _model(given)
    document = {**report.about("tests.faults", given.seed, began), **report.summary(rows), **model}
    report.write(given.output, document, {"rows": rows})
    return 0 if report.clean(rows) and status == 0 and not model.get("model_failed") else 1


def _model(given: argparse.Namespace) -> dict[str, Any]:
    """Carry the model out; return what the report says of it. What it found stands beside the output, in model.txt."""
    steps = given.model_steps
    if steps is None:
        steps = 0 if given.points or given.only else _MODEL_STEPS
    if not steps:
        return {}
    found = run(steps=steps, seed=given.seed)
    given.output.with_name("model.txt").write_text(found.text)
    say(found.text)
    return {"model_steps": found.steps, "model_examples": found.examples, "model_failed": found.failed}


def _rows(given: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
    """Run the workers; return what they told, and the worst status. Rows and logs stay beside the output."""
    folder = Path(tempfile.mkdtemp(prefix="jfaults-"))
    output: Path = given.output.absolute()  # the workers have another folder
    told = [output.with_name(f"{output.stem}-{part}.jsonl") for part in range(given.workers)]
    try:
        with ExitStack() as stack:
            running = []
            for part, rows in enumerate(told):
                place, cgroup = folder / str(part), f"{folder.name}-{part}"
                place.mkdir()
                stack.callback(remove_cgroups, cgroup)
                words: list[str | Path] = [sys.executable, "-m", "tests.faults.worker", place, cgroup, rows]
                inside = stack.enter_context(room())
                running.append(
                    inside.start([*words, *map(str, (part, given.workers, given.points, given.seed, given.only))])
                )
            status = max(abs(worker.wait()) for worker in running)
        return [json.loads(line) for rows in told for line in rows.read_text().splitlines()], status
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
