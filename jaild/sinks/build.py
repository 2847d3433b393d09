"""The room of event sinks, put together."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.sinks.rpc import EventSinksServicer
from jaild.sinks.service import EventSinks


def build(engine: Engine) -> EventSinks:
    """Put the room together. Nothing is started."""
    sinks = EventSinks(engine)
    engine.services.add(EventSinksServicer(sinks))
    return sinks
