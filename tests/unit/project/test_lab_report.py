from __future__ import annotations

from collections import Counter

from tests.lab.report import Found, Tally, merged

NEW, OLD = "2.3.9", "2.1.11"


def test_a_run_of_a_part_leaves_the_other_parts_and_the_sums_are_of_all() -> None:
    contract = Found(versions={"2.3": NEW}, passed=Counter({"2.3": 80}), story={"lost_writes": 0})
    first = merged({}, contract)
    assert (first["cuts"], first["contract"], first["by_zfs"]) == (0, {NEW: 80}, {})
    second = merged(first, Found(versions={"2.1": OLD}, tallies={"2.1": Tally(cuts=3, survived=2, orphans=1)}))
    third = merged(second, Found(versions={"2.3": NEW}, tallies={"2.3": Tally(cuts=2, survived=2, lost_writes=4)}))
    assert third["zfs_versions"] == [OLD, NEW]
    assert [third[name] for name in ("cuts", "survived", "lost_writes", "orphans")] == [5, 4, 4, 1]
    assert third["contract"] == {NEW: 80}
    assert third["story"] == {"lost_writes": 0}


def test_a_part_that_is_run_again_takes_the_place_of_its_former_numbers() -> None:
    before = merged({}, Found(versions={"2.3": NEW}, tallies={"2.3": Tally(cuts=9, survived=1)}))
    after = merged(before, Found(versions={"2.3": NEW}, tallies={"2.3": Tally(cuts=2, survived=2)}))
    assert (after["cuts"], after["survived"]) == (2, 2)


def test_machines_that_ran_neither_contract_nor_cuts_change_nothing() -> None:
    found = Found(versions={"2.3": NEW}, tallies={"2.3": Tally()})
    assert merged({}, found)["zfs_versions"] == []
