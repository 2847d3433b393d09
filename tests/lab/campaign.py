"""Cutting the power of hosts that carry a jail with Redis in it, at random moments of everything that is done to it.

A cut is survived if afterwards, by itself: the daemon is up, one host owns the jail and runs it, the client is served,
no acknowledged write and no acknowledged change is lost, and nothing is left over on either host.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Answer, Result, Who
from tests.demo.remote import RemoteWriter
from tests.demo.story import Setting, spec_text
from tests.lab import orphans
from tests.lab.fleet import ROOT, LabFleet
from tests.lab.machine import Machine
from tests.lab.orphans import Known
from tests.lab.report import Tally
from tests.lab.small import Small

JAIL = "kv"
HOSTS = (SOURCE_HOST, TARGET_HOST)
KINDS = (  # what can be cut; the first ones are in every run, however short
    *("migrate-source", "migrate-target", "deploy", "import"),
    *("upgrade", "migrate-both", "push", "rollback"),
)
_VOLUMES = 8
PARTED = f"migrate with {_VOLUMES} volumes"
_SETTLED = 240.0  # seconds until everything that a cut left has come to its end
_SERVED = 60.0  # seconds for the client after that
_CLEANED = 30.0  # seconds for what is destroyed in the background
_UNDER_WAY = frozenset({"sending", "frozen", "committed", "receiving", "prepared"})  # phases of migrations
_ELSEWHERE = frozenset({"moved", "incoming", "prepared", "standby"})  # not this host's to run


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that is done, and whose power is cut meanwhile."""

    who: Who
    host: str
    words: tuple[str, ...]
    victims: tuple[str, ...]
    holds: Callable[[], bool]  # whether it has been done


