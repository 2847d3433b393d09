"""Emptying a host: `jailctl host drain, undrain, evacuate` and `evacuation`, its report."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.mutation import How, failed, finish, mutation, planning, tell_plan
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import Backoff, Waiter
from jaild.cli.output import board, render
from jaild.cli.output.human import duration, printable
from jaild.cli.output.render import seconds
from jaild.model import quantity
from jaild.model.quantity import size
from jaild.v1 import evacuations_pb2, host_pb2

_STATE = evacuations_pb2.JailMove


@click.command("drain", cls=Verb, examples=('host drain --reason "disk 2 reports errors"',))
@click.option("--reason", default="", help="Why; shown to whoever is refused.")
@planning
@click.pass_obj
def drain(settings: Settings, *, reason: str, plan: bool) -> None:
    """Take no new jails and no migrations; the jails that are here go on."""
    request = evacuations_pb2.DrainHostRequest(reason=reason, validate_only=plan)
    with connect(settings) as api:
        before = _drain_now(api) if plan else None
        host = api.evacuations.DrainHost(request)
    if plan:
        step = f"take no new jails and no migrations; {quantity.count(host.jails, 'jail')} here"
        tell_plan(settings, "drain", "host", *(() if before == host.drain else (step,)))
        return
    _say(settings, host, f"{host.name} takes no jails; {host.jails} are here")


@click.command("undrain", cls=Verb, examples=("host undrain",))
@planning
@click.pass_obj
def undrain(settings: Settings, *, plan: bool) -> None:
    """Take jails again."""
    with connect(settings) as api:
        before = _drain_now(api) if plan else None
        host = api.evacuations.UndrainHost(evacuations_pb2.UndrainHostRequest(validate_only=plan))
    if plan:
        tell_plan(settings, "undrain", "host", *(() if before is None else ("take new jails and migrations again",)))
        return
    _say(settings, host, f"{host.name} takes jails again")


@click.command(
    "evacuate",
    cls=Verb,
    examples=(
        "host evacuate --to beta,gamma --plan",
        "host evacuate --to beta,gamma --parallel 4 --bandwidth 50M",
    ),
)
@click.option("--to", "targets", type=references.hosts, required=True, metavar="HOST,...", help="Peers to move to.")
@click.option("--parallel", type=click.IntRange(1, 32), default=2, show_default=True, help="Moves at a time.")
@click.option("--bandwidth", type=references.rate, default="0", metavar="RATE", help="Bytes per second in all: 50M.")
@click.option("--max-downtime", type=references.seconds, metavar="TIME", help="Longest downtime of each (default: 5s).")
@click.option("--proceed", is_flag=True, help="Go on although a predicted downtime is longer.")
@mutation()
@click.pass_obj
def evacuate(
    settings: Settings,
    *,
    targets: tuple[str, ...],
    parallel: int,
    bandwidth: int,
    max_downtime: float | None,
    proceed: bool,
    how: How,
) -> None:
    """Drain the host and move all its jails to others; Ctrl-C takes back what still can be."""
    request = evacuations_pb2.EvacuateHostRequest(
        targets=targets,
        parallel=parallel,
        bandwidth=bandwidth,
        proceed_over_budget=proceed,
        **how.fields(),
    )
    if max_downtime is not None:
        request.max_downtime.FromMilliseconds(round(max_downtime * 1000))
    with connect(settings) as api:
        operation = api.evacuations.EvacuateHost(request)
        if how.plan or not how.wait:
            finish(api, settings, operation, how)
            return
        name = f"evacuations/{short(operation.name)}"
        with board.shown(lambda: _get(api, name)) as view:
            operation = Waiter(api, view, Backoff(api)).wait(operation)
        _report(settings, _get(api, name))
    if operation.HasField("error"):
        raise failed(operation)


@click.command("evacuation", cls=Verb, examples=("host evacuation", "host evacuation -o json"))
@click.argument("name", type=references.evacuation, required=False, shell_complete=complete.evacuations)
@click.pass_obj
def evacuation(settings: Settings, *, name: str | None) -> None:
    """Show an evacuation as it is now, or its report; without a name the last one."""
    with connect(settings) as api:
        if name is not None:
            _report(settings, _get(api, name))
            return
        request = evacuations_pb2.ListEvacuationsRequest(page_size=1)
        found = api.evacuations.ListEvacuations(request, timeout=READ_SECONDS).evacuations
    if not found:
        raise click.ClickException("this host has never been evacuated")
    _report(settings, found[0])


VERBS = (drain, undrain, evacuate, evacuation)


def _get(api: Api, name: str) -> evacuations_pb2.Evacuation:
    found: evacuations_pb2.Evacuation = api.evacuations.GetEvacuation(
        evacuations_pb2.GetEvacuationRequest(name=name), timeout=READ_SECONDS
    )
    return found


def _drain_now(api: Api) -> host_pb2.HostDrain | None:
    host = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
    return host.drain if host.HasField("drain") else None


def _say(settings: Settings, host: object, text: str) -> None:
    if settings.form is Form.TABLE:
        click.echo(printable(text))
    else:
        render.document(settings.form, host)


def _report(settings: Settings, found: evacuations_pb2.Evacuation) -> None:
    """Print what became of each jail, and for those that did not go well why and what to do."""
    if settings.form is not Form.TABLE:
        render.document(settings.form, found)
        return
    render.table(
        ("JAIL", "TO", "STATE", "SENT", "TOOK", "DOWNTIME", "REASON"),
        [
            (
                short(move.jail),
                move.target,
                board.state(move),
                size(move.sent_bytes) if move.sent_bytes else "",
                duration(seconds(move.duration)) if move.HasField("duration") and move.attempts else "",
                render.span(move.downtime) if move.HasField("downtime") else "",
                move.reason,
            )
            for move in found.moves
        ],
    )
    for move in found.moves:
        if move.reason:
            click.echo(printable(f"{short(move.jail)}: {move.message}"))
            if move.hint:
                click.echo(printable(f"    hint: {move.hint}"))
