"""The state machine: what goes wrong with hosts, and every verb of operators and peers, in any order."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jaild.model.errors import JaildError
from jaild.model.layers.records import Ownership
from jaild.model.operation import Operation
from tests.fakes.faults import Crash, Effect
from tests.fakes.network import Fault
from tests.model import checks, verbs
from tests.model.loop import turns
from tests.model.world import NAMES, ModelHost, World, free_life

JAILS = ("web", "db")
_MEMORY = "/dev/shm"  # where there is one: every daemon writes durably
_LONG = 180.0  # seconds that an operator waits for what was asked

SEEN: Counter[str] = Counter()  # what was done since it was cleared, and how it ended

names = st.sampled_from(NAMES)
jails = st.sampled_from(JAILS)
standbys = st.sampled_from((("beta",), (), ("gamma",), ("beta", "gamma"), ("alpha", "beta", "gamma")))
# How long an operator looks on before the next thing happens: turns of the loop (0 s), or until it is done.
looks_on = st.one_of(st.none(), st.none(), st.integers(0, 40), st.integers(40, 400))
picks = st.integers(0, 3)  # which of those that it makes sense for
COMING = (Ownership.INCOMING, Ownership.PREPARED)
CHANGES = ("deploy", "trial", "confirm", "revert", "upgrade", "rollback", "start", "stop", "restart")


Place = tuple[ModelHost, str]
Make = Callable[[ModelHost, str], verbs.Verb]


def others_of(host: ModelHost) -> tuple[str, ...]:
    return tuple(name for name in NAMES if name != host.name)


def other(host: ModelHost, which: int) -> str:
    return others_of(host)[which % 2]


class Fleet(RuleBasedStateMachine):
    """Three hosts. `wrong` collects nothing: the first thing that is wrong ends the example."""

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.folder = Path(tempfile.mkdtemp(prefix="jaild-model-", dir=_MEMORY if Path(_MEMORY).is_dir() else None))
        self.world = World(self.folder, 1).__enter__()
        self.asked: list[asyncio.Task[Any]] = []
        self.failed = False
        SEEN["example"] += 1

    # -- the beginning

    @initialize(standbys=standbys)
    def begin(self, standbys: tuple[str, ...]) -> None:
        self.run(self.world.furnish())
        self.ask("alpha", verbs.create(self.world, self.host("alpha"), "web", standbys), None)
        self.run(asyncio.sleep(40))

    # -- time and clients

    @rule(jail=jails)
    def client_writes(self, jail: str) -> None:
        self.world.write(jail)

    @rule(seconds=st.sampled_from((1, 5, 31, 65, 130)))
    def time_passes(self, seconds: int) -> None:
        self.world.write("web")
        self.run(asyncio.sleep(seconds))
        self.world.write("web")

    @rule(name=names, seconds=st.sampled_from((-3600, -120, -5, 5, 120, 3600)))
    def clock_is_set(self, name: str, seconds: int) -> None:
        self.host(name).wall.step(seconds)

    # -- what fails

    @rule(one=names, other=names)
    def hosts_are_cut_off(self, one: str, other: str) -> None:
        if one != other:
            self.world.network.apart.add(frozenset({one, other}))

    @precondition(lambda self: self.world.network.apart)
    @rule()
    def network_is_well_again(self) -> None:
        self.world.network.heal()

    @rule(name=names, power=st.booleans())
    def a_daemon_is_killed(self, name: str, power: bool) -> None:  # noqa: FBT001
        """With the power of its host, or alone: its jails go on."""
        host = self.host(name)
        self.run(host.lose() if power else host.die())

    @precondition(lambda self: not all(host.up for host in self.world.hosts.values()))
    @rule(pick=picks)
    def a_host_comes_up(self, pick: int) -> None:
        down = [host for host in self.world.hosts.values() if not host.up]
        self.run(self._up(down[pick % len(down)]))

    @precondition(lambda self: any(self.world.owner(jail) for jail in JAILS))
    @rule(jail=jails)
    def a_jail_ends_by_itself(self, jail: str) -> None:
        """Its restart policy starts it again, unless it is another host's by then."""
        self.world.end(jail)

    @rule(name=names, at=st.integers(0, 30), effect=st.sampled_from(tuple(Effect)))
    def a_call_of_the_daemon_will_fail(self, name: str, at: int, effect: Effect) -> None:
        life = self.host(name).life
        free_life(life)
        life.counting, life.at, life.effect = True, at, effect

    @rule(at=st.integers(0, 12), fault=st.sampled_from(tuple(Fault)))
    def a_call_between_hosts_will_fail(self, at: int, fault: Fault) -> None:
        network = self.world.network
        network.calls.clear()
        network.counting, network.at, network.fault = True, at, fault

    # -- verbs

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, to=picks, wait=looks_on)
    def migrate(self, pick: int, jail: str, to: int, wait: int | None) -> None:
        self.ask_one(pick, jail, self.owners(), lambda host, jail: verbs.migrate(host, jail, other(host, to)), wait)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, wait=looks_on)
    def evacuate(self, pick: int, jail: str, wait: int | None) -> None:
        self.ask_one(pick, jail, self.owners(), lambda host, _: verbs.evacuate(host, others_of(host)), wait)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, to=picks, keep=st.booleans(), wait=looks_on)
    def trial_move(self, pick: int, jail: str, to: int, keep: bool, wait: int | None) -> None:  # noqa: FBT001
        make = lambda host, jail: verbs.trial_move(host, jail, other(host, to), keep_copy=keep)  # noqa: E731
        self.ask_one(pick, jail, self.owners(), make, wait)

    @precondition(lambda self: self.having(Ownership.STANDBY))
    @rule(pick=picks, jail=jails, wait=looks_on)
    def promote(self, pick: int, jail: str, wait: int | None) -> None:
        self.ask_one(pick, jail, self.having(Ownership.STANDBY), verbs.promote, wait)

    @precondition(lambda self: self.having(Ownership.STANDBY))
    @rule(pick=picks, jail=jails, wait=looks_on)
    def promote_by_force(self, pick: int, jail: str, wait: int | None) -> None:
        make = lambda host, jail: verbs.seize(self.world, host, jail)  # noqa: E731
        self.ask_one(pick, jail, self.having(Ownership.STANDBY), make, wait)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, to=picks, wait=looks_on)
    def salvage(self, pick: int, jail: str, to: int, wait: int | None) -> None:
        self.ask_one(pick, jail, self.owners(), lambda host, jail: verbs.salvage(host, jail, other(host, to)), wait)

    @precondition(lambda self: self.having(*COMING))
    @rule(pick=picks, jail=jails, wait=looks_on)
    def adopt(self, pick: int, jail: str, wait: int | None) -> None:
        make = lambda host, jail: verbs.adopt(self.world, host, jail)  # noqa: E731
        self.ask_one(pick, jail, self.having(*COMING), make, wait)

    @precondition(lambda self: self.waiting())
    @rule(pick=picks, jail=jails)
    def confirm(self, pick: int, jail: str) -> None:
        self.ask_one(pick, jail, self.waiting(), lambda host, jail: verbs.confirm(self.world, host, jail), None)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, standbys=standbys, wait=looks_on)
    def configure(self, pick: int, jail: str, standbys: tuple[str, ...], wait: int | None) -> None:
        make = lambda host, jail: verbs.configure(self.world, host, jail, standbys)  # noqa: E731
        self.ask_one(pick, jail, self.owners(), make, wait)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, what=st.sampled_from(CHANGES), wait=looks_on)
    def change(self, pick: int, jail: str, what: str, wait: int | None) -> None:
        self.ask_one(pick, jail, self.owners(), lambda host, jail: verbs.change(host, jail, what), wait)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, wait=looks_on)
    def stage(self, pick: int, jail: str, wait: int | None) -> None:
        self.ask_one(pick, jail, self.owners(), verbs.stage, wait)

    @precondition(lambda self: self.staged())
    @rule(pick=picks, jail=jails, what=st.sampled_from(("cutover", "cutover", "unstage")), wait=looks_on)
    def settle_staged(self, pick: int, jail: str, what: str, wait: int | None) -> None:
        self.ask_one(pick, jail, self.staged(), lambda host, jail: verbs.change(host, jail, what), wait)

    @precondition(lambda self: self.owners())
    @rule(pick=picks, jail=jails, base=st.sampled_from(("deb-1", "deb-2")), wait=looks_on)
    def roll_out(self, pick: int, jail: str, base: str, wait: int | None) -> None:
        """Over all that the host has."""
        make = lambda host, _: verbs.roll_out(host, self.owned_by(host), base)  # noqa: E731
        self.ask_one(pick, jail, self.owners(), make, wait)

    @precondition(lambda self: self.owners())
    @rule(name=names, wait=looks_on)
    def undo_rollout(self, name: str, wait: int | None) -> None:
        self.ask(name, verbs.undo_rollout(self.host(name)), wait)

    @precondition(lambda self: self.having(Ownership.MOVED))
    @rule(pick=picks, jail=jails)
    def finalize(self, pick: int, jail: str) -> None:
        self.ask_one(pick, jail, self.having(Ownership.MOVED), verbs.finalize, None)

    @precondition(lambda self: self.asked)
    @rule(name=names)
    def cancel(self, name: str) -> None:
        self.ask(name, verbs.cancel(self.host(name)), 5)

    @precondition(lambda self: self.missing())
    @rule(name=names, standbys=standbys)
    def create(self, name: str, standbys: tuple[str, ...]) -> None:
        self.ask(name, verbs.create(self.world, self.host(name), self.missing()[0], standbys), None)

    @rule(name=names, jail=jails)
    def remove(self, name: str, jail: str) -> None:
        """Seldom of what is owned: little is left to see then."""
        record = self.host(name).record(jail)
        if record is not None and (record.state is not Ownership.ACTIVE or self.world.serial % 4 == 0):
            self.ask(name, verbs.remove(self.world, self.host(name), jail), None)

    # -- what often comes together

    @precondition(lambda self: self.having(Ownership.STANDBY) and self.owners())
    @rule(pick=picks, jail=jails)
    def owner_dies_and_a_neighbour_is_promoted(self, pick: int, jail: str) -> None:
        owner = self.world.owner(jail)
        if owner is not None:
            self.run(owner.lose())
        if places := self.having(Ownership.STANDBY):
            self.ask_one(pick, jail, places, lambda host, jail: verbs.seize(self.world, host, jail), None)

    @precondition(lambda self: not all(host.up for host in self.world.hosts.values()))
    @rule(pick=picks)
    def a_host_comes_up_cut_off(self, pick: int) -> None:
        host = next(host for host in self.world.hosts.values() if not host.up)
        near = sorted(others_of(host), key=lambda name: not any(self.host(name).runs(jail) for jail in JAILS))
        self.world.network.apart.add(frozenset({host.name, near[pick // 3]}))  # mostly from where jails run
        self.run(self._up(host))

    # -- after every step

    @invariant()
    def nothing_is_wrong(self) -> None:
        SEEN["step"] += 1
        SEEN["steps of which a jail waits for its standbys"] += bool(self.waiting())
        self.fail_of([*(problem for jail in JAILS for problem in checks.wrong_now(self.world, jail))])
        self.fail_of(checks.defects(self.world))

    def teardown(self) -> None:
        try:
            if not self.failed:
                self.fail_of(self.run(self._end()))
        finally:
            self.world.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    async def _end(self) -> list[str]:
        for host in self.world.hosts.values():
            free_life(host.life)
        wrong = await checks.recovered(self.world, JAILS)
        return wrong or checks.defects(self.world)

    # -- how

    def host(self, name: str) -> ModelHost:
        return self.world.hosts[name]

    def having(self, *states: Ownership) -> list[Place]:
        """Return where a jail's record, of a host that is up, has one of these states."""
        return [
            (host, jail)
            for jail in JAILS
            for host in self.world.hosts.values()
            if host.up and (record := host.record(jail)) is not None and record.state in states
        ]

    def owners(self) -> list[Place]:
        """Return the hosts that say of themselves that a jail is theirs: a former one may, too, and comes first."""
        return sorted(self.having(Ownership.ACTIVE), key=lambda place: bool(place[0].runs(place[1])))

    def staged(self) -> list[Place]:
        """Return the jails that have something staged."""
        return [(host, jail) for host, jail in self.owners() if getattr(host.record(jail), "staged", None) is not None]

    def owned_by(self, host: ModelHost) -> tuple[str, ...]:
        """Return the jails that a host says are its own."""
        return tuple(jail for owner, jail in self.owners() if owner is host)

    def waiting(self) -> list[Place]:
        """Return the jails that wait for their standbys."""
        return [
            (host, jail) for host, jail in self.having(Ownership.ACTIVE) if host.core.inventory.jails[jail].unconfirmed
        ]

    def missing(self) -> list[str]:
        """Return the names of which there is nothing anywhere."""
        return [jail for jail in JAILS if not any(host.record(jail) for host in self.world.hosts.values())]

    def ask_one(self, pick: int, jail: str, places: Sequence[Place], make: Make, wait: int | None) -> None:
        """Ask one of these hosts, about this jail if there is a choice."""
        wanted = [place for place in places if place[1] == jail] or list(places)
        host, chosen = wanted[pick % len(wanted)]
        self.ask(host.name, make(host, chosen), wait)

    def ask(self, name: str, verb: verbs.Verb, wait: int | None) -> None:
        """Ask a host, and look on."""
        host = self.host(name)
        if not host.up:
            return
        task = self.world.loop.create_task(self._asked(host, verb))
        self.asked.append(task)
        if wait is None:
            self.run(asyncio.wait({task}, timeout=_LONG))
        else:
            self.run(turns(wait))
        for done in [task for task in self.asked if task.done()]:
            self.asked.remove(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                self.failed = True
                raise error

    async def _asked(self, host: ModelHost, verb: verbs.Verb) -> Operation | None:
        """Carry it out until it is done, or the daemon is dead. What is refused is no fault."""
        work = asyncio.ensure_future(self._done(host, verb))
        died = asyncio.ensure_future(host.life.died.wait())
        await asyncio.wait({work, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not work.done():
            work.cancel()
            return None
        with suppress(Crash):
            return work.result()
        return None

    async def _done(self, host: ModelHost, verb: verbs.Verb) -> Operation | None:
        try:
            operation = await verb()
            if operation is None:
                return None
            ended = await host.core.use_cases.operations.wait(operation.id, None)
        except JaildError as error:
            SEEN[f"refused: {error.reason}"] += 1
            note(f"    refused: {error.reason}: {error.message}")
            return None
        why = "" if ended.failure is None else ended.failure.reason
        SEEN[f"end of {ended.kind} {why}".strip()] += 1
        note(f"    {ended.kind} on {host.name}: {why or 'done'}")
        return ended

    async def _up(self, host: ModelHost) -> None:
        host.powered = True
        await host.boot()
        await turns(300)

    def run(self, work: Any) -> Any:
        """Let it be done; what died of a fault on the way is dead."""
        try:
            result = self.world.loop.carry_out(work)
            for host in self.world.hosts.values():
                if host.life.dead and host.reachable:
                    self.world.loop.carry_out(host.die())
        except BaseException:
            self.failed = True
            raise
        return result

    def fail_of(self, wrong: Sequence[str]) -> None:
        if wrong:
            self.failed = True
            SEEN.setdefault("first failure", SEEN["example"])
            raise AssertionError("; ".join(wrong))
