from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from tests.demo.assets import Assets, Base, Release
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Answer, Result, Who
from tests.demo.screen import Screen
from tests.demo.story import Setting, Story
from tests.demo.telling import StoryError

NOWHERE = Path("/nowhere")
SETTING = Setting(address="10.77.0.100", small_jails=0)  # its rollout: test_demo_slow_release.py


def release(version: str) -> Release:
    return Release(app="redis", version=version, archive=NOWHERE / "redis.tar", manifest=NOWHERE / "manifest.yaml")


ASSETS = Assets(
    old_base=Base(name="debian-12", version="12.15", archive=NOWHERE / "12.tar"),
    new_base=Base(name="debian-13", version="13.2", archive=NOWHERE / "13.tar"),
    plain=release("7.0"),
    tuned=release("7.0-tuned"),
    broken=release("7.0-broken"),
    newer=release("8.0"),
)


@dataclass
class FakeWriter:
    marks: list[str] = field(default_factory=list)
    lost: int = 0
    served: bool = True

    def mark(self, step: str) -> None:
        self.marks.append(step)

    def gap_of(self, step: str) -> float:
        assert self.marks[-1] == step
        return 0.25

    def wait_for_write(self, timeout: float) -> bool:
        assert timeout > 0
        return self.served

    def status(self) -> dict[str, Any]:
        return {"acknowledged": 41}

    def stop_writing(self) -> None:
        return

    def verify(self, host: str) -> tuple[int, int]:
        assert host == "10.77.0.100"
        return 42, self.lost


@dataclass
class FakeFleet:
    """Two hosts that behave; `faults` maps a command's beginning to the status that it ends with instead."""

    CRASH: ClassVar = "a crash"

    faults: dict[str, int] = field(default_factory=dict)
    writer: FakeWriter = field(default_factory=FakeWriter)
    jails: dict[str, dict[str, Any]] = field(default_factory=dict)

    def open_writer(self, address: str) -> FakeWriter:
        assert address == "10.77.0.100"
        return self.writer

    def crash(self, host: str) -> None:
        raise NotImplementedError(host)

    def jailctl(self, who: Who, host: str, *words: str) -> Answer:
        line = " ".join(words)
        status, output = self._carry_out(host, words)
        for beginning, wrong in self.faults.items():
            if line.startswith(beginning):
                status = wrong
        text = output if isinstance(output, str) else json.dumps(output)
        return Answer(command=f"{who}@{host} {line}", status=status, output=text, complaint="why", seconds=1.0)

    def _carry_out(self, host: str, words: tuple[str, ...]) -> tuple[int, Any]:  # noqa: C901, PLR0911, PLR0912 -- a table
        facts = {"facts": {"added_bytes": "1", "shared_bytes": "2", "bytes": "3"}}
        cut = {"metadata": {**facts, "downtime": "0.500s"}}
        match words:
            case ("base", "show", name):
                return 0, {"version": name.partition("-")[2], "files": "1", "sizeBytes": "2"}
            case ("jail", "create", *_):
                self.jails[host] = {"uid": "u", "generation": 1, "startTime": "t", "etag": "e"}
                self._set(host, "12", "7.0")
                return 0, {"metadata": facts}
            case ("jail", "deploy", _, "redis/7.0-tuned"):
                self._set(host, "12", "7.0-tuned")
                return 0, cut
            case ("jail", "deploy", _, "redis/7.0-broken"):
                return 10, {**cut, "error": {"message": "not healthy"}}
            case ("jail", "deploy", _, "redis/8.0", *_):
                problem = {"severity": "error", "code": "MISSING_SYMBOL_VERSION", "message": "GLIBC_2.38"}
                return 4, {"problems": [problem]}
            case ("jail", "upgrade", *_):
                self._set(host, "13", "7.0-tuned")
                return 0, cut
            case ("jail", "rollback", *_):
                self._set(host, "12", "7.0-tuned")
                return 0, cut
            case ("jail", "migrate", _, target, *_):
                self.jails[target] = self.jails[host]
                self.jails[host] = {**self.jails[target], "state": "moved"}
                return 0, cut
            case ("jail", "show", _):
                return 0, self.jails[host]
            case ("jail", "exec", *_):
                version = self.jails[host]["base"].partition("-")[2]
                return 0, f'PRETTY_NAME="Debian {version}"\nVERSION_ID="{version}"\n'
            case ("migration", "ls"):
                return 0, {"migrations": [{"name": "migrations/1", "outgoing": host == TARGET_HOST}]}
            case ("jail", "ls"):
                return 0, {"jails": []}
            case _:
                return 0, {"metadata": facts}

    def _set(self, host: str, base: str, version: str) -> None:
        where = {"base": f"bases/debian-{base}", "release": f"apps/redis/releases/{version}"}
        self.jails[host] |= {**where, "state": "running"}


def tell(fleet: FakeFleet, folder: Path) -> Story:
    story = Story(fleet, ASSETS, Screen(Console(file=io.StringIO())), folder, SETTING)
    story.tell()
    return story