class Campaign:
    """One fleet and its jail. `prepare` once, then `cut` as often as one likes."""

    def __init__(self, fleet: LabFleet, small: Small, folder: Path, setting: Setting, tally: Tally) -> None:
        self._fleet = fleet
        self._small = small
        self._folder = folder
        self._setting = setting
        self._tally = tally
        self._usual: dict[str, float] = {}  # seconds that an act takes when nobody cuts
        self._names = 0
        self._volumes: tuple[str, ...] = ()

    def _begin(self, kind: str) -> Act:
        whose = {"migrate-source": (0,), "migrate-target": (1,), "migrate-both": (0, 1)}
        if kind in whose:
            return self._migrate(*whose[kind])
        acts = {
            "import": self._import,
            "push": self._push,
            "deploy": self._deploy,
            "upgrade": self._upgrade,
            "rollback": self._rollback,
        }
        return acts[kind]()

    def prepare(self) -> RemoteWriter:
        """Bring up the jail and its client, and do everything once without a cut: so one knows how long it takes."""
        for name, archive in self._small.bases.items():
            self._must(Who.SOURCE, SOURCE_HOST, "base", "import", name, str(archive))
        for release in (self._small.plain, self._small.tuned):
            words = ("app", "push", release.reference, str(release.archive), "--manifest", str(release.manifest))
            self._must(Who.PRODUCT, SOURCE_HOST, *words)
        spec = self._folder / f"{JAIL}.yaml"
        spec.write_text(spec_text("small-1", self._small.plain.reference, self._setting))
        self._must(Who.PRODUCT, SOURCE_HOST, "jail", "create", JAIL, "-f", str(spec))
        self._writer = self._fleet.open_writer(self._setting.address)
        for kind in KINDS:
            act = self._begin(kind)
            self._usual[kind] = self._must(act.who, act.host, *act.words).seconds
            assert act.holds(), f"{kind} did not do what it said"
            self._forget(act)
        self._see_that_all_is_well("without a cut")
        return self._writer

    def cut(self, kind: str) -> None:
        """Do it, and cut the power at a random moment. `AssertionError` says what was not survived."""
        act = self._begin(kind)
        moment = random.uniform(0, self._usual[kind])  # noqa: S311 -- no secret
        row = {"act": " ".join(act.words[:2]), "victims": list(act.victims), "after_s": round(moment, 2)}
        self._tally.cuts += 1
        self._tally.rows.append(row)
        with ThreadPoolExecutor(1) as elsewhere:
            answer = elsewhere.submit(self._fleet.jailctl, act.who, act.host, *act.words)
            time.sleep(moment)  # the moment is the point
            for victim in act.victims:
                self._fleet.machines[victim].cut_power()
            for victim in act.victims:
                self._fleet.machines[victim].power_on()
            for victim in act.victims:
                self._fleet.machines[victim].wait_up()
                row[f"ready_{victim}_s"] = round(self._fleet.await_ready(victim), 1)
            self._settle()
            row["answer"] = self._judge(act, answer)
        self._see_that_all_is_well(f"{kind} of {act.host}, {act.victims} cut after {moment:.2f} s: {row}")
        self._forget(act)
        self._tally.survived += 1

    def cut_link(self, seconds: float) -> Answer:
        """Migrate, and take the target off the network for a while at a random moment; return what jailctl said."""
        act = self._begin("migrate-target")
        target = self._fleet.machines[act.victims[0]]
        with ThreadPoolExecutor(1) as elsewhere:
            answer = elsewhere.submit(self._fleet.jailctl, act.who, act.host, *act.words)
            time.sleep(random.uniform(0, self._usual["migrate-target"]))  # noqa: S311 -- no secret
            target.cut_link()
            time.sleep(seconds)  # the silence is the point
            target.restore_link()
            answer.result()
            self._settle()
            self._judge(act, answer)
        self._see_that_all_is_well(f"the link of {act.victims} cut for {seconds:.0f} s")
        return answer.result()

    def downtimes(self, times: int) -> dict[str, list[float]]:
        """Move the jail and restart it so many times, then move it with volumes; return the seconds that it was down.

        Nobody cuts.
        """
        found: dict[str, list[float]] = {"migrate": [], "restart": [], PARTED: []}
        for _ in range(times):
            found["restart"].append(self._downtime(self._restart()))
            found["migrate"].append(self._downtime(self._migrate(0)))
        jail, owner = self._jail()
        release = jail["release"].removeprefix("apps/").replace("/releases/", "/")
        spec = yaml.safe_load(spec_text(jail["base"].removeprefix("bases/"), release, self._setting))
        self._volumes = tuple(f"v{number}" for number in range(_VOLUMES))
        spec["volumes"] = {name: {"path": f"/var/{name}"} for name in self._volumes}
        changed = self._folder / f"{JAIL}-volumes.yaml"
        changed.write_text(yaml.safe_dump(spec))
        self._must(Who.PRODUCT, owner, "jail", "configure", JAIL, "-f", str(changed))
        for _ in range(times):
            found[PARTED].append(self._downtime(self._migrate(0)))
        self._see_that_all_is_well("measured")
        return found

    def _restart(self) -> Act:
        return self._act(Who.PRODUCT, self._jail()[1], ("jail", "restart", JAIL), lambda: True)

    def _downtime(self, act: Act) -> float:
        seconds = self._must(act.who, act.host, *act.words).downtime
        assert seconds is not None, act.words
        assert self._writer.wait_for_write(_SERVED), self._writer.status()
        return round(seconds, 2)

    @property
    def machine(self) -> Machine:
        """One of its hosts."""
        return self._fleet.machines[SOURCE_HOST]

    # -- what is done

    def _import(self) -> Act:
        name, host = self._new_name("base"), random.choice(HOSTS)  # noqa: S311
        words = ("base", "import", name, str(self._small.bases["small-1"]))
        return self._act(Who.SOURCE, host, words, lambda: f"bases/{name}" in self._layers(host))

    def _push(self) -> Act:
        # Where the release is that it is a clone of: on the target there is what migrations brought.
        version, host, plain = self._new_name("v"), SOURCE_HOST, self._small.plain
        told = ("--manifest", str(plain.manifest), "--from", plain.version)
        words = ("app", "push", f"redis/{version}", str(plain.archive), *told)
        return self._act(Who.PRODUCT, host, words, lambda: f"apps/redis/{version}" in self._layers(host))

    def _deploy(self) -> Act:
        jail, host = self._jail()
        plain, tuned = self._small.plain, self._small.tuned
        wanted = plain if jail["release"].endswith(f"/{tuned.version}") else tuned
        words = ("jail", "deploy", JAIL, wanted.reference)
        holds = lambda: self._jail()[0]["release"].endswith(f"/{wanted.version}")  # noqa: E731
        return self._act(Who.PRODUCT, host, words, holds)

    def _upgrade(self) -> Act:
        jail, host = self._jail()
        wanted = "small-1" if jail["base"] == "bases/small-2" else "small-2"
        words = ("jail", "upgrade", JAIL, wanted)
        return self._act(Who.SOURCE, host, words, lambda: self._jail()[0]["base"] == f"bases/{wanted}")

    def _rollback(self) -> Act:
        undone = self._upgrade()
        self._must(undone.who, undone.host, *undone.words)
        before = self._jail()[0]["base"]
        words = ("jail", "rollback", JAIL, "--axis", "base")
        return self._act(Who.SOURCE, undone.host, words, lambda: self._jail()[0]["base"] != before)

    def _migrate(self, *victims: int) -> Act:
        _, source = self._jail()
        target = next(host for host in HOSTS if host != source)
        words = ("jail", "migrate", JAIL, target, "--max-downtime", self._setting.max_downtime)
        cut = tuple((source, target)[victim] for victim in victims)
        holds = lambda: self._jail()[1] == target  # noqa: E731
        return Act(who=Who.OPERATOR, host=source, words=words, victims=cut, holds=holds)

    @staticmethod
    def _act(who: Who, host: str, words: tuple[str, ...], holds: Callable[[], bool]) -> Act:
        return Act(who=who, host=host, words=words, victims=(host,), holds=holds)

    def _forget(self, act: Act) -> None:
        """Remove what was imported or pushed."""
        if act.words[0] in {"base", "app"} and act.holds():
            self._must(act.who, act.host, act.words[0], "rm", act.words[2])

    # -- what must hold

    def _settle(self) -> None:
        deadline = time.monotonic() + _SETTLED
        while (open_ := self._still_open()) and time.monotonic() < deadline:
            time.sleep(1.0)  # nothing tells of both hosts
        assert not open_, f"still not at an end: {open_}\n{self._logs()}"

    def _still_open(self) -> list[str]:
        found = []
        for host in HOSTS:
            operations = self._look(host, "operation", "ls", "-n", "0")["operations"]
            found += [f"{host}: {each['name']}" for each in operations if not each.get("done")]
            migrations = self._look(host, "migration", "ls", "-n", "0")["migrations"]
            found += [f"{host}: {each['name']} {each['phase']}" for each in migrations if each["phase"] in _UNDER_WAY]
        if not found and len(owners := self._owners()) != 1:
            found = [f"owners: {owners}"]
        return found

    def _judge(self, act: Act, answer: Future[Answer]) -> str:
        """An operation that jailctl called done must have been done, whatever was cut after that."""
        result = answer.result().result
        # A cut in a migration that does not begin is no cut. What a host that is down is asked is no PLAN_REFUSED.
        assert "PLAN_REFUSED" not in answer.result().complaint, answer.result().complaint
        assert result is not Result.OK or act.holds(), f"jailctl said that it is done: {answer.result().command}"
        return result.value

    def _see_that_all_is_well(self, when: str) -> None:
        jail, owner = self._jail()
        assert jail["state"] == "running", f"{when}: {jail}\n{self._logs()}"
        served = self._writer.wait_for_write(_SERVED)
        assert served, f"{when}: the client is not served: {self._writer.status()}\n{self._logs()}"
        acknowledged, lost = self._writer.verify(self._setting.address)
        self._tally.lost_writes += lost
        assert lost == 0, f"{when}: {lost} of {acknowledged} acknowledged writes are lost"
        for host in HOSTS:
            generations = {name: each["generation"] if host == owner else 0 for name, each in self._jails(host).items()}
            known = Known(root=ROOT, layers=self._layers(host), jails=generations, volumes=self._volumes)
            left = self._left_over(host, known)
            self._tally.orphans += len(left)
            assert not left, f"{when}: left over on {host}: {left}\n{self._logs()}"

    def _left_over(self, host: str, known: Known) -> list[str]:
        """What is left when all had its time: snapshots of an aborted migration go after the abort is written down."""
        deadline = time.monotonic() + _CLEANED
        while (left := orphans.find(self._fleet.machines[host], known)) and time.monotonic() < deadline:
            time.sleep(1.0)  # nothing tells of it
        return left

    # -- asking

    def _jail(self) -> tuple[dict[str, Any], str]:
        """The jail as its owner shows it, and the owner."""
        owners = self._owners()
        assert len(owners) == 1, f"owned by {owners}\n{self._logs()}"
        return self._jails(owners[0])[JAIL], owners[0]

    def _owners(self) -> list[str]:
        shown = {host: self._jails(host).get(JAIL) for host in HOSTS}
        return [host for host, jail in shown.items() if jail is not None and jail["state"] not in _ELSEWHERE]

    def _jails(self, host: str) -> dict[str, dict[str, Any]]:
        return {each["name"].partition("/")[2]: each for each in self._look(host, "jail", "ls")["jails"]}

    def _layers(self, host: str) -> frozenset[str]:
        bases = [each["name"] for each in self._look(host, "base", "ls")["bases"]]
        releases = [each["name"] for each in self._look(host, "app", "releases")["releases"]]
        return frozenset([*bases, *(name.replace("/releases/", "/") for name in releases)])

    def _look(self, host: str, *words: str) -> dict[str, Any]:
        return self._good(self._fleet.look(host, *words)).document

    def _must(self, who: Who, host: str, *words: str) -> Answer:
        return self._good(self._fleet.jailctl(who, host, *words))

    def _good(self, answer: Answer) -> Answer:
        said = f"{answer.command}: {json.dumps(answer.document)} {answer.complaint}"
        assert answer.result is Result.OK, f"{said}\n{self._logs()}"
        return answer

    def _logs(self) -> str:
        return "\n".join(f"--- {host}\n{self._fleet.log(host)}" for host in HOSTS)

    def _new_name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}-{self._names}"
