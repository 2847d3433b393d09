"""`python -m tests.faults.soak`: a jail that writes moves back and forth between two real daemons: build/soak.json.

Real ZFS, real containers, mutual TLS over a real link. By a seeded chance a daemon is killed, a host loses its power,
or the link is cut, at a random moment of a migration.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.longrunning import operations_pb2

from jaild.model.errors import JaildError
from tests.demo.hosts import CHECKOUT
from tests.demo.interrupts import Interrupts
from tests.e2e import trees
from tests.e2e.client import metadata, until
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node
from tests.e2e.pair import JAIL as ADDRESS
from tests.e2e.pair import Pair, paired, reaches
from tests.faults import ledger, leftovers, report
from tests.faults.report import say
from tests.patience import patient

JAIL = "edge-1"
_MIGRATION = "mig-"  # what names of migrations' snapshots begin with, where nobody else makes any
_TAG = re.compile(rf"{_MIGRATION}[0-9a-f]+-\w+")
_LATEST = patient(2.5)  # seconds after a migration's begin until trouble comes
_LONGEST_CUT = 6.0  # seconds
_SETTLES = patient(300.0)  # seconds: a source asks a target that is away anew, less and less often
_BUDGET = patient(10.0)  # seconds that a downtime may be predicted at
TROUBLES = ("source killed", "target killed", "source without power", "target without power", "link cut")
# Beside the ledger, so that each round has something to send.
_LOAD = f"(while :; do head -c 131072 /dev/urandom > /var/load; sleep {patient(0.1):g}; done) &"


@dataclass
class Move:
    """One migration: what happened to it and what came out."""

    source: str
    target: str
    trouble: str = ""
    after: float = 0.0  # seconds from its begin
    outcome: str = ""  # moved, stayed
    error: str = ""
    downtime: float | None = None
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Soak:
    """A pair under way."""

    def __init__(self, pair: Pair, chance: random.Random, rate: float) -> None:
        self._pair = pair
        self._chance = chance
        self._rate = rate

    def begin(self, workshop: Path) -> None:
        """Make the jail, and let it have been on both hosts."""
        api = self._pair.alpha.api
        api.import_base("tiny-1", trees.base(workshop / "tiny-1.tgz"))
        api.push("web/1", trees.release(workshop / "web-1.tgz", "1"), manifest=MANIFEST)
        command = json.dumps(["/bin/sh", "-c", _LOAD + ledger.WRITER])
        network = f"{{mode: vnet, addresses: [{ADDRESS}]}}"
        api.create(JAIL, trees.spec("tiny-1", "web/1", command=command, network=network))
        until(lambda: bool(self._acknowledged()))
        for node in (self._pair.alpha, self._pair.beta):
            until(lambda node=node: reaches(node, JAIL, self._pair.others(node)))  # type: ignore[misc]
            node.api.migrate(JAIL, self._pair.others(node).name)

    def move(self) -> Move:
        """Migrate the jail to the other host, in trouble or not; return what came of it when all is quiet."""
        source = self._owner()
        target = self._pair.others(source)
        move = Move(source.name, target.name)
        until(lambda: reaches(source, JAIL, target), _SETTLES)
        began = time.monotonic()
        operation = source.api.migrate_begin(JAIL, target.name, seconds=_BUDGET)
        if self._chance.random() < self._rate:
            move.trouble = self._chance.choice(TROUBLES)
            move.after = round(self._chance.uniform(0, _LATEST), 2)
            time.sleep(move.after)
            self._make_trouble(move.trouble, source, target)
        if not move.trouble.startswith("source"):
            ended = _ended(source, operation)
            told = metadata(ended)
            move.error = ended.error.message if ended.HasField("error") else ""
            move.downtime = told.downtime.ToTimedelta().total_seconds() if told.HasField("downtime") else None
        self._settle(move, target)
        move.seconds = round(time.monotonic() - began, 2)
        return move

    def leftovers(self) -> dict[str, Counter[str]]:
        """Return what owner and other have, in names that are the same for every migration."""
        owner = self._owner()
        found = {}
        for role, node in (("owner", owner), ("other", self._pair.others(owner))):
            lines = [f"{what}: {each}" for what, listed in node.traces().items() for each in listed]
            found[role] = Counter(_TAG.sub(f"{_MIGRATION}*", line).replace(str(node.folder), "") for line in lines)
        return found

    # -- trouble

    def _make_trouble(self, trouble: str, source: Node, target: Node) -> None:
        victim = source if trouble.startswith("source") else target
        pause = self._chance.uniform(0, 1)
        if trouble == "link cut":
            self._pair.link(source, "down")
            time.sleep(self._chance.uniform(0.2, _LONGEST_CUT))
            self._pair.link(source, "up")
            return
        if trouble.endswith("killed"):
            victim.kill()
        else:
            victim.power_cut()
        time.sleep(pause)
        victim.start()

    # -- what came of it

    def _settle(self, move: Move, target: Node) -> None:
        try:
            until(self._quiet, _SETTLES)
            owners, running = self._pair.owners(JAIL), self._pair.running_on(JAIL)
            move.outcome = "moved" if owners == [target.name] else "stayed" if len(owners) == 1 else f"owners {owners}"
            if len(owners) != 1 or running != owners:
                move.problems.append(f"owned by {owners}, runs on {running}")
                return
            said = len(self._acknowledged())
            until(lambda: len(self._acknowledged()) > said)
            move.problems += ledger.problems(self._acknowledged(), self._written())
        except (AssertionError, JaildError, grpc.RpcError) as error:
            move.problems.append(f"never quiet: {error}"[:500])

    def _quiet(self) -> bool:
        """Whether all has settled. A connection that nothing was sent on for a minute may turn out to be closed."""
        try:
            return self._pair.settled(JAIL)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False

    def _owner(self) -> Node:
        name = self._pair.owners(JAIL)[0]
        return self._pair.alpha if name == self._pair.alpha.name else self._pair.beta

    def _acknowledged(self) -> list[int]:
        logs = [node.folder / "log" / f"{JAIL}.log" for node in (self._pair.alpha, self._pair.beta)]
        return [number for log in logs for number in ledger.acknowledged(log)]

    def _written(self) -> list[int]:
        text = self._owner().seen(f"jails/{JAIL}/data/{ledger.FILE}").read_text()
        return [int(line) for line in text.split()]


def _ended(node: Node, operation: Any) -> Any:
    """Wait for an operation's end, longer than any one call may take."""

    def now() -> Any:
        return node.api.call(node.api.operations.GetOperation, operations_pb2.GetOperationRequest(name=operation.name))

    until(lambda: bool(now().done), _SETTLES)
    return now()


