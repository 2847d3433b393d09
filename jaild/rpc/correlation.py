"""What the lines of the log, on one host and on another, have in common: whose they are, by the ids of what is done.

Kept in context variables, so that a line needs no argument for it, and sent to peers as W3C Baggage
(https://www.w3.org/TR/baggage/): `baggage: jaild.operation=4f1c...,jaild.actor=ops`. What a peer says so is for its
reader: nothing is decided by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

IDS = ("operation", "request", "actor", "migration", "jail")
HEADER = "baggage"
_PREFIX = "jaild."
_LONGEST = 256  # characters of an id
_MEMBERS = 64  # that a header may have (W3C: at least so many)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]*")

Metadata = tuple[tuple[str, str], ...]


def bind(**ids: str) -> None:
    """Have what this task logs from here on, and what it begins, say these ids; '' says nothing."""
    bind_contextvars(**{name: value for name, value in ids.items() if value})


def begin(**ids: str) -> None:
    """Bind these, and forget all others: for a task that was begun by whoever came along."""
    clear_contextvars()
    bind(**ids)


def metadata() -> Metadata:
    """Return what a call to a peer says of them."""
    bound = get_contextvars()
    members = [f"{_PREFIX}{name}={quote(str(bound[name]), safe='')}" for name in IDS if name in bound]
    return ((HEADER, ",".join(members)),) if members else ()


def adopt(metadata: Iterable[tuple[str, str | bytes]]) -> None:
    """Bind what a peer's call says of them, as far as it has the form of an id."""
    said = next((value for name, value in metadata if name == HEADER and isinstance(value, str)), "")
    for member in said.split(",")[:_MEMBERS]:
        name, _, value = member.partition(";")[0].strip().partition("=")
        plain = unquote(value, errors="replace")[:_LONGEST]
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) in IDS and _PLAIN.fullmatch(plain):
            bind(**{name.removeprefix(_PREFIX): plain})
