from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model import quantity
from jaild.model.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("512M", 512 << 20), ("2G", 2 << 30), ("2g", 2 << 30), ("1T", 1 << 40), ("16K", 16384)]
)
def test_units_are_powers_of_1024(text: str, size: int) -> None:
    assert quantity.parse(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5G", "10 M", "10MB", "M", "٣M", "9E", "99999999999999999999", "1\n"]
)
def test_what_is_no_positive_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        quantity.parse(text)
    assert caught.value.reason == "INVALID_QUANTITY"
    assert caught.value.hint


def test_a_size_is_written_with_the_largest_unit_that_is_exact() -> None:
    assert [quantity.render(n) for n in (0, 1, 1023, 1024, 1536, 3 << 30)] == ["0", "1", "1023", "1K", "1536", "3G"]


@given(st.integers(min_value=1, max_value=(1 << 63) - 1))
def test_every_size_reads_back_as_written(size: int) -> None:
    assert quantity.parse(quantity.render(size)) == size


def test_sizes_for_people_have_three_figures_and_a_unit() -> None:
    sizes = (0, 1023, 1024, 1536, 1023 * 1024 + 1023, 10 << 40, 5 << 60)
    assert [quantity.size(n) for n in sizes] == ["0B", "1023B", "1K", "1.5K", "1M", "10T", "5E"]


def test_one_of_something_is_told_in_the_singular() -> None:
    assert [quantity.count(n, "jail") for n in (0, 1, 2)] == ["0 jails", "1 jail", "2 jails"]
    assert [quantity.count(n, "entry", "entries") for n in (1, 3)] == ["1 entry", "3 entries"]
