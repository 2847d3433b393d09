"""Rollouts as messages, and what is asked for by them."""

from __future__ import annotations

from google.protobuf import duration_pb2
from google.protobuf.message import Message

from jaild.model.jails.change import Axis
from jaild.model.rollouts import record
from jaild.model.rollouts.policy import OnBreach, RolloutPolicy, Share
from jaild.model.rollouts.record import Rollout, RolloutSpec, Runs, Step
from jaild.rpc import moments, names
from jaild.rpc.messages.plans import accepted_message, accepted_of, problem_message
from jaild.rpc.moments import duration, timestamp
from jaild.v1 import rollouts_pb2

_DEFAULT = RolloutPolicy()
_TIMES = ("min_healthy_time", "healthy_deadline", "stagger", "deadline")


def spec_of(message: rollouts_pb2.RolloutSpec, by: str) -> RolloutSpec:
    """Return what is asked for, `by` whom. `InvalidArgumentError` (INVALID_NAME, INVALID_DURATION, NOT_ACCEPTABLE)."""
    return RolloutSpec(
        base=names.base(message.base) if message.base else "",
        channel=names.channel(message.channel) if message.channel else "",
        release="/".join(names.release(message.release)) if message.release else "",
        undoes=names.rollout(message.undoes) if message.undoes else "",
        jails=tuple(map(names.jail, message.jails)),
        labels=dict(message.labels),
        policy=_policy_of(message.policy),
        leave_out_refused=message.leave_out_refused,
        accepted=accepted_of(message.accept, by),
    )


def _policy_of(message: rollouts_pb2.RolloutPolicy) -> RolloutPolicy:
    undo = message.on_breach == rollouts_pb2.RolloutPolicy.ON_BREACH_UNDO
    return RolloutPolicy(
        canaries=message.canaries,
        waves=tuple(map(_share_of, message.waves)),
        max_parallel=message.max_parallel or _DEFAULT.max_parallel,
        failure_budget=_share_of(message.failure_budget),
        auto_revert=not message.keep_failed,
        on_breach=OnBreach.UNDO if undo else OnBreach.PAUSE,
        maintenance=tuple(message.maintenance),
        **{name: _seconds(message, name) for name in _TIMES},
    )


def _seconds(message: Message, name: str) -> float:
    given: duration_pb2.Duration = getattr(message, name)
    return moments.seconds(given, name) if message.HasField(name) else getattr(_DEFAULT, name)


def _share_of(message: rollouts_pb2.Share) -> Share:
    return Share(message.number, message.percent)


def _share(share: Share) -> rollouts_pb2.Share:
    return rollouts_pb2.Share(number=share.number, percent=share.percent)


def rollout_message(rollout: Rollout) -> rollouts_pb2.Rollout:
    """Return a rollout as a message."""
    downtime, at_least = record.downtime(rollout.steps)
    return rollouts_pb2.Rollout(
        name=names.rollout_name(rollout.id),
        spec=_spec(rollout.spec),
        state=f"STATE_{rollout.state.name}",
        target=_layer(rollout.target, rollout.axis),
        actor=rollout.caller.actor,
        create_time=timestamp(rollout.created),
        end_time=timestamp(rollout.finished),
        deadline_time=timestamp(rollout.deadline or 0.0),
        expected_duration=duration(rollout.duration),
        expected_downtime=duration(downtime),
        expected_at_least=at_least,
        message=rollout.message,
        steps=[_step(step, rollout.axis) for step in rollout.steps],
    )


def _spec(spec: RolloutSpec) -> rollouts_pb2.RolloutSpec:
    message = rollouts_pb2.RolloutSpec(
        jails=map(names.jail_name, spec.jails),
        labels=spec.labels,
        policy=_policy(spec.policy),
        leave_out_refused=spec.leave_out_refused,
        accept=map(accepted_message, spec.accepted),
    )
    if spec.base:
        message.base = names.base_name(spec.base)
    elif spec.channel:
        message.channel = names.channel_name(spec.channel)
    elif spec.release:
        message.release = names.release_name(spec.release)
    else:
        message.undoes = names.rollout_name(spec.undoes)
    return message


def _policy(policy: RolloutPolicy) -> rollouts_pb2.RolloutPolicy:
    return rollouts_pb2.RolloutPolicy(
        canaries=policy.canaries,
        waves=map(_share, policy.waves),
        max_parallel=policy.max_parallel,
        failure_budget=_share(policy.failure_budget),
        keep_failed=not policy.auto_revert,
        on_breach=f"ON_BREACH_{policy.on_breach.name}",
        min_healthy_time=duration(policy.min_healthy_time),
        healthy_deadline=duration(policy.healthy_deadline),
        stagger=duration(policy.stagger),
        deadline=duration(policy.deadline),
        maintenance=policy.maintenance,
    )


def _step(step: Step, axis: Axis) -> rollouts_pb2.RolloutStep:
    return rollouts_pb2.RolloutStep(
        jail=names.jail_name(step.name),
        wave=step.wave,
        group=step.group,
        state=f"STATE_{step.state.name}",
        before=_layer(step.before, axis),
        target=_layer(step.target, axis),
        operation=f"operations/{step.operation}" if step.operation else "",
        begin_time=timestamp(step.began),
        move_time=timestamp(step.moved),
        expected_downtime=duration(step.expected),
        downtime=duration(step.downtime),
        downtime_back=duration(step.downtime_back),
        problems=map(problem_message, step.problems),
        reason=step.reason,
        message=step.message,
        hint=step.hint,
        runs=_runs(step.runs) if step.runs is not None else None,
    )


def _runs(runs: Runs) -> rollouts_pb2.RunsOn:
    return rollouts_pb2.RunsOn(
        generation=runs.generation,
        base=names.base_name(runs.base),
        base_guid=runs.base_guid,
        base_sha256=runs.base_sha256,
        release=names.release_name(runs.release),
        release_guid=runs.release_guid,
        release_sha256=runs.release_sha256,
    )


def _layer(name: str, axis: Axis) -> str:
    return names.base_name(name) if axis is Axis.BASE else names.release_name(name)