def summary(moves: Sequence[Move], orphans: Sequence[str]) -> dict[str, Any]:
    """Count what matters."""
    downtimes = [move.downtime for move in moves if move.outcome == "moved" and move.downtime is not None]
    problems = [problem for move in moves for problem in move.problems]
    return {
        "migrations": len(moves),
        "moved": sum(move.outcome == "moved" for move in moves),
        "stayed": sum(move.outcome == "stayed" for move in moves),
        "troubles": dict(sorted(Counter(move.trouble for move in moves if move.trouble).items())),
        "lost_writes": sum(problem.startswith("lost") for problem in problems),
        "double_owners": sum(move.outcome.startswith("owners [") and "," in move.outcome for move in moves),
        "no_owner": sum(move.outcome == "owners []" for move in moves),
        "orphans": len(orphans),
        "problems": problems + list(orphans),
        "downtime_median": round(statistics.median(downtimes), 3) if downtimes else None,
        "downtime_max": round(max(downtimes), 3) if downtimes else None,
        "downtimes_measured": len(downtimes),
    }


def soak(count: int, seed: int, rate: float) -> tuple[list[Move], list[str]]:
    """Move `count` times; return what came of each, and what is left over after two more without trouble."""
    moves = []
    with paired() as pair, tempfile.TemporaryDirectory(prefix="jsoak-") as workshop:
        run = Soak(pair, random.Random(seed), rate)  # noqa: S311 -- no secret
        run.begin(Path(workshop))
        without_trouble = run.leftovers()
        for number in range(1, count + 1):
            moves.append(run.move())
            say(f"{number}/{count} {asdict(moves[-1])}")
            if moves[-1].problems:
                return moves, []
        calm = Soak(pair, random.Random(seed), 0)  # noqa: S311
        moves += [calm.move(), calm.move()]
        now = calm.leftovers()
        return moves, [
            f"{role}: {line}" for role in now for line in leftovers.difference(now[role], without_trouble[role])
        ]


def main() -> int:
    """Return the exit status: 0 if nothing was lost and nothing is left over."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--migrations", type=int, default=100, metavar="N", help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))  # noqa: S311
    parser.add_argument("--rate", type=float, default=0.3, help="how many of them are in trouble (default: 0.3)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "soak.json")
    given = parser.parse_args()
    if os.geteuid() != 0:
        say("soak: needs root: pools, mounts, containers")
        return 1
    say(f"soak: seed {given.seed}")
    began = time.monotonic()
    with Interrupts():
        moves, orphans = soak(given.migrations, given.seed, given.rate)
    found = summary(moves, orphans)
    document = {**report.about("tests.faults.soak", given.seed, began), **found}
    report.write(given.output, document, {"rows": [asdict(move) for move in moves]})
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
