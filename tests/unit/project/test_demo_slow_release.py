"""The demo's rollout: what its plan said is compared with what came of it, and each deviation fails the story."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from tests.demo import promises
from tests.demo.fleet import Answer, Who
from tests.demo.promises import Rolled
from tests.demo.screen import Screen
from tests.demo.slow_release import SlowRelease
from tests.demo.table import Promise
from tests.demo.telling import StoryError, Telling

JAILS = 6
GUIDS = {"bases/tiny-1": "1", "bases/tiny-2": "2"}
_NAMES = [f"edge-{number:02}" for number in range(JAILS)]
Doc = dict[str, Any]


def plan() -> Doc:
    waves = dict(zip(_NAMES, (0, 1, 1, 2, 2, 1), strict=True))
    steps = [{"jail": f"jails/{name}", "wave": wave, "state": "waiting", "reason": ""} for name, wave in waves.items()]
    steps[-1] |= {"state": "refused", "reason": "MERGE_CONFLICT"}
    for step in steps:
        step |= {"before": "bases/tiny-1", "target": "bases/tiny-2"}
    return {
        "steps": steps,
        "target": "bases/tiny-2",
        "expectedDuration": "3s",
        "expectedDowntime": "0.200s",
        "expectedAtLeast": True,
    }


def paused() -> Doc:
    found = plan() | {"state": "paused", "message": "1 of the canaries failed"}
    found["steps"][0] |= {"state": "failed", "reason": "HEALTH_CHECK_FAILED"}
    return found


def mid_wave() -> Doc:
    found = paused()
    found["steps"][1]["state"], found["steps"][2]["state"] = "soaking", "changing"
    return found


def done() -> Doc:
    found = paused()
    for number, step in enumerate(found["steps"]):
        moved = step["state"] == "waiting"
        base = "bases/tiny-2" if moved else "bases/tiny-1"
        step["runs"] = {"base": base, "baseGuid": GUIDS[base], "generation": 2 if moved else 1}
        if moved:
            at = f"2026-11-30T05:00:{10 * step['wave'] + 2 * number:02}"
            step |= {"state": "done", "beginTime": f"{at}Z", "moveTime": f"{at}.5Z", "downtime": "0.050s"}
    return found | {"state": "done", "endTime": "2026-11-30T05:01:00Z"}


def jails(found: Doc) -> dict[str, Doc]:
    return {
        step["jail"]: {
            "name": step["jail"],
            "state": "running",
            "base": step["runs"]["base"],
            "generation": step["runs"]["generation"],
            "startTime": "t",
            "behind": "bases/tiny-2",
        }
        for step in found["steps"]
    }


def rolled(found: Doc, present: dict[str, Doc]) -> Rolled:
    return Rolled(plan=plan(), done=found, sick="jails/edge-00", soak=0.5, max_parallel=2, guids=GUIDS, jails=present)


def test_a_rollout_that_did_as_it_said_breaks_no_promise() -> None:
    assert promises.broken(rolled(done(), jails(done()))) == []


@pytest.mark.parametrize(
    ("steps", "present", "told"),
    [
        ({}, {3: {"generation": 3}}, "jails/edge-03: generation is 3, not 2"),
        ({}, {0: {"base": "bases/tiny-2"}}, "jails/edge-00: base is bases/tiny-2, not bases/tiny-1"),
        ({}, {5: {"state": "stopped"}}, "jails/edge-05: jail's state is stopped, not running"),
        ({5: {"reason": "FULL"}}, {}, "jails/edge-05: refused for FULL, not MERGE_CONFLICT"),
        ({5: {"jail": "jails/x"}}, {}, "other jails than planned: ['jails/edge-05', 'jails/x']"),
        ({3: {"beginTime": "2026-11-30T05:00:14.6Z"}}, {}, "wave 2 began before wave 1 was over"),
        ({4: {"beginTime": "2026-11-30T05:00:26.1Z", "wave": 1}}, {}, "jails/edge-04: wave is 1, not 2"),
    ],
)
def test_each_promise_that_is_broken_is_told(steps: dict[int, Doc], present: dict[int, Doc], told: str) -> None:
    found = done()
    there = jails(found)
    for number, more in steps.items():
        found["steps"][number] |= more
    for number, more in present.items():
        there[f"jails/edge-{number:02}"] |= more
    assert told in promises.broken(rolled(found, there))


def test_more_at_once_than_may_be_are_told() -> None:
    found = done()
    for number in (1, 2):
        found["steps"][number] |= {"beginTime": "2026-11-30T05:00:12Z", "moveTime": "2026-11-30T05:00:13Z"}
    assert promises.broken(rolled(found, jails(found))) == []
    alone = dataclasses.replace(rolled(found, jails(found)), max_parallel=1)
    assert promises.broken(alone) == [f"2 at once when jails/edge-0{number} began" for number in (1, 2)]


@dataclass
class FakeFleet:
    """A host whose rollout goes from one document to the next as it is asked for."""

    CRASH: ClassVar = "a crash"

    shown: list[Doc] = field(default_factory=lambda: [paused(), mid_wave(), done()])
    crashes: int = 0

    def open_writer(self, address: str) -> Any:
        raise NotImplementedError(address)

    def crash(self, host: str) -> None:
        assert host == "alpha"
        self.crashes += 1

    def jailctl(self, _who: Who, _host: str, *words: str) -> Answer:
        status, output = 0, self._said(words)
        if words[:2] == ("rollout", "start") and "--plan" in words:
            status = 4
        return Answer(command=" ".join(words), status=status, output=json.dumps(output), complaint="", seconds=0.1)

    def _said(self, words: tuple[str, ...]) -> Doc:
        match words:
            case ("rollout", "start", *rest):
                return plan() if "--plan" in rest else {"name": "operations/abc"}
            case ("rollout", "show", "abc"):
                return copy.deepcopy(self.shown[0] if len(self.shown) == 1 else self.shown.pop(0))
            case ("jail", "ls"):
                return {"jails": list(jails(done()).values())}
            case ("base", "ls"):
                return {"bases": [{"name": name, "guid": guid} for name, guid in GUIDS.items()]}
        return {}


def tell(fleet: FakeFleet, folder: Path) -> Telling:
    telling = Telling(fleet, Screen(Console(file=io.StringIO())), patience=1.0)
    telling.tell(SlowRelease(telling, folder, JAILS).chapters)
    return telling


@pytest.fixture(autouse=True)
def _archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.e2e.trees.base", lambda path, _: path)


def test_the_table_has_what_was_planned_beside_what_happened(tmp_path: Path) -> None:
    fleet = FakeFleet()
    report = tell(fleet, tmp_path).report
    assert fleet.crashes == 1
    assert report.promises == [
        Promise("canary", "first, alone", "failed: HEALTH_CHECK_FAILED; back on tiny-1"),
        Promise("wave 1", "2 to tiny-2", "2 done, on tiny-2"),
        Promise("wave 2", "2 to tiny-2", "2 done, on tiny-2"),
        Promise("edge-05", "refused: MERGE_CONFLICT", "generation 1, on tiny-1"),
        Promise("downtime, in sum", "at least 0.20 s", "0.20 s of the 4 that moved"),
    ]
    assert report.document()["rollout"][0]["jails"] == "canary"


def test_a_rollout_that_is_never_seen_in_mid_wave_or_did_otherwise_than_it_said_fails_the_story(tmp_path: Path) -> None:
    with pytest.raises(StoryError, match="never seen in mid-wave"):
        tell(FakeFleet([paused(), done()]), tmp_path)
    otherwise = done()
    otherwise["steps"][3]["state"] = "skipped"
    with pytest.raises(StoryError, match="edge-03: state is skipped"):
        tell(FakeFleet([paused(), mid_wave(), otherwise]), tmp_path)
