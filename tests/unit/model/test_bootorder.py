"""In which order jails start and stop with their host."""

from __future__ import annotations

import pytest

from jaild.model.jails.bootorder import circle, in_boot_order, problems


@pytest.mark.parametrize(
    ("orders", "after", "expected"),
    [
        ({}, {}, []),
        ({"web": 100, "db": 10, "cache": 100}, {}, [(10, ["db"]), (100, ["cache", "web"])]),
        # within an order
        ({"web": 1, "db": 1, "x": 1}, {"web": ["db"]}, [(1, ["db", "x"]), (1, ["web"])]),
        # against it: the other's order counts
        ({"web": 1, "db": 5, "x": 5}, {"web": ["db"]}, [(5, ["db", "x"]), (5, ["web"])]),
        # a chain, and what is not there
        ({"a": 1, "b": 1, "c": 1}, {"a": ["b", "gone"], "b": ["c"]}, [(1, ["c"]), (1, ["b"]), (1, ["a"])]),
        # who names what comes before it anyway
        ({"web": 9, "db": 1}, {"web": ["db"]}, [(1, ["db"]), (9, ["web"])]),
    ],
)
def test_lower_orders_come_first_and_a_jail_after_those_that_it_names(
    orders: dict[str, int], after: dict[str, list[str]], expected: list[tuple[int, list[str]]]
) -> None:
    assert in_boot_order(orders, after) == expected


def test_a_circle_keeps_no_jail_from_starting() -> None:
    groups = in_boot_order({"a": 1, "b": 1, "c": 1}, {"a": ["b"], "b": ["a"], "c": ["c"]})
    assert sorted(name for _, names in groups for name in names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"a": ["b"], "b": ["c"]}, ()),
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["x", "b"], "b": ["c"], "c": ["a"]}, ("a", "b", "c", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ()),  # a circle of others
    ],
)
def test_a_circle_is_found_with_the_way_on_which_it_is_one(
    after: dict[str, list[str]], expected: tuple[str, ...]
) -> None:
    assert circle("a", after) == expected


def test_what_nobody_waits_for_is_told_with_the_reason() -> None:
    found = problems("a", {"a": ["b", "c", "d"]}, {"a": True, "b": True, "c": False})
    assert [problem.message.partition(":")[0] for problem in found] == [
        "c, which boot.after names, does not start when the host boots",
        "d, which boot.after names, is not on this host",
    ]
