"""The bench's arithmetic."""

from __future__ import annotations

import pytest

from tests.bench.figures import Goal, ratios, summary, too_slow


def test_a_ratio_is_made_of_each_pair_before_the_median_is_taken() -> None:
    assert ratios([1.0, 10.0, 4.0], [1.0, 5.0, 1.0])["median"] == 2.0  # the medians' ratio would be 4


def test_samples_that_are_not_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_a_summary_keeps_every_sample_in_order() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "samples": [3.0, 1.0, 2.0]}


@pytest.mark.parametrize(("value", "below", "met"), [(1.1, False, True), (1.1, True, False), (1.11, False, False)])
def test_a_goal_may_be_reached_unless_the_value_must_stay_below(value: float, below: bool, met: bool) -> None:  # noqa: FBT001
    assert Goal(name="", value=value, limit=1.1, unit="", below=below).met is met


def test_a_goal_tells_its_limit_as_it_is_judged() -> None:
    assert Goal(name="", value=0, limit=20, unit="ms", below=True).told == "< 20 ms"
    assert Goal(name="", value=0, limit=1.1, unit="").told == "<= 1.1"
    assert Goal(name="", value=0, limit=0.95, unit="", at_least=True).told == ">= 0.95"


def test_what_is_to_be_reached_is_missed_below_it() -> None:
    assert Goal(name="", value=0.95, limit=0.95, unit="", at_least=True).met
    assert not Goal(name="", value=0.94, limit=0.95, unit="", at_least=True).met


def test_a_pool_is_too_slow_when_its_rate_so_far_does_not_reach() -> None:
    assert too_slow(made=100, wanted=1000, seconds=19.0, budget=180.0)
    assert not too_slow(made=100, wanted=1000, seconds=17.0, budget=180.0)


def test_the_first_few_do_not_decide_that_a_pool_is_too_slow() -> None:
    assert not too_slow(made=19, wanted=1000, seconds=60.0, budget=180.0)
