"""What daemons said, turned into what pages show: tables."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jaild.v1 import common_pb2, evacuations_pb2, host_pb2, jails_pb2, migrations_pb2, rollouts_pb2
from jaild.web.views import charts, hosts, jails, plans, table, words, work
from jaild.web.views.hosts import Trouble
from jaild.web.views.words import Tone
from tests.unit.cli.daemon import operation, status

JAIL = jails_pb2.Jail
HEALTH = jails_pb2.HealthStatus


def jail(state: Any = JAIL.STATE_RUNNING, **fields: Any) -> jails_pb2.Jail:
    return JAIL(name="jails/web", state=state, owner="alpha", **fields)


@pytest.mark.parametrize(
    ("seconds", "told"), [(940.0, "60s ago"), (1000.0, "0s ago"), (1600.0, "in 10m"), (1000.0 - 86400 * 3, "3d ago")]
)
def test_a_time_is_told_by_how_long_ago_it_was_or_how_soon_it_is(seconds: float, told: str) -> None:
    stamp = Timestamp()
    stamp.FromNanoseconds(int(seconds * 1e9))
    moment = words.moment(stamp, 1000.0)
    assert moment is not None
    assert moment.ago == told
    assert moment.iso == stamp.ToJsonString()


def test_a_time_that_is_unset_is_none() -> None:
    assert words.moment(Timestamp(), 1000.0) is None


def test_every_state_of_the_api_has_a_tone() -> None:
    loud = {Tone.WARN, Tone.BAD}
    states = {words.state(jail(value)) for value in JAIL.State.values()}
    assert {word for word in states if words.tone(word) in loud} == {
        *("failed", "crash-loop", "damaged", "waiting", "claimed", "fenced", "superseded")
    }
    assert {word for word in states if words.tone(word) is Tone.OK} == {"running"}


@pytest.mark.parametrize(
    ("name", "said"), [("jails/web", "web"), ("rollouts/3f", "rollout 3f"), ("operations/1", "operation 1")]
)
def test_what_has_a_number_for_a_name_is_said_with_its_kind(name: str, said: str) -> None:
    assert words.plain(name) == said


@pytest.mark.parametrize(
    ("found", "copy", "note", "concerns"),
    [
        (jail(), False, "", []),
        (jail(JAIL.STATE_STOPPED), False, "", []),
        (jail(JAIL.STATE_FAILED, message="it ended"), False, "it ended", [("bad", "failed: it ended", "")]),
        (jail(JAIL.STATE_CRASH_LOOP), False, "", [("bad", "crash-loop", "")]),
        (jail(JAIL.STATE_MOVED, peer="beta"), True, "now on beta", []),
        (jail(JAIL.STATE_INCOMING, peer="beta"), True, "from beta", []),
        (jail(JAIL.STATE_FENCED, peer="beta"), False, "now on beta", [("warn", "fenced", "")]),
        (
            jail(health=HEALTH(state=HEALTH.STATE_UNHEALTHY, output="refused\nmore")),
            False,
            "",
            [("bad", "unhealthy: refused", "")],
        ),
        (jail(health=HEALTH(state=HEALTH.STATE_HEALTHY)), False, "", []),
        (
            jail(standbys=[jails_pb2.StandbyStatus(host="g", behind=True, message="no answer")]),
            False,
            "",
            [("warn", "its replica on g is too old: no answer", "")],
        ),
        (jail(JAIL.STATE_STANDBY, standbys=[jails_pb2.StandbyStatus(host="g", behind=True)]), True, "", []),
        (
            jail(staged=jails_pb2.StagedGeneration(generation=7, failure="no")),
            False,
            "generation 7 is staged",
            [("warn", "its staged cutover failed: no", "")],
        ),
        (jail(behind="bases/b2", spec=jails_pb2.JailSpec(channel="stable")), False, "behind stable: it is b2 now", []),
    ],
)
def test_a_jails_row_says_what_of_it_asks_for_somebody(
    found: jails_pb2.Jail, copy: object, note: str, concerns: list[tuple[str, str, str]]
) -> None:
    row = jails.row(found)
    assert (row.copy, row.note) == (copy, note)
    assert [(each.tone, each.text, each.action) for each in row.concerns] == concerns
    assert {each.about for each in row.concerns} <= {"jails/web"}


def test_a_change_that_waits_can_be_confirmed_from_where_it_is_told() -> None:
    waiting = jail(revert_generation=3, revert_time=Timestamp(seconds=1000))
    (concern,) = jails.row(waiting).concerns
    assert concern.action == "confirm"
    assert "generation 3 comes back at 1970-01-01" in concern.text


def test_an_operation_is_told_by_its_phase_and_then_by_its_outcome() -> None:
    going = operation(phase="seed", bytes_done=1024, bytes_total=4096, bytes_per_second=512, actor="ann", message="m")
    told = work.of_operation(going)
    assert (told.state, told.tone, told.progress, told.note) == ("seed", Tone.BUSY, "1K of 4K, 512B/s", "m")
    assert told.actions == ("cancel-operation",)
    assert work.of_operation(operation(cancel_requested=True)).actions == ()
    done = work.of_operation(operation(jail()))
    assert (done.state, done.tone, done.actions, done.over) == ("done", Tone.OK, (), True)
    failed = work.of_operation(operation(error=status("ABORTED", "NOT_HEALTHY", "why")))
    assert (failed.state, failed.tone, failed.note, failed.over) == ("NOT_HEALTHY", Tone.BAD, "why", True)


@pytest.mark.parametrize(
    ("measured", "expected", "at_least", "told"),
    [
        (0, 0, False, ""),
        (1500, 0, False, "1.50 s"),
        (0, 800, False, "800 ms predicted"),
        (1500, 800, True, "1.50 s (at least 800 ms predicted)"),
    ],
)
def test_a_downtime_is_told_beside_what_was_predicted(measured: int, expected: int, at_least: Any, told: str) -> None:
    about = common_pb2.OperationMetadata(predicted_at_least=at_least)
    if measured:
        about.downtime.FromMilliseconds(measured)
    if expected:
        about.predicted_downtime.FromMilliseconds(expected)
    assert work.downtime(about) == told


def rollout(state: Any, *steps: Any) -> rollouts_pb2.Rollout:
    made = rollouts_pb2.Rollout(name="rollouts/r1", state=state, target="bases/b2", message="why")
    for step in steps:
        made.steps.add(jail="jails/web", state=step)
    return made


def test_a_rollout_counts_its_jails_and_says_what_may_be_done() -> None:
    kinds, steps = rollouts_pb2.Rollout, rollouts_pb2.RolloutStep
    told = work.of_rollout(rollout(kinds.STATE_RUNNING, steps.STATE_DONE, steps.STATE_FAILED, steps.STATE_WAITING))
    assert (told.done, told.total, told.progress, told.failed) == (2, 3, "2 of 3 jails, 1 failed", 1)
    assert (told.tone, told.actions) == (Tone.BUSY, ("pause", "cancel"))
    paused = work.of_rollout(rollout(kinds.STATE_PAUSED))
    assert (paused.tone, paused.actions, paused.progress) == (Tone.WARN, ("resume", "cancel"), "")
    assert work.of_rollout(rollout(kinds.STATE_UNDOING)).actions == ()


def test_what_goes_on_is_told_once() -> None:
    moving = operation(name="operations/m", kind="migrate", target="jails/web")
    own = operation(name="operations/r1", kind="rollout", target="host")
    going = rollouts_pb2.Rollout(name="rollouts/r1", state=rollouts_pb2.Rollout.STATE_RUNNING)
    coming = migrations_pb2.Migration(name="migrations/1", jail="jails/db", phase="receiving", source="b", target="a")
    here = migrations_pb2.Migration(name="migrations/2", jail="jails/web", phase="receiving")
    leaving = migrations_pb2.Migration(name="migrations/3", jail="jails/x", phase="sending", outgoing=True)
    over = migrations_pb2.Migration(name="migrations/4", jail="jails/y", phase="activated")
    evacuation = evacuations_pb2.Evacuation(name="evacuations/e")
    evacuation.end_time.GetCurrentTime()
    told = work.under_way([moving, own], [going], [evacuation], [coming, here, leaving, over])
    assert [each.name for each in told] == ["rollouts/r1", "operations/m", "migrations/1"]


def test_a_host_that_does_not_answer_tells_nothing_of_what_may_be_over() -> None:
    host = host_pb2.HostInfo(name="alpha", warnings=["full"], used_bytes=3 << 30, available_bytes=1 << 30)
    host.failing_tasks.add(name="tell beta", failures=2, error="no answer")
    rows = [jails.row(jail(JAIL.STATE_FAILED)), jails.row(jail())]
    works = [work.of_rollout(rollout(rollouts_pb2.Rollout.STATE_PAUSED)), work.of_rollout(rollout(1, 5))]
    told = hosts.concerns(host, rows, works, None)
    assert [(each.tone, each.text, each.action) for each in told] == [
        ("bad", "full", ""),
        ("bad", "failed", ""),
        ("warn", "tell beta has failed 2 times: no answer", ""),
        ("warn", "rollout to b2 is paused: why", "resume"),
        ("warn", "rollout to b2: 1 of 1 jail, 1 failed", ""),
    ]
    away = Trouble("connection refused")
    assert [each.text for each in hosts.concerns(host, rows, works, away)] == ["does not answer: connection refused"]
    row = hosts.row(host, rows, None, asked=True)
    assert (row.state, row.unwell, row.space, row.share) == ("up", 1, "1G free", 75)
    assert hosts.row(host, rows, away, asked=True).state == "unreachable"
    assert hosts.row(host_pb2.HostInfo(), [], None, asked=False).state == "asking"
    host.drain.actor = "ann"
    assert hosts.row(host, rows, None, asked=True).state == "drained"
    assert dict(hosts.facts(host))["drained"] == "by ann"
    host.shut_down = True
    assert hosts.row(host, rows, None, asked=True).state == "shut down"


def test_problems_stand_errors_first_with_proof_and_hint() -> None:
    plan = common_pb2.Plan(steps=["stop", "start"], from_generation=1, to_generation=2, base="bases/b1")
    plan.problems.add(severity=common_pb2.SEVERITY_NOTE, code="N")
    plan.problems.add(
        severity=common_pb2.SEVERITY_ERROR, code="E", subject="f", message="m", evidence=["a", "b"], hint="h"
    )
    told = plans.of_plan(plan)
    assert [(each.code, each.severity) for each in told.problems] == [("E", "error"), ("N", "note")]
    assert (told.problems[0].message, told.problems[0].evidence, told.problems[0].hint) == ("f: m", "a\nb", "h")
    assert told.refused
    assert told.facts == (("generation", "1 → 2"), ("base", "b1"))
    assert plans.of_plan(common_pb2.Plan(unchanged=True)).steps == ("nothing to change",)


def test_what_was_asked_to_end_is_not_asked_again() -> None:
    assert not plans.of_cancel(operation(phase="seed")).refused
    assert plans.of_cancel(operation(cancel_requested=True)).refused
    assert plans.of_cancel(operation(jail())).refused


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        ({}, True),
        ({"q": "WEB debian"}, True),
        ({"q": "web debian-13"}, False),
        ({"q": "10.0.0.5"}, True),
        ({"q": "team=cdn"}, True),
        ({"host": "alpha"}, True),
        ({"host": "beta"}, False),
        ({"show": "running"}, True),
        ({"show": "stopped"}, False),
        ({"show": "concern"}, False),
        ({"show": "nonsense", "page": "-1"}, True),
    ],
)
def test_a_filter_takes_what_it_says(query: dict[str, str], taken: object) -> None:
    found = jail(base="bases/debian-12")
    found.spec.labels["team"] = "cdn"
    found.spec.network.addresses.append("10.0.0.5/24")
    assert bool(table.Wanted.of(query).of_host("alpha", [jails.row(found)])) is taken


def test_copies_are_shown_only_if_they_are_asked_for() -> None:
    row = jails.row(jail(JAIL.STATE_MOVED, peer="beta"))
    assert [show for show in table.SHOWS if table.Wanted(show=show).of_host("alpha", [row])] == ["all"]


@pytest.mark.parametrize(
    ("page", "rows", "first", "pages"), [(1, [0, 1, 2], 1, 3), (3, [6], 7, 3), (9, [6], 7, 3), (2, [3, 4, 5], 4, 3)]
)
def test_a_long_table_has_pages(page: int, rows: list[int], first: int, pages: int) -> None:
    part = table.part(range(7), page, 3)
    assert ([*part.rows], part.first, part.pages, part.total) == (rows, first, pages, 7)
    assert table.Wanted(words="a b", show="all", page=page).link(2) == "?q=a+b&show=all&page=2"


def test_an_empty_table_has_one_page() -> None:
    part = table.part(range(0), 4, 3)
    assert ([*part.rows], part.page, part.pages, part.first) == ([], 1, 1, 0)


def test_a_curve_is_apart_where_nothing_is_known() -> None:
    assert charts.cpu([1.0], [0.0], 100, 10) is None
    assert charts.cpu([nan, nan], [0.0, 1.0], 100, 10) is None
    chart = charts.cpu([0.0, 1.0, nan, 1.1, 0.0], [0.0, 25.0, 50.0, 75.0, 100.0], 100, 11)
    assert chart is not None
    assert chart.path.count("M") == 2
    assert chart.path.startswith("M0.0,11.0 25.0,")
    assert (chart.now, chart.top) == ("0%", "110%")
    assert chart.label.endswith("now 0%, most 110%")
    ended = charts.memory([1 << 20, 1 << 21, nan], [0.0, 1.0, 2.0], 100, 10)
    assert ended is not None
    assert (ended.now, ended.top) == ("not running", "2M")
