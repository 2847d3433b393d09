"""The room of copies, put together."""

from __future__ import annotations

from jaild.copies.clones import Clones
from jaild.copies.exports import Exports
from jaild.copies.imports import Imports
from jaild.copies.incoming import Incoming
from jaild.copies.moments import Moments
from jaild.copies.renames import Renames
from jaild.copies.rpc import CopiesServicer, UseCases
from jaild.engine.build import Engine
from jaild.engine.recovery import Resume
from jaild.jails.build import JailParts
from jaild.layers.build import LayerParts
from jaild.transfer.build import TransferParts


def build(engine: Engine, layers: LayerParts, jails: JailParts, transfer: TransferParts) -> UseCases:
    """Put the room together. Nothing is started."""
    moments, incoming = Moments(engine, jails.past), Incoming(engine)
    parts = UseCases(
        clones=Clones(engine, jails, moments),
        exports=Exports(engine, jails, moments),
        imports=Imports(engine, layers, jails, incoming),
        uploads=incoming,
        renames=Renames(engine, jails, transfer.sole),
    )
    engine.recovery.after_jail(parts.renames.recover)
    engine.recovery.resumes(Resume.TELL, parts.exports.drop_left)
    engine.services.add(CopiesServicer(parts, engine.messages))
    return parts
