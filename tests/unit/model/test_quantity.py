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
    assert caught.value.remedy


def test_a_size_is_written_with_the_largest_unit_that_is_exact() -> None:
    assert [quantity.render(n) for n in (0, 1, 1023, 1024, 1536, 3 << 30)] == ["0", "1", "1023", "1K", "1536", "3G"]


@given(st.integers(min_value=1, max_value=(1 << 63) - 1))
def test_every_size_reads_back_as_written(size: int) -> None:
    assert quantity.parse(quantity.render(size)) == size
