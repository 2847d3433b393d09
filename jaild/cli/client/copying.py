"""What copies of jails are asked for by: of when, and how they are reached."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from jaild.cli.client import references
from jaild.v1 import copies_pb2

_Function = TypeVar("_Function", bound=Callable[..., Any])


def at(text: str) -> copies_pb2.Moment:
    """Return which state of a jail is meant: a time, as `references.moment` reads it, or else a snapshot's name."""
    moment = copies_pb2.Moment()
    try:
        moment.time.FromNanoseconds(round(references.moment(text) * 1e9))
    except (click.BadParameter, ValueError):
        references.utf8(text)
        return copies_pb2.Moment(snapshot=text.rpartition("@")[2])
    return moment


when = click.option(
    "--at",
    type=at,
    default=None,
    metavar="SNAPSHOT|TIME",
    help="As it was at a snapshot, by its name, or at the last one before a time: 2h ago, or 2026-11-30T08:00:00Z.",
)


def reached(function: _Function) -> _Function:
    """Add the options that say how a copy is reached, and hand it over as the argument `reach`."""

    @functools.wraps(function)
    def collected(
        *args: Any, ip: tuple[str, ...], gateway: str, no_ports: bool, no_network: bool, **kwargs: Any
    ) -> Any:
        for text in (*ip, gateway):
            references.utf8(text)
        reach = copies_pb2.Reach(addresses=ip, gateway=gateway, without_ports=no_ports, without_network=no_network)
        return function(*args, reach=reach, **kwargs)

    wrapped: Any = collected
    wrapped = click.option("--no-network", is_flag=True, help="Nothing but a loopback interface: to look into it.")(
        wrapped
    )
    wrapped = click.option("--no-ports", is_flag=True, help="No port of the host leads into it.")(wrapped)
    wrapped = click.option("--gateway", default="", metavar="ADDRESS", help="Its default route.")(wrapped)
    return click.option(  # type: ignore[no-any-return]
        "--ip",
        multiple=True,
        metavar="ADDRESS/PREFIX",
        help="In the place of the original's addresses; may be given several times.",
    )(wrapped)
