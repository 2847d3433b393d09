"""A part of a long table: what a reader wants of it, and which page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from jaild.web.views.jails import JailRow

_T = TypeVar("_T")
SHOWS = {
    "here": "owned",
    "concern": "needing attention",
    "running": "running",
    "stopped": "not running",
    "all": "all, copies too",
}

_KINDS: Mapping[str, Callable[[JailRow], object]] = {
    "here": lambda row: not row.copy,
    "concern": lambda row: row.concerns,
    "running": lambda row: row.state == "running",
    "stopped": lambda row: not row.copy and row.state != "running",
    "all": lambda _: True,
}


@dataclass(frozen=True)
class Wanted:
    """What is looked for: words that all must be found, a host, and which jails."""

    words: str = ""
    host: str = ""
    show: str = "here"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """Return what an address asks for; what means nothing is left out."""
        page, show = query.get("page", "1"), query.get("show", "here")
        return cls(
            words=query.get("q", "").strip()[:200],
            host=query.get("host", "")[:200],
            show=show if show in SHOWS else "here",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,  # noqa: PLR2004
        )

    def of_host(self, site: str, rows: Iterable[JailRow]) -> list[JailRow]:
        """Return a host's jails that are wanted."""
        if self.host and site != self.host:
            return []
        kind, words = _KINDS[self.show], self.words.lower().split()
        found = [row for row in rows if kind(row)]
        return [row for row in found if all(word in row.found for word in words)] if words else found

    def link(self, page: int) -> str:
        """Return the query of another page of the same."""
        asked = {"q": self.words, "host": self.host, "show": self.show, "page": str(page)}
        return "?" + urlencode({key: value for key, value in asked.items() if value})


@dataclass(frozen=True)
class Part(Generic[_T]):
    """Some rows of many."""

    rows: Sequence[_T]
    page: int
    pages: int
    total: int
    first: int


def part(rows: Sequence[_T], page: int, size: int) -> Part[_T]:
    """Return a page of rows; the last one for one that there is not."""
    pages = max(1, -(-len(rows) // size))
    page = min(page, pages)
    first = (page - 1) * size
    return Part(rows[first : first + size], page, pages, len(rows), first + 1 if rows else 0)
