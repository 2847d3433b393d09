"""The chapters of a slow release: a base rolled out over many small jails, and a daemon that dies in mid-wave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaild.cli.output.human import duration
from tests.demo import promises
from tests.demo.fleet import SOURCE_HOST, Result, Who
from tests.demo.promises import CANARIES, Rolled
from tests.demo.telling import Chapter, Telling, require
from tests.e2e import trees

BASES = ("tiny-1", "tiny-2")
CHANNEL = "stable"
SOAK = 0.5  # seconds
# The first process of a jail gets no signal that it does not handle: it is ended by one that it cannot.
_SPEC = """\
channel: stable
command: [/bin/sleep, "100000"]
readiness: {{successes: 1, interval: 0.05, deadline: {deadline:g}}}
stop: {{signal: KILL}}
"""
_ON_THE_FIRST_ONLY = "health: [{kind: exec, command: [/bin/grep, -q, tiny 1, /etc/motd]}]\n"
_MOVED = frozenset({"soaking", "done"})


class SlowRelease:
    """Over so many jails: one canary that fails its check, and one that has changed what the new base changes, too.

    `deadline`: seconds that a jail has to become healthy.
    """

    def __init__(self, telling: Telling, folder: Path, jails: int, deadline: float = 1.0) -> None:
        self._telling = telling
        self._deadline = deadline
        self._folder = folder
        self._names = [f"edge-{number:02}" for number in range(jails)]
        self._max_parallel = max(2, jails // 6)
        self._plan: dict[str, Any] = {}
        self._id = ""

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """All steps, in order."""
        ok, many = Result.OK, len(self._names)
        return (
            Chapter("small-jails", ok, f"{many} jails that follow a channel", self._create),
            Chapter("rollout-plan", Result.REFUSED, "each jail's own plan comes first; one is refused", self._see_plan),
            Chapter("rollout-canary", ok, "the canary's check fails: it is back, nobody else is touched", self._start),
            Chapter(
                "rollout-crash", ok, "its daemon dies in mid-wave: it goes on, and none is moved twice", self._crash
            ),
        )

    @property
    def _canary(self) -> str:
        return self._names[0]

    @property
    def _conflict(self) -> str:
        return self._names[-1]

    @property
    def _asked(self) -> tuple[str, ...]:
        policy = ("--canaries", "1", "--wave", str(len(self._names) // 4), "--soak", f"{SOAK}s")
        return ("rollout", "start", "--channel", CHANNEL, *policy, "--max-parallel", str(self._max_parallel))

    # -- the steps

    def _create(self) -> None:
        telling = self._telling
        for version, name in enumerate(BASES, 1):
            archive = trees.base(self._folder / f"{name}.tgz", str(version))
            telling.do(Who.SOURCE, SOURCE_HOST, "base", "import", name, str(archive))
        telling.do(Who.SOURCE, SOURCE_HOST, "channel", "set", CHANNEL, BASES[0])
        plain, picky = self._folder / "edge.yaml", self._folder / "canary.yaml"
        spec = _SPEC.format(deadline=self._deadline)
        plain.write_text(spec)
        picky.write_text(spec + _ON_THE_FIRST_ONLY)
        specs = {name: str(picky if name == self._canary else plain) for name in self._names}
        create = [("jail", "create", name, "-f", spec) for name, spec in specs.items()]
        telling.do_all(Who.OPERATOR, SOURCE_HOST, create)
        words = ("jail", "exec", "-I", self._conflict, "--", "/bin/sh", "-c", "echo mine > /etc/motd")
        telling.look(Who.OPERATOR, SOURCE_HOST, *words)
        telling.do(Who.SOURCE, SOURCE_HOST, "channel", "set", CHANNEL, BASES[1])
        jails = self._jails()
        require(all(jail["behind"] == f"bases/{BASES[1]}" for jail in jails.values()), f"not all are behind: {jails}")
        telling.screen.fact(f"{len(jails)} jails of {BASES[0]} are behind {CHANNEL}")

    def _see_plan(self) -> None:
        answer = self._telling.do(Who.SOURCE, SOURCE_HOST, *self._asked, "--plan", expect=Result.REFUSED)
        self._plan = answer.document
        found = {step["jail"]: step["reason"] for step in self._plan["steps"] if step["state"] == "refused"}
        require(found == {f"jails/{self._conflict}": "MERGE_CONFLICT"}, f"refused are {found}")
        require(self._plan["steps"][0]["jail"] == f"jails/{self._canary}", "the canary is not the first")
        took = duration(float(self._plan["expectedDuration"].removesuffix("s")))
        self._telling.screen.fact(f"{len(self._plan['steps']) - 1} of {len(self._names)} move, in about {took}")

    def _start(self) -> None:
        before = self._jails()
        answer = self._telling.do(Who.SOURCE, SOURCE_HOST, *self._asked, "--leave-out-refused")
        self._id = answer.document["name"].rpartition("/")[2]
        with self._telling.timed("jailctl rollout show ..., until it pauses"):
            while (found := self._show())["state"] != "paused":
                require(not found["message"], found["message"])
        states = {step["jail"]: step["state"] for step in found["steps"]}
        require(states.pop(f"jails/{self._canary}") == "failed", "the canary did not fail")
        require(states.pop(f"jails/{self._conflict}") == "refused", "the jail with a conflict is not left out")
        require(set(states.values()) == {"waiting"}, f"somebody else was touched: {states}")
        others = {name: jail for name, jail in self._jails().items() if name != f"jails/{self._canary}"}
        touched = [name for name, jail in others.items() if jail["startTime"] != before[name]["startTime"]]
        require(not touched, f"somebody else was restarted: {touched}")
        self._telling.screen.fact(f"paused: {found['message']}")

    def _crash(self) -> None:
        self._telling.do(Who.SOURCE, SOURCE_HOST, "rollout", "resume", self._id)
        with self._telling.timed("jailctl rollout show ..., until it is in mid-wave"):
            while not _in_mid_wave(found := self._show()):
                require(not found.get("endTime"), "the rollout was never seen in mid-wave")
        moved = sum(step["state"] in _MOVED for step in found["steps"])
        with self._telling.timed(f"{moved} of {len(self._names)} have moved: {self._telling.fleet.CRASH}"):
            self._telling.fleet.crash(SOURCE_HOST)
        self._telling.do(Who.SOURCE, SOURCE_HOST, "operation", "wait", self._id)
        self._see_that_it_did_as_it_said()

    # -- what came of it

    def _see_that_it_did_as_it_said(self) -> None:
        bases = self._telling.look(Who.SOURCE, SOURCE_HOST, "base", "ls").document["bases"]
        rolled = Rolled(
            plan=self._plan,
            done=self._show(),
            sick=f"jails/{self._canary}",
            soak=SOAK,
            max_parallel=self._max_parallel,
            guids={base["name"]: base["guid"] for base in bases},
            jails=self._jails(),
        )
        found = promises.broken(rolled)
        require(not found, "not as it was planned: " + "; ".join(found))
        self._telling.report.promises = list(promises.rows(rolled))

    def _show(self) -> dict[str, Any]:
        return self._telling.look(Who.SOURCE, SOURCE_HOST, "rollout", "show", self._id).document

    def _jails(self) -> dict[str, dict[str, Any]]:
        listed = self._telling.look(Who.SOURCE, SOURCE_HOST, "jail", "ls").document["jails"]
        return {jail["name"]: jail for jail in listed if jail["name"].removeprefix("jails/") in self._names}


def _in_mid_wave(rollout: dict[str, Any]) -> bool:
    """Whether some of a wave have moved, and others are being changed."""
    for wave in {step["wave"] for step in rollout["steps"]} - {CANARIES}:
        states = {step["state"] for step in rollout["steps"] if step["wave"] == wave}
        if states & _MOVED and "changing" in states:
            return True
    return False