def test_a_story_that_ends_well_has_no_problems_and_the_form_that_the_issue_gives(tmp_path: Path) -> None:
    story = tell(FakeFleet(), tmp_path)
    assert story.report.problems(len(story.chapters)) == []
    document = story.report.document()
    assert [(step["name"], step["result"]) for step in document["steps"]] == [
        ("import", "ok"),
        ("push", "ok"),
        ("create", "ok"),
        ("deploy", "ok"),
        ("deploy-broken", "rolled_back"),
        ("plan-incompatible", "refused"),
        ("upgrade-base", "ok"),
        ("rollback-base", "ok"),
        ("migrate", "ok"),
        ("migrate-back", "ok"),
        ("delete", "ok"),
    ]
    assert document["steps"][3] == {
        "name": "deploy",
        "result": "ok",
        "seconds": 1.0,
        "downtime_daemon_s": 0.5,
        "downtime_client_s": 0.25,
    }
    assert (document["acknowledged_writes"], document["lost_writes"]) == (42, 0)
    assert document.keys() == {"steps", "acknowledged_writes", "lost_writes", "rollout"}


@pytest.mark.parametrize(
    ("beginning", "wrong", "step"),
    [
        ("base import debian-13", 5, "import"),
        ("app push redis/8.0", 5, "push"),
        ("jail create", 9, "create"),
        ("jail deploy kv redis/7.0-tuned", 10, "deploy"),
        ("jail deploy kv redis/7.0-broken", 0, "deploy-broken"),
        ("jail deploy kv redis/8.0", 0, "plan-incompatible"),
        ("jail upgrade", 4, "upgrade-base"),
        ("jail rollback", 9, "rollback-base"),
        ("jail migrate kv beta", 11, "migrate"),
        ("jail migrate kv alpha", -9, "migrate-back"),
        ("jail rm", 4, "delete"),
    ],
)
def test_a_step_that_ends_otherwise_than_it_should_ends_the_story_and_is_a_problem(
    beginning: str, wrong: int, step: str, tmp_path: Path
) -> None:
    story = Story(FakeFleet({beginning: wrong}), ASSETS, Screen(Console(file=io.StringIO())), tmp_path, SETTING)
    with pytest.raises(StoryError, match=r"not (ok|refused|rolled_back)"):
        story.tell()
    assert story.report.steps[-1].name == step
    assert not story.report.steps[-1].right
    assert any(problem.startswith(f"{step}: ") for problem in story.report.problems(len(story.chapters)))


def test_a_client_that_is_not_served_after_a_step_fails_it_although_the_daemon_says_ok(tmp_path: Path) -> None:
    fleet = FakeFleet(writer=FakeWriter(served=False))
    story = Story(fleet, ASSETS, Screen(Console(file=io.StringIO())), tmp_path, SETTING)
    with pytest.raises(StoryError, match="not served"):
        story.tell()
    assert (story.report.steps[-1].name, story.report.steps[-1].result) == ("create", Result.FAILED)


def test_a_lost_write_fails_the_story(tmp_path: Path) -> None:
    fleet = FakeFleet(writer=FakeWriter(lost=1))
    story = Story(fleet, ASSETS, Screen(Console(file=io.StringIO())), tmp_path, SETTING)
    with pytest.raises(StoryError, match="lost"):
        story.tell()
    assert "1 acknowledged writes are lost" in story.report.problems(len(story.chapters))


def test_a_refused_change_that_restarted_the_jail_fails_the_story(tmp_path: Path) -> None:
    class Restarting(FakeFleet):
        def jailctl(self, who: Who, host: str, *words: str) -> Answer:
            if words[1:4] == ("deploy", "kv", "redis/8.0"):
                self.jails[host] = {**self.jails[host], "startTime": "later"}
            return super().jailctl(who, host, *words)

    with pytest.raises(StoryError, match="startTime"):
        tell(Restarting(), tmp_path)


def test_a_jail_that_does_not_run_on_the_base_that_its_record_names_fails_the_story(tmp_path: Path) -> None:
    class Pretending(FakeFleet):
        def jailctl(self, who: Who, host: str, *words: str) -> Answer:
            answer = super().jailctl(who, host, *words)
            if words[1] == "exec":
                return Answer(command="", status=0, output='VERSION_ID="11"\n', complaint="", seconds=1.0)
            return answer

    with pytest.raises(StoryError, match="runs on"):
        tell(Pretending(), tmp_path)


def test_a_story_that_never_came_to_count_its_writes_says_so_and_fails(tmp_path: Path) -> None:
    story = Story(FakeFleet(), ASSETS, Screen(Console(file=io.StringIO())), tmp_path, SETTING)
    assert story.report.problems(1) == ["1 steps were not begun", "the writes were not counted"]
    story.report.write(tmp_path / "demo.json")
    assert json.loads((tmp_path / "demo.json").read_text())["lost_writes"] is None


def test_both_hosts_are_named_in_the_commands(tmp_path: Path) -> None:
    output = io.StringIO()
    story = Story(FakeFleet(), ASSETS, Screen(Console(file=output, width=200)), tmp_path, SETTING)
    story.tell()
    assert f"$ jailctl --context operator@{SOURCE_HOST} jail migrate kv {TARGET_HOST}" in output.getvalue()
    assert f"$ jailctl --context operator@{TARGET_HOST} jail migrate kv {SOURCE_HOST}" in output.getvalue()
    assert "GLIBC_2.38" in output.getvalue()
