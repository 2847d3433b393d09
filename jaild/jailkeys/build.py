"""The room of keys, put together."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.jailkeys.rpc import KeysServicer
from jaild.jailkeys.service import JailKeys


def build(engine: Engine) -> JailKeys:
    """Put the room together. Nothing is started."""
    keys = JailKeys(engine)
    engine.services.add(KeysServicer(keys))
    return keys
