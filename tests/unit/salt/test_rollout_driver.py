"""A rollout over made-up hosts, from its plan to its end: who is begun when, who fails, and drivers that die."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.fleet import EXPIRY, FleetPolicy, FleetSpec, HostStep, Word, begun
from jaild.model.rollouts.policy import OnBreach, Share
from jaild.salt.rollout.messages import Answer, Call, Transport, Verb
from jaild.salt.rollout.planning import Order, Where, planned
from jaild.salt.rollout.service import Rollouts
from jaild.salt.rollout.store import Store
from tests.fakes.fleet import START, Fleet, Host, runs_new
from tests.salt import scale

ID = "r"
M = MemberState


class Bench:
    """A fleet with a master."""

    def __init__(self, folder: Path, hosts: Sequence[Host], **policy: object) -> None:
        self.fleet = Fleet(hosts)
        self.folder = folder
        self.store = Store(folder)
        given = {"max_parallel": 99, "min_healthy_time": 30.0, **policy}
        self._policy = FleetPolicy(**given)  # type: ignore[arg-type]

    def accept(self, order: Order | None = None, of: str = ID, hosts: Sequence[str] | None = None) -> None:
        spec = FleetSpec(each={"base": "bases/new"}, target="*", policy=self._policy)
        rollout = begun(of, spec, "me", self.fleet.now())
        rollouts = self.rollouts()
        plans = rollouts.ask_plans(rollout, [*(self.fleet.hosts if hosts is None else hosts)])
        where = {host.name: Where(host.site, host.group) for host in self.fleet.hosts.values()}
        rollouts.accept(planned(rollout, plans, where, order or Order()), plans)

    def rollouts(self, transport: Transport | None = None, store: Store | None = None) -> Rollouts:
        return Rollouts(store or self.store, lambda _: nullcontext(transport or self.fleet))

    def run(self) -> RolloutState:
        assert self.rollouts().carry_out(ID)
        return self.store.rollout(ID).state

    def say(self, word: Word) -> None:
        self.rollouts().say(ID, word, "me")

    def states(self) -> dict[str, MemberState]:
        return {step.name: step.state for step in self.store.steps(ID)}

    def step(self, name: str) -> HostStep:
        return next(step for step in self.store.steps(ID) if step.name == name)


def racks(count: int, of: int = 2, **more: object) -> list[Host]:
    return [Host(name=f"h{n}", group=f"r{n // of}", jails=3, **more) for n in range(count)]  # type: ignore[arg-type]


def test_every_host_is_begun_once_and_no_two_of_a_rack_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, racks(6), canaries=1)
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert set(bench.states().values()) == {M.DONE}
    assert [len(host.begun) for host in bench.fleet.hosts.values()] == [1] * 6
    assert bench.fleet.together == []
    first, *others = sorted(host.begun[0] for host in bench.fleet.hosts.values())
    assert others[0] >= first + 60 + 30  # the canary's change and soak
    runs, unknown = bench.rollouts().runs(ID)
    assert {jail.base for jails in runs.values() for jail in jails} == {"bases/new"}
    assert unknown == []


def test_a_canary_that_fails_stops_it_before_the_others_and_is_taken_back(tmp_path: Path) -> None:
    hosts = racks(4)
    hosts[0].failing = 1
    bench = Bench(tmp_path, hosts, canaries=1, failure_budget=Share(100, percent=True))
    bench.accept()
    assert bench.run() is RolloutState.PAUSED
    assert bench.states() == {"h0": M.UNDONE, "h1": M.WAITING, "h2": M.WAITING, "h3": M.WAITING}
    assert [host.name for host in hosts if host.begun] == ["h0"]
    assert not hosts[0].moved(bench.fleet.now())
    bench.say(Word.RESUME)
    assert bench.run() is RolloutState.DONE
    assert runs_new(bench.fleet.hosts, bench.fleet.now()) == {"h1", "h2", "h3"}


def test_a_host_whose_jails_crash_while_it_is_watched_has_failed(tmp_path: Path) -> None:
    hosts = racks(2)
    hosts[1].sick_after = 15.0
    bench = Bench(tmp_path, hosts, failure_budget=Share(1))
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert bench.states() == {"h0": M.DONE, "h1": M.UNDONE}
    assert bench.step("h1").reason == "NOT_HEALTHY"


def test_a_breach_takes_everything_back_if_the_policy_says_so(tmp_path: Path) -> None:
    hosts = racks(4)
    hosts[3].failing = 1
    bench = Bench(tmp_path, hosts, on_breach=OnBreach.UNDO)
    bench.accept()
    assert bench.run() is RolloutState.UNDONE
    assert runs_new(bench.fleet.hosts, bench.fleet.now()) == set()


def test_a_host_that_is_cut_off_in_mid_change_is_asked_and_not_told_again(tmp_path: Path) -> None:
    hosts = racks(4)
    hosts[0].away = ((START + 5, START + 900),)
    bench = Bench(tmp_path, hosts, failure_budget=Share(1), silence=60.0)
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert set(bench.states().values()) == {M.DONE}
    assert [len(host.begun) for host in hosts] == [1] * 4
    assert hosts[1].begun[0] > START + 900  # its rack waited for it
    assert hosts[3].begun[0] < START + 400  # and nobody else


def test_a_host_that_never_answers_again_counts_and_is_given_up_by_a_word(tmp_path: Path) -> None:
    hosts = racks(4)
    hosts[0].away = ((START + 5, math.inf),)
    bench = Bench(tmp_path, hosts, silence=60.0)
    bench.accept()
    assert bench.run() is RolloutState.PAUSED
    assert bench.store.rollout(ID).message == "1 failed, 0 may"
    assert bench.step("h0").silent
    assert not hosts[1].begun
    bench.say(Word.RESUME)
    assert bench.run() is RolloutState.DONE
    assert (bench.step("h0").state, bench.step("h0").reason) == (M.FAILED, "HOST_SILENT")
    assert hosts[1].begun


def test_a_host_that_was_silent_from_the_beginning_is_begun_when_it_answers(tmp_path: Path) -> None:
    hosts = [*racks(2), Host(name="late", jails=3, away=((START, START + 200),))]
    bench = Bench(tmp_path, hosts, failure_budget=Share(1))
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert bench.step("late").state is M.DONE
    over = Bench(tmp_path / "over", hosts)
    hosts[-1].away = ((START, math.inf),)
    with pytest.raises(FailedPreconditionError) as refused:
        over.accept()
    assert [each.code for each in refused.value.problems] == ["ROLLOUT_REFUSED"]
    assert over.store.rollouts() == []


def test_a_rack_waits_for_its_host_that_is_cut_off_while_it_is_taken_back(tmp_path: Path) -> None:
    hosts = racks(4)
    hosts[0].failing, hosts[0].undoing, hosts[0].away = 1, 2000.0, ((START + 90, START + 3000),)
    bench = Bench(tmp_path, hosts, failure_budget=Share(2), silence=60.0)
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert bench.fleet.together == []
    assert bench.states() == {"h0": M.UNDONE, "h1": M.DONE, "h2": M.DONE, "h3": M.DONE}
    assert hosts[1].begun[0] > START + 3000
    assert hosts[3].begun[0] < START + 400  # nobody else waited


def test_one_that_is_never_heard_of_again_while_it_is_taken_back_is_stuck_and_its_rack_goes_on(tmp_path: Path) -> None:
    hosts = racks(2)
    hosts[0].failing, hosts[0].undoing, hosts[0].away = 1, 2000.0, ((START + 90, math.inf),)
    bench = Bench(tmp_path, hosts, failure_budget=Share(2), silence=60.0, give_up=600.0)
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert bench.states() == {"h0": M.STUCK, "h1": M.DONE}
    assert hosts[1].begun[0] > START + 600


def test_taking_all_back_is_incomplete_where_a_host_does_not_say_that_it_is(tmp_path: Path) -> None:
    hosts = racks(4)
    bench = Bench(tmp_path, hosts, silence=60.0, give_up=600.0)
    bench.accept()
    assert bench.run() is RolloutState.DONE
    hosts[0].away = ((bench.fleet.now(), math.inf),)
    bench.say(Word.UNDO)
    assert bench.run() is RolloutState.INCOMPLETE
    assert bench.states() == {"h0": M.STUCK, "h1": M.UNDONE, "h2": M.UNDONE, "h3": M.UNDONE}
    hosts[0].away = ()
    bench.say(Word.UNDO)  # it is back
    assert bench.run() is RolloutState.UNDONE
    assert set(bench.states().values()) == {M.UNDONE}


@pytest.mark.parametrize("after", [30.0, 75.0], ids=["in mid-change", "while they are watched"])
def test_a_host_is_not_blamed_for_the_time_that_its_master_was_down(tmp_path: Path, after: float) -> None:
    hosts = racks(4, of=4)
    hosts[0].seconds = 60.0
    bench = Bench(tmp_path, hosts, canaries=1)
    bench.accept()
    mortal = _Mortal(bench, math.inf)

    def killed(_: Call) -> None:
        if bench.fleet.now() > START + after:
            raise _Killed

    with pytest.raises(_Killed):
        bench.rollouts(_Nudged(bench.fleet, killed), mortal.store).carry_out(ID)
    mortal.store.close()
    bench.fleet.receive(bench.fleet.now() + 7200.0)
    assert bench.run() is RolloutState.DONE
    assert set(bench.states().values()) == {M.DONE}
    assert bench.store.rollout(ID).message == ""


def test_it_is_paused_at_its_deadline_which_a_word_begins_anew(tmp_path: Path) -> None:
    hosts = racks(4, of=4)
    bench = Bench(tmp_path, hosts, deadline=150.0)
    bench.accept()
    assert bench.run() is RolloutState.PAUSED
    assert bench.store.rollout(ID).message == "it was to be over within 150 s"
    assert not hosts[3].begun
    while bench.run() is RolloutState.PAUSED:
        bench.say(Word.RESUME)
    assert set(bench.states().values()) == {M.DONE}


def test_a_host_whose_clock_is_wrong_fails_after_some_tries_and_holds_nobody_up(tmp_path: Path) -> None:
    hosts = racks(3, of=3)
    hosts[0].ahead = 2 * EXPIRY
    bench = Bench(tmp_path, hosts, failure_budget=Share(1))
    bench.accept()
    assert bench.run() is RolloutState.DONE
    assert bench.states() == {"h0": M.FAILED, "h1": M.DONE, "h2": M.DONE}
    assert bench.step("h0").reason == "ROLLOUT_EXPIRED"


def test_what_was_said_to_a_host_and_came_too_late_is_not_done(tmp_path: Path) -> None:
    hosts = racks(1)
    bench = Bench(tmp_path, hosts)
    bench.accept()
    hosts[0].slow = EXPIRY + 10
    bench.say(Word.CANCEL)
    assert bench.run() is RolloutState.CANCELLED
    bench.fleet.send(Call(Verb.BEGIN, {"rollout": ID, "attempt": 0, "expires": bench.fleet.now() + EXPIRY}), ["h0"])
    bench.fleet.receive(bench.fleet.now() + 2 * EXPIRY)
    assert hosts[0].begun == []


def test_a_word_is_heeded_by_whoever_carries_it_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path, racks(6, of=6))

    def pausing(call: Call) -> None:
        if call.verb is Verb.BEGIN and len([host for host in bench.fleet.hosts.values() if host.begun]) == 2:
            Rollouts(Store(tmp_path), lambda _: nullcontext(bench.fleet)).say(ID, Word.PAUSE, "other")

    bench.accept()
    assert bench.rollouts(_Nudged(bench.fleet, pausing)).carry_out(ID)
    rollout = bench.store.rollout(ID)
    assert (rollout.state, rollout.message) == (RolloutState.PAUSED, "paused by other")
    assert sorted(bench.states().values()).count(M.DONE) == 3  # what had begun has ended
    bench.say(Word.UNDO)
    assert bench.run() is RolloutState.UNDONE
    assert runs_new(bench.fleet.hosts, bench.fleet.now()) == set()


def test_one_that_is_over_is_taken_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, racks(4))
    bench.accept()
    assert bench.run() is RolloutState.DONE
    bench.say(Word.UNDO)
    assert bench.run() is RolloutState.UNDONE
    assert set(bench.states().values()) == {M.UNDONE}
    with pytest.raises(FailedPreconditionError, match="cannot heed undo"):
        bench.say(Word.UNDO)


def test_one_process_at_a_time_carries_a_rollout_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path, racks(2))
    bench.accept()
    with Store(tmp_path).carrying_out(ID) as alone:
        assert alone
        assert bench.rollouts().carry_out(ID) is False
        assert bench.store.carried_out_by(ID)
        assert [*bench.rollouts().unattended()] == []
    assert bench.store.carried_out_by(ID) is None
    assert [*bench.rollouts().unattended()] == [ID]
    assert bench.run() is RolloutState.DONE
    assert [*bench.rollouts().unattended()] == []
    with pytest.raises(NotFoundError):
        bench.rollouts().carry_out("none")


def test_two_rollouts_are_never_at_hosts_of_one_rack(tmp_path: Path) -> None:
    bench = Bench(tmp_path, racks(6), max_parallel=1)
    bench.accept(hosts=["h0", "h2"])
    with pytest.raises(FailedPreconditionError) as refused:
        bench.accept(of="other", hosts=["h1", "h5"])  # h1 is in the rack of h0
    (found,) = refused.value.problems
    assert (found.code, found.message.partition(":")[0]) == ("ROLLOUT_UNDER_WAY", "rollout r has rack r0")
    bench.accept(of="apart", hosts=["h4", "h5"])
    assert bench.run() is RolloutState.DONE
    bench.accept(of="other", hosts=["h1"])
    with pytest.raises(FailedPreconditionError, match="rollout other has rack r0"):
        bench.say(Word.UNDO)
    assert bench.store.words(ID) == []
    bench.rollouts().carry_out("other")
    bench.say(Word.UNDO)
    with pytest.raises(FailedPreconditionError, match="nothing was begun"):  # it is over, and about to be taken back
        bench.accept(of="late", hosts=["h0"])
    assert bench.run() is RolloutState.UNDONE


def test_a_damaged_record_is_told_and_holds_up_only_what_it_may_be_at(tmp_path: Path) -> None:
    bench = Bench(tmp_path, racks(4))
    bench.accept(hosts=["h0"])
    bench.accept(of="bad", hosts=["h2"])
    with sqlite3.connect(tmp_path / "rollouts.sqlite") as database:
        database.execute("UPDATE rollouts SET record = ? WHERE id = 'bad'", (b'{"state": "unheard of"}',))
    assert [each.id for each in bench.store.rollouts()] == [ID]
    assert [*bench.rollouts().unattended()] == [ID]
    assert bench.run() is RolloutState.DONE
    with pytest.raises(FailedPreconditionError, match="rollout bad cannot be read"):
        bench.rollouts().carry_out("bad")
    with pytest.raises(FailedPreconditionError) as refused:
        bench.accept(of="new", hosts=["h1"])
    (found,) = refused.value.problems
    assert (found.code, "jaild_rollout.forget bad" in found.hint) == ("RECORD_DAMAGED", True)
    bench.rollouts().forget("bad")
    bench.accept(of="new", hosts=["h1"])
    with pytest.raises(FailedPreconditionError, match="rollout new is not over"):
        bench.rollouts().forget("new")


def test_what_a_later_jaild_wrote_is_refused(tmp_path: Path) -> None:
    Bench(tmp_path, racks(1)).accept()
    with sqlite3.connect(tmp_path / "rollouts.sqlite") as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(FailedPreconditionError, match="a later jaild wrote the rollouts") as refused:
        Store(tmp_path).rollouts()
    assert refused.value.reason == "RECORD_TOO_NEW"
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "rollouts.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.raises(FailedPreconditionError, match="cannot be read: file is not a database"):
        Store(tmp_path / "none").rollouts()


def test_a_host_that_answers_nonsense_is_like_one_that_says_nothing(tmp_path: Path) -> None:
    hosts = racks(2, of=2)
    bench = Bench(tmp_path, hosts, silence=60.0, give_up=600.0, failure_budget=Share(1))
    bench.accept()
    assert bench.rollouts(_Garbled(bench.fleet, "h0")).carry_out(ID)
    assert bench.states() == {"h0": M.FAILED, "h1": M.DONE}
    assert bench.step("h0").reason == "HOST_SILENT"
    assert bench.rollouts(_Garbled(bench.fleet, "h1")).runs(ID)[0].keys() == {"h1"}


class _Nudged:
    """A transport that does something before a job is sent."""

    def __init__(self, fleet: Fleet, before: Callable[[Call], None]) -> None:
        self._fleet = fleet
        self._before = before

    def now(self) -> float:
        return self._fleet.now()

    def send(self, call: Call, hosts: Sequence[str]) -> int:
        self._before(call)
        return self._fleet.send(call, hosts)

    def receive(self, until: float) -> Sequence[Answer]:
        return self._fleet.receive(until)


class _Garbled(_Nudged):
    """A transport by which a host is not understood."""

    def __init__(self, fleet: Fleet, host: str) -> None:
        super().__init__(fleet, lambda _: None)
        self._host = host

    def receive(self, until: float) -> Sequence[Answer]:
        found = super().receive(until)
        return [replace(each, data={"state": ["?"]}) if each.host == self._host else each for each in found]


class _Killed(BaseException):
    """The driver's process is gone."""


