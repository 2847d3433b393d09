"""Resource names and pages."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model.errors import InvalidArgumentError
from jaild.rpc import names, pages


@pytest.mark.parametrize(
    ("parse", "name", "parsed"),
    [
        (names.jail, "jails/edge-01", "edge-01"),
        (names.generation, "jails/edge-01/generations/7", ("edge-01", 7)),
        (names.base, "bases/14.3-RELEASE-p2", "14.3-RELEASE-p2"),
        (names.app, "apps/web", "web"),
        (names.release, "apps/web/releases/4.2.1", ("web", "4.2.1")),
        (names.migration, "migrations/5e0c-1", "5e0c-1"),
        (names.operation, "operations/5e0c-1", "5e0c-1"),
    ],
)
def test_names_are_taken_apart(parse: Callable[[str], Any], name: str, parsed: object) -> None:
    assert parse(name) == parsed


@pytest.mark.parametrize(
    ("parse", "name"),
    [
        (names.jail, ""),
        (names.jail, "edge-01"),
        (names.jail, "jails/"),
        (names.jail, "jails/.."),
        (names.jail, "jails/a/b"),
        (names.jail, "bases/a"),
        (names.jail, "jails/a\n"),
        (names.base, "bases/a@b"),
        (names.release, "apps/web"),
        (names.release, "apps/web/releases/"),
        (names.generation, "jails/a/generations/x"),
        (names.generation, "jails/a/generations/-1"),
        (names.generation, "jails/a/generations/²"),
        (names.generation, "jails/a/generations/99999999999"),
        (names.operation, "operations/a b"),
        (names.migration, "migrations/../x"),
    ],
)
def test_what_is_no_name_is_refused(parse: Callable[[str], Any], name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(name)
    assert caught.value.reason == "INVALID_NAME"


def test_names_are_put_together_and_nothing_stays_nothing() -> None:
    assert names.release_name("web/1") == "apps/web/releases/1"
    assert names.generation_name("a", 3) == "jails/a/generations/3"
    assert (names.base_name(""), names.release_name(""), names.jail_name("")) == ("", "", "")


@dataclass
class Asked:
    page_size: int = 0
    page_token: str = ""


def itself(item: str) -> tuple[str]:
    return (item,)


@given(st.sets(st.text("abcd", min_size=1, max_size=3), max_size=12), st.integers(1, 5))
def test_pages_together_are_the_list_in_order(items: set[str], size: int) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = pages.page(Asked(size, token), [*items], itself, "things")
        assert len(page.items) <= size
        found += page.items
        token = page.next_token
        if not token:
            break
    assert found == sorted(items)


@given(st.sets(st.text("abcd", min_size=1, max_size=3), max_size=12), st.integers(1, 5), st.text("abcd", max_size=3))
def test_a_page_of_names_that_are_in_order_is_the_same_page(items: set[str], size: int, after: str) -> None:
    names = sorted(items)
    token = pages.page(Asked(1), [after, after + "e"], itself, "things").next_token
    for given_back in ("", token):
        asked = Asked(size, given_back)
        assert pages.page_of_names(asked, names, "things") == pages.page(asked, names, itself, "things")


def test_a_page_of_names_takes_no_token_of_another_kind_of_list() -> None:
    other = pages.page(Asked(1), [1, 2], lambda number: (number,), "things").next_token
    for wrong in (other, pages.page(Asked(1), ["a", "b"], itself, "others").next_token, "x"):
        with pytest.raises(InvalidArgumentError) as refused:
            pages.page_of_names(Asked(1, wrong), ["a"], "things")
        assert refused.value.reason == "INVALID_PAGE_TOKEN"


def test_what_comes_and_goes_between_two_pages_neither_repeats_nor_hides_another() -> None:
    first = pages.page(Asked(2), ["b", "d", "f", "h"], itself, "things")
    assert first.items == ["b", "d"]
    second = pages.page(Asked(2, first.next_token), ["a", "b", "e", "f", "h"], itself, "things")
    assert second.items == ["e", "f"]


@pytest.mark.parametrize(("asked", "given_back"), [(0, 100), (1, 1), (1000, 1000), (5000, 1000)])
def test_page_sizes_have_a_default_and_a_limit(asked: int, given_back: int) -> None:
    items = [f"{n:04}" for n in range(1500)]
    assert len(pages.page(Asked(asked), items, itself, "things").items) == given_back


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="INVALID_PAGE_SIZE"):
        pages.page(Asked(-1), [], itself, "things")


@pytest.mark.parametrize(
    "token",
    [
        "!",
        "bm9uc2Vuc2U=",
        "ß",
        base64.urlsafe_b64encode(b'["others",["a"]]').decode(),
        base64.urlsafe_b64encode(b'["things",[5]]').decode(),
        base64.urlsafe_b64encode(b'["things",{}]').decode(),
    ],
)
def test_a_token_that_this_list_did_not_give_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        pages.page(Asked(1, token), ["a", "b"], itself, "things")
    assert caught.value.reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("after", [b'["a"]', b"[-1]", b"[]", b"[1,2]"])
def test_a_token_for_numbers_holds_one_number(after: bytes) -> None:
    token = base64.urlsafe_b64encode(b'["audit",' + after + b"]").decode()
    with pytest.raises(InvalidArgumentError, match="INVALID_PAGE_TOKEN"):
        pages.number(Asked(1, token), "audit")
