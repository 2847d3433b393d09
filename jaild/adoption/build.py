"""The room of adoptions, put together."""

from __future__ import annotations

from jaild.adoption.recovery import AdoptionRecovery
from jaild.adoption.releases import AdoptedReleases
from jaild.adoption.rpc import ForeignJailsServicer
from jaild.adoption.seeding import Seeding
from jaild.adoption.service import Adoptions
from jaild.adoption.survey import Survey
from jaild.engine.build import Engine
from jaild.engine.recovery import Resume
from jaild.jails.build import JailParts
from jaild.layers.build import LayerParts


def build(engine: Engine, layers: LayerParts, jails: JailParts) -> Adoptions:
    """Put the room together. Nothing is started."""
    adoptions = Adoptions(
        engine, Survey(engine), AdoptedReleases(engine, layers.sealer), Seeding(engine, jails.datasets), jails.changes
    )
    recovery = AdoptionRecovery(engine, adoptions)
    engine.recovery.continues(recovery.note)
    engine.recovery.resumes(Resume.TELL, recovery.start_old)
    engine.services.add(ForeignJailsServicer(adoptions, jails.jails.render_template, engine.messages))
    return adoptions
