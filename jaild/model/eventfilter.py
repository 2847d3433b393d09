"""Which events somebody wants: a filter (`model.filters`) over what an event says."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jaild.model import filters
from jaild.model.views import Event

FIELDS: filters.Fields = {"kind": (), "target": (), "message": (), "detail.KEY": ()}


def parse(text: str) -> Callable[[Event], bool]:
    """Return what tells whether an event is wanted; '' wants all. `InvalidArgumentError` (INVALID_FILTER)."""
    wanted = filters.parse(text, FIELDS)
    return lambda event: wanted(lambda field: _said(event, field))


def _said(event: Event, field: str) -> Iterable[str]:
    top, dot, key = field.partition(".")
    if dot:
        return (event.detail[key],) if key in event.detail else ()
    return (str(getattr(event, top)),)
