"""What a state tells, decided without a daemon."""

from __future__ import annotations

from typing import Any

import pytest

from jaild.salt.outcome import Move, Outcome, Plan, brief, differences, moves, with_standby

ERROR = {"severity": "error", "code": "MISSING_LIBRARY", "message": "no libx.so.1", "hint": "push it"}
JAIL: dict[str, Any] = {
    "spec": {"base": "debian-12", "app": "redis/7.0", "labels": {"a": "b"}},
    "generation": 4,
    "etag": "x",
}


def planned(*plans: dict[str, Any]) -> Plan:
    return Plan(tuple((Move(f"move_{number}", {}), plan) for number, plan in enumerate(plans)))


@pytest.mark.parametrize(
    ("wanted", "functions"),
    [
        ({"base": "debian-12", "app": "redis/7.0"}, ["configure_jail"]),
        ({"base": "debian-13", "app": "redis/7.2"}, ["upgrade_base", "deploy_release", "configure_jail"]),
        ({"channel": "stable"}, ["upgrade_base", "configure_jail"]),
    ],
)
def test_each_axis_that_differs_is_moved_base_first(wanted: dict[str, Any], functions: list[str]) -> None:
    assert [move.function for move in moves("web", wanted, JAIL)] == functions


def test_a_jail_that_follows_the_channel_stays_on_its_base() -> None:
    behind = {"spec": {"channel": "stable", "base": "debian-12"}}
    assert [move.function for move in moves("web", {"channel": "stable"}, behind)] == ["configure_jail"]


def test_a_jail_that_is_to_leave_its_channel_gets_its_base_by_name() -> None:
    follows = {"spec": {"channel": "stable", "base": "debian-12"}, "etag": "y"}
    first = next(moves("web", {"base": "debian-12"}, follows))
    assert (first.function, first.arguments) == ("upgrade_base", {"name": "web", "etag": "y", "base": "debian-12"})


def test_the_rest_is_configured_on_the_base_and_the_release_that_are_there() -> None:
    last = [*moves("web", {"base": "debian-13", "quota": "1G"}, JAIL)][-1]
    assert last.arguments["spec"] == {"base": "debian-12", "app": "redis/7.0", "quota": "1G"}


def test_a_move_is_of_the_jail_as_it_was_read_or_as_the_one_before_left_it() -> None:
    found = [*moves("web", {"base": "debian-13", "app": "redis/7.2"}, JAIL)]
    assert [move.arguments["etag"] for move in found] == ["x"] * 3
    assert found[1].expecting("z").arguments["etag"] == "z"
    assert found[1].expecting("") == found[1]
    creation = Move("create_jail", {"jail_id": "web"})
    assert creation.expecting("z") == creation


def test_what_is_unchanged_is_no_move() -> None:
    plan = planned({"unchanged": True, "problems": [ERROR]}, {"kind": "deploy", "target": "jails/web"})
    assert [move.function for move in plan.moves] == ["move_1"]
    assert plan.text() == "deploy jails/web"
    assert not plan.refused


def test_the_first_move_refuses_and_a_later_one_is_planned_on_what_will_be_another_base() -> None:
    assert planned({"problems": [ERROR]}, {}).refused
    assert not planned({}, {"problems": [ERROR]}).refused
    assert "hint: push it" in planned({}, {"problems": [ERROR]}).text()


def test_what_becomes_what_is_told() -> None:
    changes = [{"field": "$.limits.memory", "before": "1G", "after": "2G"}, {"field": "$.quota", "after": "10G"}]
    plan = planned({"kind": "configure", "target": "jails/web", "steps": ["configure it"], "changes": changes})
    told = ["configure jails/web", "  configure it", "  $.limits.memory: 1G -> 2G", "  $.quota: nothing -> 10G"]
    assert plan.text().splitlines() == told


def test_each_plan_counts_as_if_it_were_the_first() -> None:
    before = {"generation": 4, "base": "bases/debian-12", "release": "apps/redis/releases/7.0"}
    upgrade = {"to_generation": 5, "base": "bases/debian-13", "release": "apps/redis/releases/7.0"}
    deploy = {"to_generation": 5, "base": "bases/debian-12", "release": "apps/redis/releases/7.2"}
    assert planned(upgrade, deploy).differences(before, {}) == {
        "generation": {"old": 4, "new": 6},
        "base": {"old": "bases/debian-12", "new": "bases/debian-13"},
        "release": {"old": "apps/redis/releases/7.0", "new": "apps/redis/releases/7.2"},
    }


def test_differences_are_old_and_new_and_none_for_what_is_not_there() -> None:
    assert differences(None, {"a": 1}) == {"a": {"old": None, "new": 1}}
    assert differences({"a": 1, "b": 2}, {"b": 2}) == {"a": {"old": 1, "new": None}}
    assert brief({**JAIL, "state": "running"}) == {
        "state": "running",
        "generation": 4,
        "spec:base": "debian-12",
        "spec:app": "redis/7.0",
        "spec:labels": {"a": "b"},
    }


def test_values_of_the_environment_are_not_told() -> None:
    before = {"spec": {"environment": {"KEY": "secret", "GONE": "old", "TZ": "UTC"}}}
    after = {"spec": {"environment": {"KEY": "other", "NEW": "new", "TZ": "UTC"}}}
    told = Outcome("web", changes=differences(brief(before), brief(after))).told()["changes"]
    assert told == {
        "spec:environment": {
            "old": {"KEY": "(redacted)", "GONE": "(redacted)"},
            "new": {"KEY": "(redacted)", "NEW": "(redacted)"},
        }
    }
    made = Outcome("web", changes=differences(None, brief(after))).told()["changes"]
    assert made["spec:environment"] == {"old": {}, "new": dict.fromkeys(("KEY", "NEW", "TZ"), "(redacted)")}


def test_replicas_are_part_of_the_spec_and_go_with_their_last_host() -> None:
    kept = with_standby(JAIL, ["beta"], 30)
    assert kept == {**JAIL["spec"], "standby": {"peers": ["beta"], "interval": 30}}
    assert with_standby({"spec": kept}, (), None) == JAIL["spec"]
