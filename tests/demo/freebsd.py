"""`make demo BASES='A/base.txz B/base.txz'` on FreeBSD, as root: the same story, with jail(8) and file-backed pools."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.demo import freebsd_assets, freebsd_machine
from tests.demo.daemons import two_daemons
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST
from tests.demo.hosts import CHECKOUT, JAIL_ADDRESS
from tests.demo.screen import Screen
from tests.demo.story import Setting, Story
from tests.patience import patient

_SETTING = Setting(
    address=JAIL_ADDRESS,
    readiness_deadline=patient(5.0),
    patience=patient(10.0),
    max_downtime=f"{patient(5):g}s",
    small_jails=0,
)


def main(bases: Sequence[str], report: Path = CHECKOUT / "build" / "demo.json") -> int:
    """Tell the story on this machine; returns the exit status. What fails is raised, when all is taken away again."""
    screen, began = Screen(), time.monotonic()
    report.parent.mkdir(exist_ok=True)
    with freebsd_machine.workspace() as folder:
        prepared = freebsd_assets.prepare([Path(base).resolve() for base in bases], folder)
        with freebsd_machine.one_machine() as machines, two_daemons(machines, folder) as daemons:
            story = Story(daemons, prepared, screen, folder, _SETTING)
            try:
                story.tell()
                daemons.retire()
            finally:
                story.report.write(report)
                screen.table(story.report.table())
                screen.table(story.report.promised())
                for name in (SOURCE_HOST, TARGET_HOST):
                    shutil.copy(daemons.log(name), report.parent)
    problems = [*story.report.problems(len(story.chapters)), *freebsd_machine.left(folder)]
    for problem in problems:
        screen.failure(problem)
    if not problems:
        screen.say(f"nothing is left on the machine; {time.monotonic() - began:.0f} s in all; the numbers: {report}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
