"""The plan of a rollout over hosts, what is asked for, and what whoever is woken by it reads: by tables."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from jaild.model import maintenance
from jaild.model.errors import InvalidArgumentError
from jaild.model.problems import Severity
from jaild.model.rollouts.decision import MemberState, RolloutState
from jaild.model.rollouts.fleet import FleetPolicy, FleetRollout, FleetSpec, HostStep, Look, Word, next_decision
from jaild.model.rollouts.policy import Share
from jaild.salt.rollout import asked, report
from jaild.salt.rollout.messages import HostPlan, JailPlan
from jaild.salt.rollout.planning import Order, Planned, Where, planned

NOW = 1_000_000.0
JAIL = JailPlan(name="web", before="bases/old", target="bases/new")


def plan(**more: object) -> HostPlan:
    return HostPlan(**{"target": "bases/new", "sha256": "aa", "duration": 9.0, "jails": (JAIL,), **more})  # type: ignore[arg-type]


def refused(reason: str) -> HostPlan:
    return plan(refused=Look(state=RolloutState.REFUSED, reason=reason, message="why"))


def rollout(*, leave_out: bool = False, **policy: object) -> FleetRollout:
    made = FleetPolicy(**policy)  # type: ignore[arg-type]
    spec = FleetSpec(each={"base": "bases/new"}, target="edge-*", policy=made, leave_out_refused=leave_out)
    return FleetRollout(id="r", spec=spec, actor="me", created=NOW)


def found(
    plans: Mapping[str, HostPlan], order: Order | None = None, *, leave_out: bool = False, **policy: object
) -> Planned:
    where = {name: Where("fra" if name < "c" else "ams", f"r{ord(name[0]) % 2}") for name in plans}
    return planned(rollout(leave_out=leave_out, **policy), plans, where, order or Order())


def errors(plans: Mapping[str, HostPlan], **more: object) -> list[str]:
    return [each.code for each in found(plans, **more).errors]  # type: ignore[arg-type]


def test_hosts_go_site_after_site_and_in_each_by_turns_of_its_racks() -> None:
    plans = {name: plan() for name in ("a", "a2", "b", "c", "d")}
    by_name = found(plans, waves=(Share(1),))
    told = [(step.name, step.site, step.group, step.wave) for step in by_name.steps]
    assert told == [
        *(("c", "ams", "ams/r1", 1), ("d", "ams", "ams/r0", 2)),
        *(("a", "fra", "fra/r1", 3), ("b", "fra", "fra/r0", 4), ("a2", "fra", "fra/r1", 4)),
    ]
    chosen = found(plans, Order(sites=("fra",), canaries=("d",)))
    assert [step.name for step in chosen.steps] == ["d", "a", "b", "a2", "c"]
    assert [step.wave for step in chosen.steps] == [0, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("plans", "more", "wrong"),
    [
        ({"a": plan(), "b": plan()}, {}, []),
        ({"a": plan(), "b": refused("NOTHING_TO_ROLL_OUT")}, {}, []),
        ({}, {}, ["NOTHING_TO_ROLL_OUT"]),
        ({"a": refused("NOTHING_TO_ROLL_OUT")}, {}, []),
        ({"a": refused("NOTHING_TO_ROLL_OUT"), "b": HostPlan(error="no answer")}, {}, ["ROLLOUT_REFUSED"]),
        ({"a": refused("NOTHING_TO_ROLL_OUT"), "b": refused("MERGE_CONFLICT")}, {}, ["MERGE_CONFLICT"]),
        ({"a": plan(), "b": refused("NOTHING_TO_ROLL_OUT")}, {"order": Order(canaries=("b",))}, []),
        ({"a": plan(), "b": refused("MERGE_CONFLICT")}, {}, ["MERGE_CONFLICT"]),
        ({"a": plan(), "b": refused("MERGE_CONFLICT")}, {"leave_out": True}, []),
        ({"a": plan(), "b": plan(sha256="bb")}, {}, ["TARGET_DIFFERS"]),
        ({"a": plan(guid=1), "b": plan(guid=2)}, {}, []),  # each has imported the same archive
        ({"a": plan(sha256="", guid=1), "b": plan(sha256="", guid=2)}, {}, ["TARGET_DIFFERS"]),
        ({"a": plan(), "b": HostPlan(error="no answer")}, {}, ["ROLLOUT_REFUSED"]),
        ({"a": plan(), "b": HostPlan(error="no answer")}, {"failure_budget": Share(50, percent=True)}, []),
        ({"a": plan()}, {"order": Order(canaries=("z",))}, ["INVALID_ROLLOUT"]),
    ],
)
def test_what_speaks_against_it_is_found_before_anything_begins(
    plans: Mapping[str, HostPlan], more: Mapping[str, object], wrong: list[str]
) -> None:
    assert errors(plans, **more) == wrong


def test_hosts_that_nothing_keeps_apart_are_named_where_others_have_a_rack() -> None:
    plans = {name: plan() for name in ("a", "b", "c")}
    warned = planned(rollout(), plans, {"a": Where("fra", "r1"), "b": Where("fra"), "c": Where()}, Order()).problems
    assert [(each.code, each.message.partition(":")[0], each.severity) for each in warned] == [
        ("RACK_UNKNOWN", "b, c", Severity.WARNING)
    ]
    assert planned(rollout(), plans, {}, Order()).problems == ()  # nobody has racks
    assert found(plans).problems == ()


def test_a_silent_host_is_a_member_that_was_told_nothing() -> None:
    made = found({"a": plan(), "b": HostPlan(error="no answer")}, failure_budget=Share(1))
    quiet = made.steps[-1]
    assert (quiet.name, quiet.state, quiet.silent, quiet.counts, quiet.began) == (
        "b",
        MemberState.WAITING,
        True,
        True,
        0,
    )
    assert [(each.severity, each.code) for each in made.problems] == [(Severity.WARNING, "HOST_SILENT")]


def test_hosts_that_have_nothing_to_do_are_done() -> None:
    made = found({"a": refused("NOTHING_TO_ROLL_OUT")}, Order(canaries=("a",)))
    assert [(each.severity, each.code) for each in made.problems] == [(Severity.WARNING, "NOTHING_TO_ROLL_OUT")]
    assert next_decision(made.rollout, made.steps, {}, NOW).state is RolloutState.DONE
    assert report.brief(made.rollout, made.steps)["hosts"] == "1 of 1 done"
    some = found({"a": plan(), "b": refused("NOTHING_TO_ROLL_OUT")}, Order(canaries=("b",)))
    assert [(step.name, step.state) for step in some.steps] == [("a", MemberState.WAITING), ("b", MemberState.SKIPPED)]
    assert [each.code for each in some.problems] == ["NOTHING_TO_ROLL_OUT"]


def test_words_of_a_command_line_become_a_specification() -> None:
    what = {"channel": "stable", "jails": "web,db", "labels": {"team": "cdn"}}
    each = {"max_parallel": 4, "soak": 60, "budget": "5%", "on_breach": "undo", "keep_failed": True}
    policy = {"soak": 600, "waves": ["1%", 10], "budget": "1%", "jail_budget": 7, "silence": 60, "keep_failed": True}
    made = asked.spec(what, each, policy, target="*", target_type="glob", leave_out_refused=False)
    assert made.each == {
        "channel": "channels/stable",
        "jails": ["jails/web", "jails/db"],
        "labels": {"team": "cdn"},
        "policy": {
            "max_parallel": 4,
            "min_healthy_time": 60,
            "healthy_deadline": 300.0,
            "failure_budget": {"number": 5, "percent": True},
            "keep_failed": True,
            "on_breach": "undo",
        },
    }
    assert made.policy == FleetPolicy(
        min_healthy_time=600.0,
        healthy_deadline=1200.0,
        waves=(Share(1, percent=True), Share(10)),
        failure_budget=Share(1, percent=True),
        jail_budget=Share(7),
        silence=60.0,
        auto_revert=False,
    )


@pytest.mark.parametrize(
    ("what", "each", "policy", "told"),
    [
        ({}, {}, {}, "of nothing"),
        ({"base": "a", "release": "b/1"}, {}, {}, "of base and release"),
        ({"base": "a"}, {}, {"soaks": 1}, "soaks: no such option"),
        ({"base": "a"}, {"silence": 1}, {}, "silence: no such option"),
        ({"base": "a"}, {}, {"budget": "many"}, "neither a number nor a percentage"),
        ({"base": "a"}, {}, {"max_parallel": 0}, "max_parallel is 0"),
        ({"base": "a"}, {}, {"silence": 9, "give_up": 8}, "no more than give_up"),
        ({"base": "a"}, {"max_parallel": "x"}, {}, "max_parallel"),
    ],
)
def test_what_makes_no_sense_is_refused(
    what: Mapping[str, str], each: Mapping[str, object], policy: Mapping[str, object], told: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        asked.spec(what, each, policy, target="*", target_type="glob", leave_out_refused=False)


def test_whoever_is_woken_reads_why_and_what_may_be_done_before_the_hosts() -> None:
    steps = [
        HostStep(
            name="a", wave=0, state=MemberState.FAILED, counts=True, jails=2, jails_failed=1, reason="R", message="m"
        ),
        HostStep(
            name="b", group="fra/r1", state=MemberState.CHANGING, began=NOW - 5, silent=True, counts=True, jails=2
        ),
        HostStep(name="c", group="fra/r1", jails=2),
    ]
    running = rollout(failure_budget=Share(2), jail_budget=Share(50, percent=True))
    told = report.status(running, steps, pid=None, words=[(Word.PAUSE, "you")], messages={0: (1, 2)}, now=NOW)
    assert [*told][:6] == ["rollout", "state", "why", "what", "next", "carried_out_by"]
    assert told["why"].startswith("1 of fra/r1 wait for b, silent in mid-change")
    assert told["next"][0] == "salt-run jaild_rollout.pause r"
    assert told["carried_out_by"] == "nobody: salt-run jaild_rollout.go_on r"
    assert told["not_heeded_yet"] == ["pause by you"]
    assert told["hosts"] == {"failed": 1, "silent": 1, "waiting": 1}
    assert told["failures"] == {"hosts": "2 of 2 that may", "jails": "1 of 3 that may"}
    assert told["trouble"] == ["a failed: R: m"]
    assert told["silent"] == ["b (fra/r1) changing for 5 s, 0 of 2 jails"]
    assert told["messages"] == {"canaries": "1 job, 2 answers"}
    lines = report.text(told).splitlines()
    assert lines[:2] == ["rollout: r", "state: running"]
    assert "  salt-run jaild_rollout.pause r" in lines
    assert "hosts: failed 1, silent 1, waiting 1" in lines


def test_what_a_rollout_waits_for_that_looks_idle_is_said() -> None:
    steps = [
        HostStep(name="a", not_before=NOW + 60, reason="JAIL_MIGRATING", message="web is moving"),
        HostStep(name="b", not_before=NOW + 90, reason="JAIL_MIGRATING"),
        HostStep(name="c"),
    ]

    def why(of: list[HostStep], *windows: str) -> str:
        return str(report.status(rollout(maintenance=windows), of, pid=7, words=[], messages={}, now=NOW).get("why"))

    told = why(steps)
    assert told.startswith("a refused (JAIL_MIGRATING: web is moving), and is tried again at ")
    assert told.endswith(", and 1 host likewise")
    weekday = (time.gmtime(NOW).tm_wday + 2) % 7
    closed = why(steps[2:], f"{maintenance.DAYS[weekday]} 02:00-05:00 UTC")
    assert closed.startswith("its maintenance windows are closed until ")
    assert why([HostStep(name="c", state=MemberState.DONE)], "Mon 02:00-05:00 UTC") == "None"


def test_many_hosts_of_a_kind_are_not_told_one_by_one() -> None:
    steps = [HostStep(name=f"h{n}", state=MemberState.FAILED, reason="R") for n in range(report.MOST + 5)]
    told = report.status(rollout(), steps, pid=7, words=[], messages={}, now=NOW)
    assert len(told["trouble"]) == report.MOST + 1
    assert told["trouble"][-1] == "and 5 more"
    assert told["carried_out_by"] == "process 7"
