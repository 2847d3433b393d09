"""Jails started, stopped, removed and waited for: one, or all that a selector or a filter chooses."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
import grpc

from jaild.cli.client import complete, interrupts, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.mutation import How, ask_first, finish_all, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.selection import chosen, named, narrowed
from jaild.cli.client.settings import Settings
from jaild.cli.client.waiting import TRANSIENT, Backoff
from jaild.cli.output import progress
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import duration, printable
from jaild.v1 import events_pb2, jails_pb2

_LOOK = 2.0  # seconds after which a jail is looked at again, though nothing was heard of it
_DELETED = "deleted"


@click.command("start", cls=Verb, examples=("jail start cache", "jail start --selector team=cdn --plan"))
@chosen
@mutation()
@click.pass_obj
def start(settings: Settings, *, names: tuple[str, ...], wanted: str, how: How) -> None:
    """Start jails; they start at boot again, too."""

    def ask(api: Api, **asked: Any) -> Any:
        return api.jails.StartJail(jails_pb2.StartJailRequest(**asked))

    _each(settings, names, wanted, how, ask)


@click.command("stop", cls=Verb, examples=("jail stop cache", "jail stop --filter 'base = debian-12'"))
@chosen
@click.option("--force", is_flag=True, help="Do not wait for its hooks.")
@mutation()
@click.pass_obj
def stop(settings: Settings, *, names: tuple[str, ...], wanted: str, force: bool, how: How) -> None:
    """Stop jails, so that they stay stopped at boot, too."""

    def ask(api: Api, **asked: Any) -> Any:
        return api.jails.StopJail(jails_pb2.StopJailRequest(force=force, **asked))

    _each(settings, names, wanted, how, ask)


@click.command("restart", cls=Verb, examples=("jail restart cache", "jail restart --selector team=cdn,canary"))
@chosen
@mutation()
@click.pass_obj
def restart(settings: Settings, *, names: tuple[str, ...], wanted: str, how: How) -> None:
    """Stop and start jails on their active generations."""

    def ask(api: Api, **asked: Any) -> Any:
        return api.jails.RestartJail(jails_pb2.RestartJailRequest(**asked))

    _each(settings, names, wanted, how, ask)


@click.command("rm", cls=Verb, examples=("jail rm cache --plan", "jail rm cache --force --yes"))
@chosen
@click.option("--force", is_flag=True, help="Stop it first if it runs.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, as on a terminal is done.")
@mutation()
@click.pass_obj
def rm(settings: Settings, *, names: tuple[str, ...], wanted: str, force: bool, yes: bool, how: How) -> None:
    """Remove jails with all their data; refused while they run. On a terminal it asks first."""

    def ask(api: Api, **asked: Any) -> Any:
        if not (yes or how.plan):
            only_plan = jails_pb2.DeleteJailRequest(name=asked["name"], force=force, validate_only=True)
            ask_first(lambda: api.jails.DeleteJail(only_plan), short(asked["name"]))
        return api.jails.DeleteJail(jails_pb2.DeleteJailRequest(force=force, **asked))

    _each(settings, names, wanted, how, ask)


@click.command(
    "wait",
    cls=Verb,
    examples=(
        "jail wait cache",
        "jail wait cache --for 'state = running AND health = healthy' --timeout 1m",
        "jail wait cache --for 'generation = 7' --timeout 10m",
        "jail wait cache --for deleted",
    ),
)
@click.argument("name", type=references.jail, shell_complete=complete.jails)
@click.option(
    "--for",
    "condition",
    default="state = running",
    show_default=True,
    metavar="FILTER",
    help=f"What is waited for, as in jail ls --filter; or {_DELETED}.",
)
@click.option("--timeout", type=references.seconds, metavar="TIME", help="Give up after so long.")
@click.pass_obj
def wait(settings: Settings, *, name: str, condition: str, timeout: float | None) -> None:
    """Wait until a jail is as a filter says.

    Ends with status 14 if it is not within --timeout, and with 8 if the daemon cannot be asked then.
    """
    gone = condition == _DELETED
    request = jails_pb2.ListJailsRequest(filter=narrowed("" if gone else condition, f'name = "{short(name)}"'))
    until = math.inf if timeout is None else time.monotonic() + timeout
    with connect(settings) as api, progress.shown() as view:
        backoff = Backoff(api)
        while True:
            lost: grpc.RpcError | None = None
            try:
                if bool(api.jails.ListJails(request, timeout=READ_SECONDS).jails) is not gone:
                    return
                backoff.reset()
                view.step("waiting", f"jail {short(name)}: {condition}")
                if (left := until - time.monotonic()) > 0:
                    next_event(api, name, min(_LOOK, left))
            except grpc.RpcError as error:
                if error.code() not in TRANSIENT:
                    raise
                lost = error
                view.step("reconnecting", "the connection to the daemon broke")
                if not backoff.wait():
                    raise
            if time.monotonic() >= until:
                if lost is not None:
                    raise lost
                what = (
                    f"jail {printable(short(name))} is not so within {duration(timeout or 0)}: {printable(condition)}"
                )
                raise Failure(what, Exit.TIMED_OUT, hint=f"see how it is: jailctl jail show {short(name)}")


def next_event(api: Api, name: str, seconds: float) -> None:
    """Return when something happens to a jail, or after so many seconds."""
    request = events_pb2.WatchEventsRequest(after_sequence=-1, target=name)
    try:
        for _ in interrupts.stream(lambda: api.events.WatchEvents(request, timeout=seconds)):
            return
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise


VERBS = (start, stop, restart, rm, wait)


def _each(settings: Settings, names: tuple[str, ...], wanted: str, how: How, ask: Callable[..., Any]) -> None:
    with connect(settings) as api:
        there = named(api, names, wanted)
        if not there:
            click.echo("no jail is like that", err=True)
        asks = [
            functools.partial(ask, api, name=name, request_id=_id(how, name, there), validate_only=how.plan)
            for name in there
        ]
        finish_all(api, settings, asks, how)


def _id(how: How, name: str, there: Sequence[str]) -> str:
    """Return the request id of one of them: an id is for one request only."""
    return f"{how.request_id}/{short(name)}" if how.request_id and len(there) > 1 else how.request_id