class _MortalStore(Store):
    """A store whose process ends at the n-th thing that is done: before it is on disk, or after."""

    def __init__(self, folder: Path, point: Callable[[], None]) -> None:
        super().__init__(folder)
        self._point = point

    @contextmanager
    def writing(self) -> Iterator[None]:
        with super().writing():
            yield
            self._point()
        self._point()


class _Mortal:
    """A transport, with such a store, whose process ends likewise."""

    def __init__(self, bench: Bench, at: float) -> None:
        self.count = 0
        self._at = at
        self._fleet = bench.fleet
        self.store = _MortalStore(bench.folder, self._point)

    def _point(self) -> None:
        self.count += 1
        if self.count == self._at:
            raise _Killed

    def now(self) -> float:
        return self._fleet.now()

    def send(self, call: Call, hosts: Sequence[str]) -> int:
        self._point()
        number = self._fleet.send(call, hosts)
        self._point()
        return number

    def receive(self, until: float) -> Sequence[Answer]:
        found = self._fleet.receive(until)
        self._point()
        return found


def _story(folder: Path, at: float) -> tuple[Bench, int]:
    """Carry out a rollout with a failing host by a driver that dies, and by the next one."""
    hosts = racks(6)
    hosts[3].failing = 1
    bench = Bench(folder, hosts, canaries=1, waves=(Share(2),), failure_budget=Share(1))
    bench.accept()
    mortal = _Mortal(bench, at)
    try:
        bench.rollouts(mortal, mortal.store).carry_out(ID)
    except _Killed:
        mortal.store.close()
        bench.run()
    return bench, mortal.count


