"""The room of jails, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.engine.recovery import JailStage, Resume, Stage
from jaild.jails.changes import Changes
from jaild.jails.configuration import Configuration
from jaild.jails.confirmation import Confirmations
from jaild.jails.datasets import JailDatasets
from jaild.jails.forwarding import Forwarding
from jaild.jails.health import HealthChecks
from jaild.jails.hooks import Hooks, Serving
from jaild.jails.lifecycle import Lifecycle
from jaild.jails.liveness import LivenessChecks
from jaild.jails.logparts import LogParts
from jaild.jails.logs import Logs
from jaild.jails.past import PastReader
from jaild.jails.planner import Planner
from jaild.jails.recovery import JailRecovery
from jaild.jails.restarts import Restarts
from jaild.jails.rpc import (
    ChangesServicer,
    JailMessages,
    JailsServicer,
    StatsServicer,
    TemplatesServicer,
    VolumesServicer,
)
from jaild.jails.runs import Runs
from jaild.jails.service import Jails
from jaild.jails.staging import Staging
from jaild.jails.templates import Templates
from jaild.jails.usage import Stats
from jaild.jails.volumes import Volumes
from jaild.layers.build import LayerParts
from jaild.model import access


@dataclass(frozen=True, kw_only=True)
class JailParts:
    """What the rooms above use, and the use cases."""

    runs: Runs
    health_checks: HealthChecks
    hooks: Hooks
    datasets: JailDatasets
    lifecycle: Lifecycle
    restarts: Restarts
    jails: Jails
    confirmations: Confirmations
    staging: Staging
    stats: Stats
    logs: Logs
    forwarding: Forwarding
    volumes: Volumes
    past: PastReader
    changes: Changes


def build(engine: Engine, layers: LayerParts) -> JailParts:
    """Put the room together. Nothing is started."""
    ports, place = engine.ports, engine.place
    inventory, files, clock = engine.inventory, ports.files, ports.clock
    runs = Runs(inventory, ports.runtime, engine.supervisor, engine.events, clock, place.logs)
    runs.opened_by(engine.keys.open)
    health_checks = HealthChecks(ports.runtime, runs, ports.probe, files, clock)
    health_checks.give_way(
        lambda jail, release: engine.dispatcher.is_in_the_way(f"jails/{jail}", lambda who: access.owns(who, release))
    )
    datasets = JailDatasets(engine)
    configuration = Configuration(inventory, runs, layers.sandbox, files, place.tool_results)
    planner = Planner(inventory, ports.runtime, datasets, configuration, files, engine.keys)
    hooks = Hooks(engine)
    serving = Serving(health_checks, hooks)
    changes = Changes(engine, planner, datasets, configuration, runs, serving)
    lifecycle = Lifecycle(engine, datasets, runs, serving)
    restarts = Restarts(engine, lifecycle)
    runs.restarted_by(restarts.ended)
    runs.checked_by(LivenessChecks(engine, health_checks, restarts).run)
    templates = Templates(files, place.templates)
    away = LogParts(files, clock, place.logs, place.rotation)
    logs = Logs(files, engine.supervisor, clock, away, place.log_times)
    parts = JailParts(
        runs=runs,
        health_checks=health_checks,
        hooks=hooks,
        datasets=datasets,
        lifecycle=lifecycle,
        restarts=restarts,
        jails=Jails(engine, changes, lifecycle, runs, logs, templates),
        confirmations=Confirmations(engine, changes, datasets),
        staging=Staging(engine, changes, datasets),
        stats=Stats(engine),
        logs=logs,
        forwarding=Forwarding(engine, logs, place.logs_sent),
        volumes=Volumes(engine, datasets),
        past=PastReader(engine),
        changes=changes,
    )
    recovery = JailRecovery(engine, datasets, runs, restarts, parts.volumes)
    engine.recovery.at(Stage.STRANGERS, recovery.end_strangers)
    engine.recovery.of_jail(JailStage.UNFINISHED, recovery.end_unfinished)
    engine.recovery.of_jail(JailStage.GENERATIONS, recovery.drop_staged)
    engine.recovery.after_jail(recovery.prune)
    engine.recovery.at(Stage.RUNS, recovery.settle_runs)
    engine.recovery.resumes(Resume.TELL, hooks.recover)
    servicer = JailsServicer(parts.jails, JailMessages(), engine.messages)
    engine.services.add(servicer)
    engine.services.show("jails", servicer.shown)
    engine.services.add(ChangesServicer(parts.confirmations, parts.staging, engine.messages))
    engine.services.add(StatsServicer(parts.stats))
    engine.services.add(VolumesServicer(parts.volumes, engine.messages))
    engine.services.add(TemplatesServicer(templates))
    return parts
