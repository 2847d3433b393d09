"""The room of metrics, put together: only where the configuration asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.host.build import HostParts
from jaild.jails.build import JailParts
from jaild.metrics.counts import Counts
from jaild.metrics.endpoint import Endpoint
from jaild.metrics.exposition import Exposition
from jaild.metrics.listener import Listener
from jaild.metrics.samples import Samples
from jaild.model.access import Grant
from jaild.ports.outside import Outside
from jaild.rollouts.service import Rollouts
from jaild.sinks.service import EventSinks
from jaild.transfer.build import TransferParts


@dataclass(frozen=True, kw_only=True)
class MetricsParts:
    """What the daemon starts and stops."""

    exposition: Exposition
    samples: Samples
    endpoint: Endpoint

    def start(self) -> None:
        """Listen, and look. Raises as `Endpoint.start`."""
        self.endpoint.start()
        self.samples.run(self.exposition.counts.lag)


def build(
    engine: Engine,
    jails: JailParts,
    transfer: TransferParts,
    rollouts: Rollouts,
    sinks: EventSinks,
    host: HostParts,
    outside: Outside,
    listener: Listener,
    grants: Mapping[str, Grant],
) -> MetricsParts:
    """Put the room together. Nothing is started; what ends and happens is counted from now on."""
    samples = Samples(engine, jails.stats, host.host, outside, listener.every)
    counts = Counts(engine.operations, engine.events, transfer.sender, transfer.receiver)
    exposition = Exposition(engine, counts, jails.jails, rollouts, sinks, samples, jails.forwarding)
    endpoint = Endpoint(listener, grants, engine.supervisor, exposition.answer)
    return MetricsParts(exposition=exposition, samples=samples, endpoint=endpoint)