def test_a_driver_that_dies_at_any_point_is_followed_by_one_that_comes_to_the_same_end(tmp_path: Path) -> None:
    whole, points = _story(tmp_path / "whole", math.inf)
    assert whole.store.rollout(ID).state is RolloutState.DONE
    assert points > 60
    for at in range(1, points + 1):
        bench, _ = _story(tmp_path / str(at), at)
        assert bench.states() == whole.states(), at
        assert bench.store.rollout(ID).state is RolloutState.DONE
        assert bench.fleet.together == [], at
        assert [len(host.begun) for host in bench.fleet.hosts.values()] == [1] * 6, at
        assert [*bench.rollouts().runs(ID)[0]] == [*whole.rollouts().runs(ID)[0]]


@pytest.mark.parametrize("seed", range(3))
def test_a_fleet_with_failures_and_cuts_keeps_its_promises(tmp_path: Path, seed: int) -> None:
    budget = Share(2, percent=True)
    hosts = [*scale.hosts(400, 5, seed)]
    bench = Bench(tmp_path, hosts, max_parallel=20, failure_budget=budget, canaries=2, min_healthy_time=60.0)
    bench.accept()
    words = 0
    while bench.run() is RolloutState.PAUSED:
        steps = bench.store.steps(ID)
        counted = sum(step.counts for step in steps)
        assert counted <= budget.of(len(steps)) + 20  # what was under way when it was exceeded
        bench.say(Word.RESUME)
        words += 1
        assert words < 20
    now = bench.fleet.now()
    assert bench.fleet.together == []
    assert all(len(host.begun) <= 1 for host in hosts)
    states = bench.states()
    answers = [host for host in hosts if host.answers(now)]
    assert {host.name for host in answers if states[host.name] is M.DONE} == {
        host.name for host in answers if host.moved(now)
    }
    assert bench.fleet.most_waiting <= len(hosts)
