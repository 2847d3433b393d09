"""Answers about a fleet, from what its hosts told last: each has an age, and who was not heard is named."""

from __future__ import annotations

from typing import Any

import pytest

from jaild.salt import fleet

NOW = 1_764_500_000.0  # 2025-11-30T10:53:20Z
WEB = {"state": "running", "base": "deb-1", "release": "web/1", "channel": "stable", "behind": "deb-2"}


def summary(jails: dict[str, Any] | None = None, *, time: str = "2025-11-30T10:53:00Z", **more: Any) -> dict[str, Any]:
    found = {"time": time, "available_bytes": 100, "used_bytes": 10, "channels": {"stable": "deb-2"}}
    return {**found, "jails": jails or {}, **more}


def of(summaries: dict[str, Any], *, max_age: float = 3600) -> fleet.Fleet:
    return fleet.gathered(summaries, summaries, NOW, max_age)


def test_an_answer_says_how_old_it_is_and_who_was_not_heard() -> None:
    known = of({"b": summary(time="2025-11-30T10:43:20Z"), "a": summary(), "c": {}, "d": None})
    assert known.answer(found=[]) == {
        "found": [],
        "hosts": 2,
        "oldest": 600,
        "unheard": {"c": "has never told anything", "d": "has never told anything"},
    }


def test_what_is_too_old_counts_and_its_host_is_not_heard() -> None:
    known = of({"a": summary({"web": WEB})}, max_age=19)
    assert [row["host"] for row in fleet.whereabouts(known, "web")] == ["a"]
    assert known.unheard == {"a": "told this 20 s ago, and nothing since"}
    assert of({"a": summary()}, max_age=20).unheard == {}


def test_a_clock_that_is_ahead_makes_nothing_younger_than_now() -> None:
    assert of({"a": summary(time="2025-11-30T11:00:00Z")}).told["a"].age == 0


def test_the_host_whose_jail_it_is_comes_first_then_the_newest_word() -> None:
    moved, late = {**WEB, "state": "moved"}, "2025-11-30T10:00:00Z"
    known = of({"a": summary({"web": moved}), "b": summary({"web": WEB}, time=late), "c": summary({"web": WEB})})
    rows = fleet.whereabouts(known, "web")
    assert [(row["host"], row["state"], row["age"]) for row in rows] == [
        ("c", "running", 20),
        ("b", "running", 3200),
        ("a", "moved", 20),
    ]
    assert fleet.whereabouts(known, "other") == []


def test_who_answers_now_is_heard_and_who_does_not_is_named() -> None:
    known = of({"a": summary({"web": WEB}, time="2025-11-30T10:00:00Z"), "b": None, "c": None, "d": None}, max_age=60)
    answers = {"a": summary({}), "b": summary({"web": WEB}), "c": "ERROR: no daemon answers (UNAVAILABLE)\n  hint: x"}
    now = known.asked(answers, ["a", "b", "c", "d"], fleet.is_summary).newly(answers)
    assert [row["host"] for row in fleet.whereabouts(now, "web")] == ["b"]
    assert now.unheard == {"c": "ERROR: no daemon answers (UNAVAILABLE)", "d": "does not answer"}


def test_hosts_by_room_say_why_not_to_take_them() -> None:
    known = of(
        {
            "a": summary({"web": WEB, "old": {**WEB, "state": "moved"}}, available_bytes=5, running=1),
            "b": summary(available_bytes=50, drain={"reason": "its fan"}, warnings=["the pool tank is DEGRADED"]),
        }
    )
    assert fleet.by_room(known) == [
        {
            "host": "b",
            "available_bytes": 50,
            "used_bytes": 10,
            "running": 0,
            "jails": 0,
            "drained": "its fan",
            "warnings": ["the pool tank is DEGRADED"],
            "age": 20,
        },
        {"host": "a", "available_bytes": 5, "used_bytes": 10, "running": 1, "jails": 1, "age": 20},
    ]
    assert [row["host"] for row in fleet.by_room(known, least=True)] == ["a", "b"]


@pytest.mark.parametrize(("channel", "found"), [("", ["db", "web"]), ("stable", ["web"]), ("other", [])])
def test_jails_behind_their_channel_are_those_that_a_host_owns(channel: str, found: list[str]) -> None:
    jails = {
        "web": WEB,
        "db": {**WEB, "channel": "edge"},
        "new": {**WEB, "behind": ""},
        "copy": {**WEB, "state": "moved"},
    }
    rows = fleet.behind(of({"a": summary(jails)}), channel)
    assert [row["jail"] for row in rows] == found


def test_a_channel_is_told_with_how_many_hosts_name_which_base() -> None:
    known = of({"a": summary(), "b": summary(), "c": summary(channels={"stable": "deb-1", "edge": "deb-3"})})
    assert fleet.bases_of_channels(known) == {"edge": {"deb-3": 1}, "stable": {"deb-2": 2, "deb-1": 1}}
    assert fleet.bases_of_channels(known, "edge") == {"edge": {"deb-3": 1}}


def test_a_generation_that_holds_it_twice_is_told_once_the_active_one_first() -> None:
    ssl = {"name": "libssl.so.3", "version": "3.0.14", "package": "openssl"}
    uses = [
        {"jail": "jails/web", "generation": 1, "state": "running"},
        {"jail": "jails/web", "generation": 2, "active": True, "state": "running"},
    ]
    answer: list[dict[str, Any]] = [
        {"layer": "bases/deb-1", "matches": [ssl], "uses": uses[:1]},
        {"layer": "bases/deb-1", "uses": uses[1:]},  # one with many users comes in several
        {"layer": "apps/web/releases/1", "matches": [{"name": "libssl.so.1", "unsure": True}], "uses": uses[1:]},
        {"layer": "apps/old/releases/1", "matches": [ssl]},
        {"layer": "bases/deb-0", "not_indexed": "nothing is known of it"},
    ]
    found, dark = fleet.holders({"a": answer})
    assert [(row["jail"], row["generation"], row["active"], row["holds"]) for row in found] == [
        ("web", 2, True, ["libssl.so.3 3.0.14 (openssl)", "libssl.so.1 (version not known)"]),
        ("web", 1, False, ["libssl.so.3 3.0.14 (openssl)"]),
    ]
    assert dark == [{"host": "a", "layer": "bases/deb-0", "why": "nothing is known of it"}]


def test_an_error_is_no_summary() -> None:
    assert not fleet.is_summary("Passed invalid arguments")
    assert not fleet.is_summary({})
    assert fleet.silence("") == fleet.silence(None) == fleet.silence({}) == "does not answer"
