"""The room of rollouts, put together."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.engine.recovery import Resume
from jaild.jails.build import JailParts
from jaild.rollouts.planner import RolloutPlanner
from jaild.rollouts.rpc import RolloutsServicer
from jaild.rollouts.service import Rollouts
from jaild.rollouts.worker import RolloutWorker


def build(engine: Engine, jails: JailParts) -> Rollouts:
    """Put the room together. Nothing is started."""
    worker = RolloutWorker(engine, jails.jails)
    rollouts = Rollouts(engine, jails.jails, RolloutPlanner(engine, jails.jails), worker)
    engine.inventory.needed_by.append(rollouts.needs)
    engine.recovery.continues(rollouts.continued)
    engine.recovery.resumes(Resume.ROLLOUTS, rollouts.resume_all)
    servicer = RolloutsServicer(rollouts, engine.messages)
    engine.services.add(servicer)
    engine.services.show("rollouts", servicer.shown)
    return rollouts
