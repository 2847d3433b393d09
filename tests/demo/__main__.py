"""`make demo`: two hosts on this machine, and a jail that lives, changes, fails, moves and ends on them.

`make demo SHOW=1` stays before the end, with what there is to look at, until Ctrl-C.

Exit status 0: every step ended as it should, no acknowledged write was lost, and nothing is left on the machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path

from jaild.model.errors import JaildError
from tests.demo import assets, freebsd, leftovers, workspace
from tests.demo.assets import Assets
from tests.demo.callers import CallError
from tests.demo.daemons import DaemonError, Daemons, two_daemons
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST
from tests.demo.hosts import CHECKOUT, JAIL_ADDRESS, Topology, two_hosts
from tests.demo.interrupts import Interrupts
from tests.demo.leftovers import LeftoverError
from tests.demo.programs import ProgramError
from tests.demo.remote import ClientError
from tests.demo.screen import Screen
from tests.demo.sights import Sights
from tests.demo.story import Setting, Story
from tests.demo.telling import StoryError

REPORT = CHECKOUT / "build" / "demo.json"
LOGS = "demo-logs"  # beside the report, of a run that failed
_EXPECTED = (
    *(StoryError, DaemonError, CallError, LeftoverError, ProgramError, ClientError, JaildError),
    *(OSError, subprocess.SubprocessError),
)
_INTERRUPTED = 130


def main(report: Path = REPORT, *, show: bool = False) -> int:
    """Tell the story, write the report; returns the exit status. `show`: stay before its end, until an interrupt."""
    screen = Screen()
    shutil.rmtree(report.parent / LOGS, ignore_errors=True)  # there only if an earlier run failed
    began = time.monotonic()
    with Interrupts() as interrupts:
        problems, interrupted = _demo(screen, interrupts, report, show=show)
    for problem in problems:
        screen.failure(problem)
    if interrupted:
        return _INTERRUPTED
    if not problems:
        screen.say(f"nothing is left on the machine; {time.monotonic() - began:.0f} s in all; the numbers: {report}")
    return 1 if problems else 0


def _demo(screen: Screen, interrupts: Interrupts, report: Path, *, show: bool) -> tuple[list[str], bool]:
    """Make the hosts and end them, whatever happens; returns what went wrong, and whether somebody wanted an end."""
    problems: list[str] = []
    run, interrupted = None, False
    namespaces, held = frozenset[str](), ExitStack()
    try:
        prepared = assets.prepare(say=screen.say)
        interrupts.hold()
        for name in workspace.sweep():
            screen.say(f"swept what the killed run {name} had left")
        with workspace.opened() as run, two_hosts(run.name) as topology:
            namespaces = held.enter_context(leftovers.pinned(topology.pids))
            interrupts.release()
            sights = Sights(topology.client, run, screen) if show else None
            problems += _run(screen, interrupts, topology, run, prepared, report, sights)
    except _EXPECTED as error:
        problems.append(str(error))
    except KeyboardInterrupt:
        problems.append("interrupted")
        interrupted = True
    with held:
        if run is not None:
            problems += [f"left on the machine: {thing}" for thing in leftovers.find(run.name, run, namespaces)]
    return problems, interrupted


def _run(
    screen: Screen,
    interrupts: Interrupts,
    topology: Topology,
    folder: Path,
    prepared: Assets,
    report: Path,
    sights: Sights | None,
) -> list[str]:
    """Tell the story and report; returns what makes the demo fail."""
    problems: list[str] = []
    with two_daemons(topology, folder, metrics=sights is not None) as daemons, sights or nullcontext():
        screen.say(f"{folder.name}: hosts {SOURCE_HOST} and {TARGET_HOST}, a daemon and a pool each, peers by TLS")
        story = Story(daemons, prepared, screen, folder, Setting(address=JAIL_ADDRESS))
        try:
            if sights is None:
                story.tell()
            else:
                sights.open(daemons)  # so early, to see all of it
                story.tell(sights.show)
            interrupts.hold()
            daemons.retire()
        except _EXPECTED as error:
            problems.append(str(error))
        except KeyboardInterrupt:
            screen.say("interrupted: cleaning up")
            raise
        finally:
            interrupts.hold()
            story.report.write(report)
            screen.table(story.report.table())
            screen.table(story.report.promised())
        problems = problems or story.report.problems(len(story.chapters))
        if problems:
            _keep_logs(screen, daemons, report.parent / LOGS)
    return problems


def _keep_logs(screen: Screen, daemons: Daemons, logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for host in (SOURCE_HOST, TARGET_HOST):
        shutil.copy(daemons.log(host), logs)
    screen.say(f"the daemons' logs are in {logs}")


if __name__ == "__main__":
    words = sys.argv[1:]
    shown = "--show" in words
    given = [word for word in words if word != "--show"]
    if sys.platform.startswith("freebsd"):
        sys.exit("demo: SHOW is for Linux, where hosts are namespaces" if shown else freebsd.main(given))
    sys.exit(main(*map(Path, given), show=shown))
