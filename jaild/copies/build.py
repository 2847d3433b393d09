"""The room of copies, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.copies.clones import Clones
from jaild.copies.exports import Exports
from jaild.copies.imports import Imports
from jaild.copies.incoming import Incoming
from jaild.copies.moments import Moments
from jaild.copies.rpc import CopiesServicer
from jaild.engine.build import Engine
from jaild.jails.build import JailParts
from jaild.layers.build import LayerParts


@dataclass(frozen=True, kw_only=True)
class CopyParts:
    """The use cases."""

    clones: Clones
    exports: Exports
    imports: Imports
    incoming: Incoming


def build(engine: Engine, layers: LayerParts, jails: JailParts) -> CopyParts:
    """Put the room together. Nothing is started."""
    moments, incoming = Moments(engine, jails.past), Incoming(engine)
    parts = CopyParts(
        clones=Clones(engine, jails, moments),
        exports=Exports(engine, jails, moments),
        imports=Imports(engine, layers, jails, incoming),
        incoming=incoming,
    )
    engine.services.add(CopiesServicer(parts.clones, parts.exports, parts.imports, incoming, engine.messages))
    return parts
