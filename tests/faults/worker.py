"""Runs points in the room: `python -m tests.faults.worker FOLDER CGROUP ROWS PART OF LIMIT SEED ONLY`, a row a line."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from jaild.adapters.oci import namespaces
from tests.demo.programs import run
from tests.fakes.faults import Crash
from tests.faults import matrix
from tests.faults.points import Point, spread
from tests.faults.report import document_of, say


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which points: of those that match `only`, `limit` by `seed`, and of these every `of`th from `part` on."""

    part: int
    of: int
    limit: int
    seed: int
    only: str

    def of_all(self, points: Sequence[Point]) -> list[Point]:
        """Return them."""
        wanted = [point for point in points if re.search(self.only, str(point))]
        return spread(wanted, self.limit, self.seed)[self.part :: self.of]


async def work(folder: Path, cgroup: str, output: Path, share: Share) -> None:
    """Write a row for each point of the share as soon as there is one."""
    chosen: list[Point] = []

    def choose(points: Sequence[Point]) -> Sequence[Point]:
        chosen.extend(share.of_all(points))
        say(f"{len(points)} points; {len(chosen)} for this worker")
        return chosen

    asyncio.get_running_loop().set_exception_handler(_note)
    done = 0
    with output.open("w") as rows:
        async for row in matrix.run(folder, cgroup, choose):
            done += 1
            structlog.get_logger("faults").info("point", point=str(row.point), problems=row.problems)
            rows.write(json.dumps(document_of(row)) + "\n")
            rows.flush()
            wrong = f" {row.problems}" if row.problems else ""
            say(f"{done}/{len(chosen)} {row.seconds:5.1f} s {row.point}: {row.outcome}{wrong}")


def _note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what nobody awaited, but for tasks of daemons that are dead."""
    if not isinstance(context.get("exception"), Crash):
        structlog.get_logger("faults").error("not awaited", **{name: str(value) for name, value in context.items()})


def main(folder: str, cgroup: str, output: str, part: str, of: str, limit: str, seed: str, only: str) -> None:
    """Run in the room's namespaces."""
    namespaces.FOLDER.mkdir(exist_ok=True)
    run(["mount", "-t", "tmpfs", "faults", str(namespaces.FOLDER)])
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(Path(output).with_suffix(".log").open("w")),
    )
    share = Share(part=int(part), of=int(of), limit=int(limit), seed=int(seed), only=only)
    asyncio.run(work(Path(folder), cgroup, Path(output), share))


if __name__ == "__main__":
    main(*sys.argv[1:9])
