"""Evacuations as messages."""

from __future__ import annotations

from jaild.model.evacuation.record import Evacuation, JailMove
from jaild.rpc import names
from jaild.rpc.moments import duration, timestamp
from jaild.v1 import evacuations_pb2


def evacuation_message(evacuation: Evacuation) -> evacuations_pb2.Evacuation:
    """Return an evacuation as a message."""
    return evacuations_pb2.Evacuation(
        name=names.evacuation_name(evacuation.id),
        targets=evacuation.targets,
        parallel=evacuation.parallel,
        bandwidth=evacuation.bandwidth,
        max_downtime=duration(evacuation.max_downtime),
        proceed_over_budget=evacuation.proceed_over_budget,
        actor=evacuation.actor,
        create_time=timestamp(evacuation.created),
        end_time=timestamp(evacuation.finished),
        moves=[_move_message(move) for move in evacuation.moves],
    )


def _move_message(move: JailMove) -> evacuations_pb2.JailMove:
    return evacuations_pb2.JailMove(
        jail=names.jail_name(move.jail),
        target=move.target,
        state=f"STATE_{move.state.name}",
        priority=move.priority,
        expected_bytes=move.expected,
        sent_bytes=move.bytes,
        attempts=move.attempts,
        operation=f"operations/{move.operation}" if move.operation else "",
        downtime=duration(move.downtime),
        duration=duration(move.seconds),
        reason=move.reason,
        message=move.message,
        hint=move.hint,
    )
