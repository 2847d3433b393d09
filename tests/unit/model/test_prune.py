"""What nothing needs, and what stays although nothing uses it."""

from __future__ import annotations

import random

import pytest

from jaild.model.layers.prune import Candidate, Prune, unused

DAY = 86400.0
NOW = 1000 * DAY


def layer(
    name: str, *, used: int = 10, age: float = 30 * DAY, users: int = 0, origin: str = "", claim: str = ""
) -> Candidate:
    return Candidate(name=name, used=used, sealed=NOW - age, users=users, origin=origin, claim=claim)


def decide(*candidates: Candidate, min_age: float = DAY) -> Prune:
    return unused(candidates, now=NOW, min_age=min_age)


def names(decided: Prune) -> list[str]:
    return [candidate.name for candidate in decided.removed]


def test_what_nothing_refers_to_goes_and_its_bytes_are_added_up() -> None:
    decided = decide(layer("a", used=5), layer("b", users=1), layer("c", used=7))
    assert (names(decided), decided.frees, decided.kept) == (["a", "c"], 12, ())


@pytest.mark.parametrize(
    ("candidate", "why"),
    [
        (layer("a", age=DAY / 2), "12.0 hours ago"),
        (layer("a", age=-DAY), "0.0 hours ago"),  # sealed before a clock was set back
        (layer("a", claim="tank/a@sealed is kept by the hold mine"), "the hold mine"),
    ],
)
def test_what_is_young_or_kept_by_others_stays_and_is_told(candidate: Candidate, why: str) -> None:
    decided = decide(candidate)
    assert decided.removed == ()
    assert [(problem.code, problem.subject) for problem in decided.kept] == [("LAYER_KEPT", "a")]
    assert why in decided.kept[0].message


def test_clones_go_before_what_they_share_blocks_with() -> None:
    chain = [layer("1"), layer("2", origin="1"), layer("0", origin="2"), layer("9", origin="1")]
    assert names(decide(*chain)) == ["0", "2", "9", "1"]


def test_what_a_kept_layer_shares_blocks_with_stays_all_the_way_down() -> None:
    chain = (layer("1"), layer("2", origin="1"), layer("3", origin="2", users=1), layer("4", origin="1"))
    decided = decide(*chain)
    assert names(decided) == ["4"]
    assert [(f.subject, f.message.rpartition(": ")[2]) for f in decided.kept] == [
        ("1", "2 shares blocks with it"),
        ("2", "3 shares blocks with it"),
    ]


def test_a_long_chain_is_walked_and_not_descended() -> None:
    chain = [layer(f"{n:05}", origin=f"{n - 1:05}" if n else "") for n in range(3000)]
    assert names(decide(*chain)) == [f"{n:05}" for n in reversed(range(3000))]


def test_whatever_the_clones_nothing_needed_goes_and_no_layer_goes_before_its_clones() -> None:
    rand = random.Random(7)  # noqa: S311 -- no secret
    for _ in range(200):
        layers = [
            layer(str(n), origin=str(rand.randrange(n)) if n and rand.random() < 0.7 else "", users=rand.random() < 0.2)
            for n in range(12)
        ]
        rand.shuffle(layers)
        gone: set[str] = set()
        for candidate in decide(*layers).removed:
            assert not candidate.users
            assert all(each.name in gone for each in layers if each.origin == candidate.name)
            gone.add(candidate.name)
        left = [each for each in layers if each.name not in gone]
        assert all(each.users or any(other.origin == each.name for other in left) for each in left)
