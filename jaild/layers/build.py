"""The room of bases and releases, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.engine.recovery import Resume, Stage
from jaild.layers.arrivals import Arrivals
from jaild.layers.base_builds import BaseMaking
from jaild.layers.bases import Bases
from jaild.layers.build_steps import BuildLogs, BuildSteps
from jaild.layers.builds import BuildPlanner, Builds
from jaild.layers.channels import Channels
from jaild.layers.contents import LayerContents
from jaild.layers.fetching import BaseFetch
from jaild.layers.publishing import Publishing
from jaild.layers.pulls import Pulls
from jaild.layers.recovery import LayerRecovery
from jaild.layers.releases import Releases
from jaild.layers.rpc import (
    AppsServicer,
    BaseMakingServicer,
    BasesServicer,
    BuildsServicer,
    ChannelsServicer,
    LayersServicer,
)
from jaild.layers.sandbox import BuildSandbox
from jaild.layers.sealing import BaseSealing, Sealer
from jaild.layers.sharing import LayerSharing


@dataclass(frozen=True, kw_only=True)
class LayerParts:
    """What the rooms above use, and the use cases."""

    sealer: Sealer
    arrivals: Arrivals
    sandbox: BuildSandbox
    contents: LayerContents
    bases: Bases
    channels: Channels
    base_making: BaseMaking
    fetch: BaseFetch
    releases: Releases
    publishing: Publishing
    builds: Builds


def build(engine: Engine) -> LayerParts:
    """Put the room together. Nothing is started."""
    ports, place = engine.ports, engine.place
    sealer, sandbox = Sealer(ports.zfs, ports.files), BuildSandbox(ports.runtime)
    sealing, contents, pulls = BaseSealing(engine, sealer), LayerContents(engine), Pulls(engine)
    arrivals, sharing = Arrivals(engine, sealer), LayerSharing(engine.inventory, ports.zfs, sealer)
    parts = LayerParts(
        sealer=sealer,
        arrivals=arrivals,
        sandbox=sandbox,
        contents=contents,
        bases=Bases(engine, sealer, sealing, pulls),
        channels=Channels(engine),
        base_making=BaseMaking(engine, sealing),
        fetch=BaseFetch(engine, arrivals, sealing),
        releases=Releases(engine, sealer, pulls),
        publishing=Publishing(engine, pulls),
        builds=Builds(
            engine,
            BuildPlanner(engine.inventory, ports.runtime, ports.files),
            BuildSteps(sandbox, ports.archives, ports.files),
            BuildLogs(ports.files, engine.operations, ports.clock, place.logs / "builds"),
            sealer,
        ),
    )
    recovery = LayerRecovery(engine)
    engine.recovery.at(Stage.SEALED, recovery.end_sealed)
    engine.recovery.at(Stage.LAYERS, recovery.destroy_unsealed)
    engine.recovery.resumes(Resume.LAYERS, contents.begin)
    engine.events.on_event.append(contents.heard)
    bases = BasesServicer(parts.bases, parts.fetch, parts.publishing, engine.messages)
    apps = AppsServicer(parts.releases, parts.publishing, engine.messages)
    engine.services.add(bases)
    engine.services.show("bases", bases.shown)
    engine.services.add(ChannelsServicer(parts.channels))
    engine.services.add(apps)
    engine.services.show("apps", apps.shown)
    engine.services.add(BaseMakingServicer(parts.base_making, engine.messages))
    engine.services.add(BuildsServicer(parts.builds, engine.messages))
    engine.services.add(LayersServicer(sharing, engine.services.parties))
    return parts
