"""Pages of lists.

A token holds the key of the last item sent: what comes or goes between two pages neither repeats nor hides another.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from jaild.model.errors import InvalidArgumentError

_T = TypeVar("_T")
DEFAULT = 100
LARGEST = 1000

Key = tuple[str | int | float, ...]


class Asked(Protocol):
    """Any list request."""

    @property
    def page_size(self) -> int:
        """0 for our choice."""

    @property
    def page_token(self) -> str:
        """Empty for the first page."""


@dataclass(frozen=True)
class Page(Generic[_T]):
    """Some items, and where to go on; an empty token on the last page."""

    items: Sequence[_T]
    next_token: str


class _Token(msgspec.Struct, frozen=True, array_like=True):
    collection: str
    after: tuple[str | int | float, ...]


def page(request: Asked, items: Sequence[_T], key: Callable[[_T], Key], collection: str) -> Page[_T]:
    """Return the page of `items` asked for, ordered by `key`, which must differ between any two.

    `collection` names the list: its tokens are good for no other. Raises `InvalidArgumentError` (INVALID_PAGE_TOKEN,
    INVALID_PAGE_SIZE).
    """
    limit, after = size(request), position(request, collection)
    rest = sorted(items, key=key)
    if after is not None:
        try:
            rest = [item for item in rest if key(item) > after]
        except TypeError as error:
            raise _invalid_token() from error
    return cut(rest, limit, key, collection)


def page_of_names(request: Asked, names: Sequence[str], collection: str) -> Page[str]:
    """Return the page of `names`, which are in order, each once. Raises as `page`; tokens are the same.

    What is listed by the thousand is looked up for its page alone.
    """
    limit, after = size(request), position(request, collection)
    match after:
        case None:
            begin = 0
        case (str(last),):
            begin = bisect_right(names, last)
        case _:
            raise _invalid_token()
    return cut(names[begin : begin + limit + 1], limit, lambda name: (name,), collection)


def cut(items: Sequence[_T], limit: int, key: Callable[[_T], Key], collection: str) -> Page[_T]:
    """Return the first `limit` items, with a token if there are more."""
    if len(items) <= limit:
        return Page(items, "")
    token = msgspec.json.encode(_Token(collection, key(items[limit - 1])))
    return Page(items[:limit], base64.urlsafe_b64encode(token).decode())


def size(request: Asked) -> int:
    """Return how many items to send: 1 to 1000."""
    if request.page_size < 0:
        raise InvalidArgumentError(
            "INVALID_PAGE_SIZE",
            f"page_size is {request.page_size}",
            hint=f"ask for 1 to {LARGEST}, or 0 for {DEFAULT}",
        )
    return min(request.page_size or DEFAULT, LARGEST)


def position(request: Asked, collection: str) -> Key | None:
    """Return the key after which the page begins; None for the first page."""
    if not request.page_token:
        return None
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(request.page_token), type=_Token)
    except (ValueError, msgspec.DecodeError) as error:
        raise _invalid_token() from error
    if token.collection != collection:
        raise _invalid_token()
    return token.after


def _invalid_token() -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_PAGE_TOKEN",
        "page_token is not one that this list gave out",
        hint="give back next_page_token unchanged to the same method and parent, or leave it empty to begin again",
    )


def number(request: Asked, collection: str) -> int:
    """Return the position in a list whose keys are single numbers; 0 for the first page."""
    match position(request, collection):
        case None:
            return 0
        case (int(found),) if found > 0:
            return found
        case _:
            raise _invalid_token()
