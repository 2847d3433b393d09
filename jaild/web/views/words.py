"""Names, states and times as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jaild.cli.client.references import short
from jaild.cli.output import render
from jaild.cli.output.human import age
from jaild.v1 import evacuations_pb2, jails_pb2, rollouts_pb2

__all__ = ["Moment", "Tone", "moment", "plain", "seconds", "short", "state", "step_tone", "tone"]

seconds = render.seconds


class Tone(StrEnum):
    """How much a word asks for: it has a colour and a sign of its own, and never stands without the word."""

    OK = "ok"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


_TONES = {
    **dict.fromkeys(("running", "healthy", "done", "activated"), Tone.OK),
    **dict.fromkeys(
        (
            "starting",
            "incoming",
            "prepared",
            "frozen",
            "working",
            "moving",
            "changing",
            "soaking",
            "undoing",
            "deleting",
        ),
        Tone.BUSY,
    ),
    **dict.fromkeys(("sending", "receiving", "committed", "cancelling"), Tone.BUSY),
    **dict.fromkeys(("waiting", "claimed", "paused", "fenced", "superseded", "undone", "aborted"), Tone.WARN),
    **dict.fromkeys(
        ("failed", "crash-loop", "damaged", "unhealthy", "stuck", "refused", "incomplete", "unreachable"), Tone.BAD
    ),
}


def tone(word: str) -> Tone:
    """Return how much a state's word asks for."""
    return _TONES.get(word, Tone.QUIET)


def step_tone(word: str) -> Tone:
    """Return the same of a jail in a rollout or an evacuation: most wait there, and one that moved is well."""
    return {"waiting": Tone.QUIET, "moved": Tone.OK}.get(word, tone(word))


def plain(name: str) -> str:
    """Return a resource's name as one says it: a jail's alone, and what has no name but a number with its kind."""
    return short(name) if name.startswith("jails/") else name.replace("s/", " ", 1)


_ENUMS: dict[type, Any] = {
    jails_pb2.Jail: jails_pb2.Jail.State,
    jails_pb2.HealthStatus: jails_pb2.HealthStatus.State,
    evacuations_pb2.JailMove: evacuations_pb2.JailMove.State,
    rollouts_pb2.Rollout: rollouts_pb2.Rollout.State,
    rollouts_pb2.RolloutStep: rollouts_pb2.RolloutStep.State,
}


def state(message: Any) -> str:
    """Return the state of a jail, its health, a move, a rollout or a step of one, as a word."""
    return render.word_of(_ENUMS[type(message)], message.state)


@dataclass(frozen=True)
class Moment:
    """A time: for machines, as the local clock shows it, and how long ago it was or how soon it is."""

    iso: str
    clock: str
    ago: str


def moment(stamp: Timestamp, now: float) -> Moment | None:
    """Return a time as it is shown `now`, in seconds since the epoch; None if it is unset."""
    if not stamp.ByteSize():
        return None
    passed = now - (stamp.seconds + stamp.nanos / 1e9)
    told = f"{age(passed)} ago" if passed >= 0 else f"in {age(-passed)}"
    return Moment(stamp.ToJsonString(), render.clock(stamp), told)
