"""`make demo`: two hosts on this machine, and a jail that lives, changes, fails, moves and ends on them.

Exit status 0: every step ended as it should, no acknowledged write was lost, and nothing is left on the machine.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from jaild.domain.errors import JaildError
from tests.demo import assets, leftovers, workspace
from tests.demo.assets import Assets
from tests.demo.daemons import DaemonError, Daemons, two_daemons
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST
from tests.demo.hosts import CHECKOUT, Topology, two_hosts
from tests.demo.interrupts import Interrupts
from tests.demo.leftovers import LeftoverError
from tests.demo.programs import ProgramError
from tests.demo.remote import ClientError
from tests.demo.screen import Screen
from tests.demo.story import Story, StoryError

REPORT = CHECKOUT / "build" / "demo.json"
LOGS = CHECKOUT / "build" / "demo-logs"
_EXPECTED = (StoryError, DaemonError, LeftoverError, ProgramError, ClientError, JaildError, OSError)
_INTERRUPTED = 130


def main() -> int:
    """Tell the story; returns the exit status."""
    screen = Screen()
    shutil.rmtree(LOGS, ignore_errors=True)  # those of an earlier run, if it failed
    with Interrupts() as interrupts:
        try:
            return _demo(screen, interrupts)
        except KeyboardInterrupt:
            screen.failure("interrupted; everything is cleaned up")
            return _INTERRUPTED
        except _EXPECTED as error:
            screen.failure(str(error))
            return 1


def _demo(screen: Screen, interrupts: Interrupts) -> int:
    began = time.monotonic()
    prepared = assets.prepare(say=screen.say)
    interrupts.hold()
    for name in workspace.sweep():
        screen.say(f"swept what the killed run {name} had left")
    inodes = frozenset[str]()
    with ExitStack() as stack:
        folder = stack.enter_context(workspace.opened())
        topology = stack.enter_context(two_hosts(folder.name))
        inodes = inodes.union(*(leftovers.namespaces_of(pid) for pid in topology.pids))
        interrupts.release()
        problems = _run(screen, interrupts, topology, folder, prepared)
    problems += [f"left on the machine: {thing}" for thing in leftovers.find(folder.name, folder, inodes)]
    for problem in problems:
        screen.failure(problem)
    if not problems:
        screen.say(f"nothing is left on the machine; {time.monotonic() - began:.0f} s in all; {REPORT} has the numbers")
    return 1 if problems else 0


def _run(screen: Screen, interrupts: Interrupts, topology: Topology, folder: Path, prepared: Assets) -> list[str]:
    """Tell the story and report; returns what makes the demo fail."""
    problems: list[str] = []
    with two_daemons(topology, folder) as daemons:
        screen.say(f"{folder.name}: hosts {SOURCE_HOST} and {TARGET_HOST}, a daemon and a pool each, peers by TLS")
        story = Story(daemons, prepared, screen, folder)
        try:
            story.tell()
            interrupts.hold()
            daemons.retire()
        except _EXPECTED as error:
            problems.append(str(error))
        finally:
            interrupts.hold()
            story.report.write(REPORT)
            screen.console.print()
            screen.console.print(story.report.table())
        problems = problems or story.report.problems(len(story.chapters))
        if problems:
            _keep_logs(screen, daemons)
    return problems


def _keep_logs(screen: Screen, daemons: Daemons) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    for host in (SOURCE_HOST, TARGET_HOST):
        shutil.copy(daemons.log(host), LOGS)
    screen.say(f"the daemons' logs are in {LOGS}")


if __name__ == "__main__":
    sys.exit(main())
