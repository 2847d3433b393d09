"""Filters of lists."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model import filters
from jaild.model.errors import InvalidArgumentError

WEB = {"name": ["edge-1"], "state": ["running"], "labels.team": ["cdn"], "labels.note": ['say "hi"'], "health": []}


def facts(field: str) -> Iterable[str]:
    return WEB.get(field, [])


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("state = running", True),
        ("state=stopped", False),
        ("state != stopped", True),
        ("health != healthy", True),
        ("labels.team = cdn AND state = running", True),
        ("labels.team = cdn AND state = stopped", False),
        ("state = stopped OR state = running AND name = edge-2", False),
        ("name = edge-1 AND state = stopped OR state = running", True),
        ("(state = stopped AND name = edge-1) OR labels.team = cdn", True),
        ("NOT state = running", False),
        ("-state = stopped", True),
        ("name = edge-*", True),
        ("name = *-1 AND name = *dge*", True),
        ("name = edge", False),
        ("labels.team:*", True),
        ("labels.team : *", True),
        ("labels.other:*", False),
        ("labels.team:cdn", True),
        ('labels.note = "say \\"hi\\""', True),
        ('name = "AND"', False),
    ],
)
def test_a_filter_lets_through_what_says_so(text: str, *, passes: bool) -> None:
    assert filters.parse(text, None)(facts) is passes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("state", "it ends where =, != or : is wanted"),
        ("state = ", "it ends where a value is wanted"),
        ("= running", "there is '=' at character 1 where a field is wanted"),
        ("state = running name = x", "there is 'name' at character 17 where AND, OR or the end is wanted"),
        ("(state = running", "it ends where ) is wanted"),
        ("state = running & x", "character 16 begins nothing"),
        ('name = "open', "character 7 begins nothing"),
        ("(" * 30 + "a = b" + ")" * 30, "less parentheses"),
        ("a = " + "b" * 5000, "5004 characters"),
        ("colour = red", "there is no field colour"),
        ("labels.team = red", "there is no field labels.team"),
        ("name = x OR NOT state = runing", "state is never 'runing', but one of running, stopped"),
        ("state:*ing2", "state is never '*ing2'"),
    ],
)
def test_what_is_wrong_with_a_filter_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        filters.parse(text, {"name": (), "state": ("running", "stopped")})
    assert refused.value.reason == "INVALID_FILTER"
    assert told in refused.value.message
    assert "fields are name, state" in refused.value.hint


def test_a_field_of_few_values_is_asked_for_by_these_or_a_part_of_them() -> None:
    for text in ("state = running", "state != stopped", "state : *", "state = run*", "labels.a = b"):
        filters.parse(text, {"state": ("running", "stopped"), "labels.KEY": ()})


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with suppress(InvalidArgumentError):
        assert filters.parse(text, {"name": ()})(lambda _: ["x"]) in {True, False}
