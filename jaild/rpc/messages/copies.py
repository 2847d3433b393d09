"""What copies of jails are asked for by, as messages."""

from __future__ import annotations

from jaild.model.jails.copying import Reach
from jaild.rpc.moments import since_epoch
from jaild.v1 import copies_pb2


def reach_of(message: copies_pb2.Reach) -> Reach:
    """Return how a copy is to be reached."""
    return Reach(
        addresses=tuple(message.addresses),
        gateway=message.gateway or None,
        without_ports=message.without_ports,
        without_network=message.without_network,
    )


def at_of(message: copies_pb2.Moment) -> str | float | None:
    """Return which state of a jail is meant: a snapshot's name, a time in seconds since the epoch, or None for now."""
    match message.WhichOneof("at"):
        case "snapshot":
            return message.snapshot
        case "time":
            return since_epoch(message.time, "moment.time")
    return None
