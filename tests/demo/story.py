"""The story that the demo tells: what is done to two hosts, in which order, and how each step must end.

It knows nothing of where the hosts are: it talks to them by a `Fleet`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jaild.cli.output.human import duration
from jaild.model.quantity import size
from tests.demo.assets import Assets, Base, Release
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Fleet, Result, Who
from tests.demo.screen import Screen
from tests.demo.slow_release import SlowRelease
from tests.demo.telling import Chapter, StoryError, Telling, require

JAIL = "kv"
_EVIDENCE = 4  # lines of proof shown of each problem


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the story is told. Times in seconds."""

    address: str  # of the jail
    readiness_deadline: float = 5.0  # that a release has to become healthy
    patience: float = 10.0  # for the client to be served again after a step
    max_downtime: str = "5s"  # of a migration, as jailctl takes it
    small_jails: int = 40  # that a rollout goes over; 0: the story is told without it


class Story:
    """Tells it once. `folder` is for files that jailctl reads; `report` grows step by step."""

    def __init__(self, fleet: Fleet, assets: Assets, screen: Screen, folder: Path, setting: Setting) -> None:
        self._setting = setting
        self._assets = assets
        self._folder = folder
        self._telling = Telling(fleet, screen, setting.patience)
        self.report = self._telling.report
        self._slow = SlowRelease(self._telling, folder, setting.small_jails)

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """All steps, in order."""
        ok, back, refused = Result.OK, Result.ROLLED_BACK, Result.REFUSED
        return (
            Chapter("import", ok, "bases are sealed, and shared by all jails of a host", self._import),
            Chapter("push", ok, "a release is a clone of an earlier one: only what differs takes space", self._push),
            Chapter("create", ok, "a base, a release and a spec: generation 1", self._create),
            Chapter("deploy", ok, "the app moves; base and data stay", self._deploy),
            Chapter("deploy-broken", back, "it starts, but serves nobody: the old one comes back", self._broken),
            Chapter("plan-incompatible", refused, "it cannot run on this base: said before anything stops", self._plan),
            Chapter("upgrade-base", ok, "the base becomes a newer one under the running app", self._upgrade),
            Chapter("rollback-base", ok, "one axis back; release and data stay", self._rollback),
            Chapter("migrate", ok, "to another host, while clients write", self._migrate),
            Chapter("migrate-back", ok, "the other way: only what changed travels", self._return),
            *(self._slow.chapters if self._setting.small_jails else ()),
            Chapter("delete", ok, "every acknowledged write is counted, then nothing of it is left", self._delete),
        )

    def tell(self, look: Callable[[], None] = lambda: None) -> None:
        """Go through all steps. Raises `StoryError` at the first that does not end as it should.

        `look` is called before the last one, when there is most to see.
        """
        *before, last = self.chapters
        self._telling.tell(before)
        look()
        self._telling.tell([last])

    # -- the steps

    def _import(self) -> None:
        for base in (self._assets.old_base, self._assets.new_base):
            self._import_base(base)

    def _push(self) -> None:
        plain = self._assets.plain
        self._push_release(plain, origin=None)
        for release in (self._assets.tuned, self._assets.broken, self._assets.newer):
            self._push_release(release, origin=plain.version)

    def _create(self) -> None:
        spec = self._folder / f"{JAIL}.yaml"
        spec.write_text(spec_text(self._assets.old_base.name, self._assets.plain.reference, self._setting))
        self._telling.writer = self._telling.fleet.open_writer(self._setting.address)
        self._telling.writer.mark(self._telling.step.name)
        self._telling.do(Who.PRODUCT, SOURCE_HOST, "jail", "create", JAIL, "-f", str(spec))
        self._see_jail(SOURCE_HOST, self._assets.old_base, self._assets.plain)

    def _deploy(self) -> None:
        self._telling.do(Who.PRODUCT, SOURCE_HOST, "jail", "deploy", JAIL, self._assets.tuned.reference)
        self._see_jail(SOURCE_HOST, self._assets.old_base, self._assets.tuned)

    def _broken(self) -> None:
        words = ("jail", "deploy", JAIL, self._assets.broken.reference)
        answer = self._telling.do(Who.PRODUCT, SOURCE_HOST, *words, expect=Result.ROLLED_BACK)
        self._telling.screen.quote(answer.error)
        self._see_jail(SOURCE_HOST, self._assets.old_base, self._assets.tuned)

    def _plan(self) -> None:
        before = self._jail(SOURCE_HOST)
        words = ("jail", "deploy", JAIL, self._assets.newer.reference)
        plan = self._telling.do(Who.PRODUCT, SOURCE_HOST, *words, "--plan", expect=Result.REFUSED).document
        missing = [problem for problem in plan.get("problems", []) if problem["severity"] == "error"]
        require(bool(missing), "the refusal names no problem")
        for problem in missing:
            self._telling.screen.fact(f"{problem['code']}: {problem['message']}")
            evidence = problem.get("evidence", [])
            more = [f"... and {len(evidence) - _EVIDENCE} more"] if len(evidence) > _EVIDENCE else []
            self._telling.screen.quote("\n".join([*evidence[:_EVIDENCE], *more]))
        known = any(problem["code"] in self._assets.refusals for problem in missing)
        require(known, f"the refusal names none of {', '.join(sorted(self._assets.refusals))}")
        self._telling.do(Who.PRODUCT, SOURCE_HOST, *words, expect=Result.REFUSED)  # not only its plan
        after = self._jail(SOURCE_HOST)
        for field in ("generation", "startTime", "etag"):
            require(before[field] == after[field], f"a refused change touched the jail's {field}")

    def _upgrade(self) -> None:
        self._telling.do(Who.SOURCE, SOURCE_HOST, "jail", "upgrade", JAIL, self._assets.new_base.name)
        self._see_jail(SOURCE_HOST, self._assets.new_base, self._assets.tuned)

    def _rollback(self) -> None:
        self._telling.do(Who.SOURCE, SOURCE_HOST, "jail", "rollback", JAIL, "--axis", "base")
        self._see_jail(SOURCE_HOST, self._assets.old_base, self._assets.tuned)

    def _migrate(self) -> None:
        self._move(SOURCE_HOST, TARGET_HOST)

    def _return(self) -> None:
        self._move(TARGET_HOST, SOURCE_HOST)

    def _delete(self) -> None:
        self._count_writes()
        migration = self._last_migration(TARGET_HOST)
        self._telling.do(Who.OPERATOR, TARGET_HOST, "migration", "finalize", migration)
        self._telling.do(Who.OPERATOR, SOURCE_HOST, "jail", "rm", "--force", JAIL)
        for host in (SOURCE_HOST, TARGET_HOST):
            left = self._telling.look(Who.OPERATOR, host, "jail", "ls").document["jails"]
            require(not any(jail["name"] == f"jails/{JAIL}" for jail in left), f"{host} still has {JAIL}: {left}")

    # -- their parts

    def _import_base(self, base: Base) -> None:
        words = ["base", "import", base.name, str(base.archive)]
        words += ["--manifest", str(base.manifest)] if base.manifest else []
        self._telling.do(Who.SOURCE, SOURCE_HOST, *words)
        found = self._telling.look(Who.SOURCE, SOURCE_HOST, "base", "show", base.name).document
        require(base.version.startswith(found["version"]), f"{base.name} is of version {found['version']}")
        self._telling.screen.fact(
            f"{self._assets.userland.name} {found['version']}, {found['files']} files, {size(int(found['sizeBytes']))}"
        )

    def _push_release(self, release: Release, origin: str | None) -> None:
        words = ["app", "push", release.reference, str(release.archive), "--manifest", str(release.manifest)]
        facts = self._telling.do(Who.PRODUCT, SOURCE_HOST, *words, *(["--from", origin] if origin else [])).facts
        shared = f", shares {size(int(facts['shared_bytes']))} with {origin}" if origin else ""
        self._telling.screen.fact(f"adds {size(int(facts['added_bytes']))}{shared}")

    def _move(self, source: str, target: str) -> None:
        before = self._jail(source)
        words = ("jail", "migrate", JAIL, target, "--max-downtime", self._setting.max_downtime)
        answer = self._telling.do(Who.OPERATOR, source, *words)
        predicted = answer.predicted_downtime
        self._telling.screen.fact(
            f"{size(int(answer.facts['bytes']))} sent, {answer.metadata.get('rounds', 0)} pre-copy rounds"
            + (f", downtime predicted {duration(predicted)}" if predicted is not None else "")
        )
        require(self._jail(source)["state"] == "moved", f"{source} does not call the jail moved")
        after = self._jail(target)
        for field in ("uid", "generation", "base", "release"):
            require(before[field] == after[field], f"the move changed the jail's {field}")
        self._see_jail(target, self._assets.old_base, self._assets.tuned)

    def _last_migration(self, source: str) -> str:
        found = self._telling.look(Who.OPERATOR, source, "migration", "ls").document["migrations"]
        return next(str(each["name"]) for each in found if each["outgoing"])

    def _count_writes(self) -> None:
        if self._telling.writer is None:
            raise StoryError("nobody wrote")
        self._telling.writer.stop_writing()
        report = self.report
        report.acknowledged_writes, report.lost_writes = self._telling.writer.verify(self._setting.address)
        self._telling.writer = None
        self._telling.screen.fact(
            f"{report.acknowledged_writes} writes acknowledged, {report.lost_writes} of them lost"
        )
        require(not report.lost_writes, "acknowledged writes are lost")

    def _see_jail(self, host: str, base: Base, release: Release) -> None:
        """Require what the jail's record says, and what one finds who looks into the jail."""
        jail = self._jail(host)
        app, _, version = release.reference.partition("/")
        expected = {"base": f"bases/{base.name}", "release": f"apps/{app}/releases/{version}", "state": "running"}
        for field, value in expected.items():
            require(jail[field] == value, f"the jail's {field} is {jail[field]}, not {value}")
        userland = self._assets.userland
        inside = self._telling.look(Who.PRODUCT, host, "jail", "exec", "-I", JAIL, "--", *userland.command).output
        seen = userland.read(inside)
        require(bool(seen) and base.version.startswith(seen), f"it runs on {inside}")
        self._telling.screen.fact(
            f"{JAIL} on {host}: generation {jail['generation']}, {userland.name} {seen}, {release.reference}"
        )

    # -- asking

    def _jail(self, host: str) -> dict[str, Any]:
        return self._telling.look(Who.PRODUCT, host, "jail", "show", JAIL).document


def spec_text(base: str, app: str, setting: Setting) -> str:
    """The jail's spec, as a product team writes it."""
    return yaml.safe_dump(
        {
            "base": base,
            "app": app,
            "network": {"mode": "vnet", "addresses": [f"{setting.address}/24"]},
            "health": [{"kind": "tcp", "port": 6379}],
            "readiness": {"successes": 2, "interval": 0.1, "deadline": setting.readiness_deadline},
        },
        sort_keys=False,
    )
