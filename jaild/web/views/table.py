"""A part of a long table: what a reader wants of it, and which page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def takes(self, site: str, row: JailRow) -> bool:
        """Return whether a jail is wanted."""
        if self.host and site != self.host:
            return False
        kinds = {
            "here": not row.copy,
            "concern": bool(row.concerns),
            "running": row.state == "running",
            "stopped": not row.copy and row.state != "running",
            "all": True,
        }
        return kinds[self.show] and all(word in row.found for word in self.words.lower().split())

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
