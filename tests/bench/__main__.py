"""`python -m tests.bench`: measure, write build/bench.json, print it with the goals.

Nothing here fails for being slow: a status other than 0 means that it could not be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaild.adapters.zfs.private_namespace import kernel_has_zfs
from jaild.model import quantity
from tests.bench import migration, report
from tests.bench.room import remove_cgroups, room
from tests.bench.worker import pool_of
from tests.demo import assets
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import ProgramError, run


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7, help="of each change (default: 7)")
    parser.add_argument(
        "--sizes",
        type=lambda text: [quantity.parse(each) for each in text.split(",")],
        default=migration.SIZES,
        help="of the data that is migrated; 64M for a quick look (default: %(default)s)",
    )
    parser.add_argument("--migrations", type=int, default=3, help="of each size (default: 3)")
    parser.add_argument("--only", choices=("host", "migration"), help="measure this; keep the rest of the output file")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "bench.json")
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: needs root: pools, mounts, containers", file=sys.stderr)  # noqa: T201
        return 1
    document = _kept(given.output) if given.only else {}
    document |= _facts()
    if given.only != "migration":
        assets.prepare(say=print)
        measured = _measured(given.repetitions)
        if measured is None:
            return 1
        document |= measured
    if given.only != "host":
        load = os.getloadavg()
        document["migration"] = {"load_before": load, **migration.measure(given.sizes, given.migrations, print)}
    document["load_after"] = os.getloadavg()
    document["goals"] = [goal.document() for goal in report.goals(document)]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(document, indent=1) + "\n")
    report.show(document)
    print(f"written: {given.output}")  # noqa: T201
    return 0


def _kept(output: Path) -> dict[str, Any]:
    """What was measured before."""
    found: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    return found


def _measured(repetitions: int) -> dict[str, Any] | None:
    folder = Path(tempfile.mkdtemp(prefix="jbench-"))
    cgroup = folder.name
    result = folder / "result.json"
    work = folder / "work"
    work.mkdir()
    words: list[str | Path] = [sys.executable, "-m", "tests.bench.worker", work, result, cgroup, str(repetitions)]
    try:
        with room() as inside:
            status = inside.start(words).wait()
        if status == 0:
            found: dict[str, Any] = json.loads(result.read_text())
            return found
        words_of_daemon = _tail(work / "jaild.log")
        print(f"bench: could not measure; the daemon's last words:\n{words_of_daemon}", file=sys.stderr)  # noqa: T201
        return None
    finally:
        if kernel_has_zfs():  # a zfs-fuse ended with the room
            asyncio.run(pool_of(work).destroy())
        remove_cgroups(cgroup)
        shutil.rmtree(folder)


def _tail(log: Path) -> str:
    return log.read_text()[-3000:] if log.exists() else "(none)"


def _facts() -> dict[str, Any]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        "load_before": os.getloadavg(),
    }


def _commit() -> str:
    try:
        return run(["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"]).strip()
    except (ProgramError, FileNotFoundError):
        return ""  # not a checkout of git


if __name__ == "__main__":
    sys.exit(main())
