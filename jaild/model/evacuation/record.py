"""An evacuation as the host remembers it, and what becomes of each of its moves. Pure.

WAITING ─► MOVING ─┬─► MOVED | UNHEALTHY   the jail is the target's
   ▲               ├─► FAILED              it is here as before; the reason is told
   └── later ──────┤
                   └─► SKIPPED             nothing was to be done, or the evacuation was cancelled before
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.operation import Failure, Operation

KIND = "evacuate"  # of its operation
ATTEMPTS = 5  # for a move that only somebody else stands in the way of
_LONGEST_PAUSE = 30.0  # seconds
_LATER = frozenset(
    {
        "PEER_UNREACHABLE",
        "PEER_TIMEOUT",
        "MIGRATION_UNDER_WAY",  # what an aborted one left is being thrown away there
        "JAIL_MIGRATING",
        "JAIL_QUEUE_FULL",
        "HOST_SHUT_DOWN",  # it is being shut down, or boots
        "STANDBYS_UNCONFIRMED",  # they are being asked
    }
)
_NOT_HERE = frozenset(
    {
        "JAIL_MOVED",
        "JAIL_NOT_FOUND",
        "JAIL_DELETING",
        "JAIL_NOT_OWNED",
        "JAIL_INCOMING",
        "JAIL_FENCED",
        "OWNER_SUPERSEDED",
    }
)
CANCELLED = "OPERATION_CANCELLED"


class EvacuationPhase(StrEnum):
    """How far an evacuation's operation is. None is undone: its successor goes on from what the record says."""

    DRAIN = "drain"  # the host takes no jails any more
    PLAN = "plan"  # its targets are asked what they have room for
    MOVE = "move"  # migrations are under way, or wait


class MoveState(StrEnum):
    """How far a jail's move is."""

    WAITING = "waiting"
    MOVING = "moving"
    MOVED = "moved"
    UNHEALTHY = "unhealthy"  # moved, and did not pass its health checks there
    FAILED = "failed"
    SKIPPED = "skipped"


class JailMove(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One jail of an evacuation."""

    jail: str
    target: str = ""  # the peer's name; empty if none has room
    state: MoveState = MoveState.WAITING
    priority: int = 100
    expected: int = 0  # bytes that have to be sent
    attempts: int = 0
    operation: str = ""  # id of the last one
    bytes: int = 0  # sent
    downtime: float | None = None  # seconds
    seconds: float = 0.0  # that the move took
    reason: str = ""
    message: str = ""
    hint: str = msgspec.field(name="remedy", default="")  # named as in `Problem`

    @property
    def over(self) -> bool:
        """Whether nothing more is done about it."""
        return self.state not in {MoveState.WAITING, MoveState.MOVING}

    @property
    def stays(self) -> bool:
        """Whether it is over and the jail is still this host's."""
        return self.state is MoveState.FAILED or (self.state is MoveState.SKIPPED and self.reason not in _NOT_HERE)


class Evacuation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All jails of a host, on their way. Replaced whole; `id` is that of its operation."""

    id: str
    targets: tuple[str, ...]
    parallel: int
    bandwidth: int = 0  # bytes per second over all streams; 0 for no cap
    max_downtime: float = 5.0  # seconds, for each jail
    proceed_over_budget: bool = False
    actor: str = ""
    created: float = 0.0
    planned: bool = False  # `moves` holds the plan
    moves: tuple[JailMove, ...] = ()  # in the order in which they leave
    finished: float = 0.0  # when it ended; 0.0 while it goes on


def with_move(evacuation: Evacuation, move: JailMove) -> Evacuation:
    """Return the evacuation with one jail's move replaced."""
    moves = tuple(move if known.jail == move.jail else known for known in evacuation.moves)
    return msgspec.structs.replace(evacuation, moves=moves)


def ended(move: JailMove, operation: Operation) -> JailMove:
    """Return what a move has become when its operation is done: over, or waiting to be tried again."""
    told = msgspec.structs.replace(
        move,
        bytes=operation.bytes_done,
        downtime=operation.downtime,
        seconds=operation.seconds,
        attempts=move.attempts + 1,
        reason="",
        message="",
        hint="",
    )
    if operation.failure is None:
        return msgspec.structs.replace(told, state=MoveState.MOVED)
    return refused(told, operation.failure)


def refused(move: JailMove, failure: Failure) -> JailMove:
    """Return what a move has become by a failure, counted among `attempts` already."""
    errors = [problem for problem in failure.problems if problem.severity == "error"]
    reason, message, hint = failure.reason, failure.message, failure.hint
    if reason == "PLAN_REFUSED" and errors:
        reason, message, hint = errors[0].code, errors[0].message, errors[0].hint
    state = MoveState.FAILED
    if reason == "ACTIVATED_UNHEALTHY":
        state = MoveState.UNHEALTHY
    elif reason in _NOT_HERE or reason == CANCELLED:
        state = MoveState.SKIPPED
    elif reason in _LATER and move.attempts < ATTEMPTS:
        state = MoveState.WAITING
    return msgspec.structs.replace(move, state=state, reason=reason, message=message, hint=hint)


def pause(move: JailMove) -> float:
    """Return the seconds to let pass before a move is tried (again)."""
    return min(2.0**move.attempts, _LONGEST_PAUSE) if move.attempts else 0.0


def summary(evacuation: Evacuation) -> str:
    """Return how it stands, in one line."""
    counts = {state: sum(move.state is state for move in evacuation.moves) for state in MoveState}
    parts = [f"{counts[MoveState.MOVED]} of {len(evacuation.moves)} moved"]
    parts += [
        f"{counts[state]} {state.value}"
        for state in (MoveState.UNHEALTHY, MoveState.FAILED, MoveState.SKIPPED)
        if counts[state]
    ]
    moving = [move.jail for move in evacuation.moves if move.state is MoveState.MOVING]
    return ", ".join(parts) + (f"; moving {', '.join(moving)}" if moving else "")
