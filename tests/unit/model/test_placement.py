"""Where an evacuation's jails go: decided from what the hosts told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jaild.model.evacuation.placement import Guest, Need, Placements, Room, place
from jaild.model.problems import Problem, Severity

G = 1 << 30
BETA, GAMMA = Room(host="beta", space=100 * G), Room(host="gamma", space=100 * G)
DOWN = Problem(severity=Severity.ERROR, code="PEER_UNREACHABLE", message="beta cannot be reached")


def went(placements: Placements) -> list[tuple[str, str]]:
    return [(placed.guest.jail, placed.host) for placed in placements.placed]


def stayed(placements: Placements) -> dict[str, dict[str, str]]:
    return {u.guest.jail: {host: f.code for host, f in u.reasons.items()} for u in placements.unplaced}


def test_the_higher_priority_leaves_first_then_the_larger_then_by_name() -> None:
    guests = [
        Guest(jail="b"),
        Guest(jail="a"),
        Guest(jail="big", memory_limit=G),
        Guest(jail="last", priority=1, memory_limit=8 * G),
        Guest(jail="dns", priority=900),
    ]
    assert [jail for jail, _ in went(place(guests, [BETA], {}))] == ["dns", "big", "a", "b", "last"]


def test_jails_go_where_more_memory_is_left() -> None:
    rooms = [replace(BETA, memory_total=16 * G, memory_promised=12 * G), replace(GAMMA, memory_total=16 * G)]
    guests = [Guest(jail=f"j{n}", memory_limit=4 * G) for n in range(4)]
    assert went(place(guests, rooms, {})) == [("j0", "gamma"), ("j1", "gamma"), ("j2", "gamma"), ("j3", "beta")]


@pytest.mark.parametrize(
    ("guest", "room", "code"),
    [
        (Guest(jail="j", memory_limit=5 * G), replace(BETA, memory_total=16 * G, memory_promised=12 * G), "NO_MEMORY"),
        (Guest(jail="j", memory_used=2 * G), replace(BETA, memory_total=16 * G, memory_free=G), "NO_MEMORY"),
        (Guest(jail="j", cpus=8.0), replace(BETA, cpus=4), "NO_CPUS"),
        (Guest(jail="j"), replace(BETA, space=G), "NO_SPACE"),
        (Guest(jail="j"), replace(BETA, problem=DOWN), "PEER_UNREACHABLE"),
    ],
)
def test_a_host_without_room_is_refused_by_a_named_reason(guest: Guest, room: Room, code: str) -> None:
    assert stayed(place([guest], [room], {("j", "beta"): Need(data=G)})) == {"j": {"beta": code}}


def test_what_a_host_did_not_tell_refuses_nothing() -> None:
    guest = Guest(jail="j", memory_limit=1 << 50, memory_used=1 << 50, cpus=4096.0)
    assert went(place([guest], [BETA], {})) == [("j", "beta")]


def test_what_a_host_says_against_a_jail_refuses_that_jail_only() -> None:
    taken = Problem(severity=Severity.ERROR, code="NAME_TAKEN", message="there is another jail a")
    placements = place([Guest(jail="a"), Guest(jail="b")], [BETA], {("a", "beta"): Need(problems=(taken,))})
    assert stayed(placements) == {"a": {"beta": "NAME_TAKEN"}}
    assert went(placements) == [("b", "beta")]


def test_a_warning_of_a_host_is_told_and_refuses_nothing() -> None:
    warning = Problem(severity=Severity.WARNING, code="KERNEL_UNKNOWN", message="no osreldate")
    (placed,) = place([Guest(jail="a")], [BETA], {("a", "beta"): Need(problems=(warning,))}).placed
    assert placed.notes == (warning,)


def test_room_that_an_earlier_jail_takes_is_not_there_for_a_later_one() -> None:
    rooms = [replace(BETA, memory_total=10 * G, memory_free=10 * G)]
    guests = [Guest(jail="a", memory_limit=6 * G, memory_used=G), Guest(jail="b", memory_limit=6 * G)]
    placements = place(guests, rooms, {})
    assert went(placements) == [("a", "beta")]
    assert stayed(placements) == {"b": {"beta": "NO_MEMORY"}}
    used = [Guest(jail="a", memory_used=6 * G), Guest(jail="b", memory_used=6 * G)]
    assert stayed(place(used, rooms, {})) == {"b": {"beta": "NO_MEMORY"}}


def test_a_layer_that_two_jails_need_is_sent_once() -> None:
    need = Need(data=G, layers={"bases/deb": 4 * G})
    needs = {(jail, "beta"): need for jail in ("a", "b")}
    placements = place([Guest(jail="a"), Guest(jail="b")], [replace(BETA, space=7 * G)], needs)
    assert [placed.bytes for placed in placements.placed] == [5 * G, G]


def test_jails_of_a_label_are_put_on_different_hosts_though_one_has_more_room() -> None:
    rooms = [replace(BETA, memory_total=64 * G), replace(GAMMA, memory_total=8 * G)]
    guests = [Guest(jail=f"dns{n}", memory_limit=G, apart="service=dns") for n in range(2)]
    assert dict(went(place(guests, rooms, {}))) == {"dns0": "beta", "dns1": "gamma"}
    there = [replace(rooms[0], apart={"service=dns": 1}), rooms[1]]
    assert went(place(guests[:1], there, {})) == [("dns0", "gamma")]


def test_where_they_cannot_be_kept_apart_they_go_all_the_same_and_that_is_told() -> None:
    guests = [Guest(jail=f"dns{n}", apart="service=dns") for n in range(2)]
    placements = place(guests, [BETA, replace(GAMMA, space=-1)], {})
    assert went(placements) == [("dns0", "beta"), ("dns1", "beta")]
    assert [[note.code for note in placed.notes] for placed in placements.placed] == [[], ["NOT_APART"]]


def test_jails_without_limits_are_spread_over_hosts_that_told_nothing_or_the_same() -> None:
    guests = [Guest(jail=f"j{n}") for n in range(4)]
    assert [host for _, host in went(place(guests, [BETA, GAMMA], {}))] == ["beta", "gamma"] * 2
    told = [replace(room, memory_total=8 * G, memory_free=4 * G) for room in (BETA, GAMMA)]
    used = [replace(guest, memory_used=G) for guest in guests]
    assert [host for _, host in went(place(used, told, {}))] == ["beta", "gamma"] * 2


def test_among_equal_hosts_the_one_named_first_is_taken() -> None:
    assert went(place([Guest(jail="a")], [GAMMA, BETA], {})) == [("a", "gamma")]
