"""Emptying a host: `jailctl host drain, undrain, evacuate` and `evacuation`, its report."""

from __future__ import annotations

from collections.abc import Sequence

import click

from jaild.cli.client import comebacks, complete, references
from jaild.cli.client.comebacks import Comeback
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.mutation import How, failed, finish, mutation, planning, tell_plan
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import Backoff, Waiter
from jaild.cli.output import board, problems, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import duration, printable
from jaild.cli.output.render import seconds
from jaild.model import quantity
from jaild.model.quantity import size
from jaild.v1 import common_pb2, evacuations_pb2, host_pb2, migrations_pb2

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
    """Take jails again; says which jails an evacuation took away, that may come back."""
    with connect(settings) as api:
        before = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
        away = comebacks.left(api, before)
        host = api.evacuations.UndrainHost(evacuations_pb2.UndrainHostRequest(validate_only=plan))
    if plan:
        step = "take new jails and migrations again"
        tell_plan(settings, "undrain", "host", *((step,) if before.HasField("drain") else ()))
    else:
        _say(settings, host, f"{host.name} takes jails again")
    if away:
        told = ", ".join(f"{short(each.jail)} ({each.host})" for each in away)
        click.echo(printable(f"left by evacuation: {told}; to bring them back: jailctl host evacuate --back"), err=True)


@click.command(
    "evacuate",
    cls=Verb,
    examples=(
        "host evacuate --to beta,gamma --plan",
        "host evacuate --to beta,gamma --parallel 4 --bandwidth 50M",
        "host evacuate --back --plan",
    ),
)
@click.option("--to", "targets", type=references.hosts, metavar="HOST,...", help="Peers to move to.")
@click.option("--back", is_flag=True, help="Bring back what the last evacuation took away, and take jails again.")
@click.option("--parallel", type=click.IntRange(1, 32), default=2, show_default=True, help="Moves at a time.")
@click.option("--bandwidth", type=references.rate, default="0", metavar="RATE", help="Bytes per second in all: 50M.")
@click.option("--max-downtime", type=references.seconds, metavar="TIME", help="Longest downtime of each (default: 5s).")
@click.option("--proceed", is_flag=True, help="Go on although a predicted downtime is longer.")
@mutation()
@click.pass_obj
def evacuate(
    settings: Settings,
    *,
    targets: tuple[str, ...] | None,
    back: bool,
    parallel: int,
    bandwidth: int,
    max_downtime: float | None,
    proceed: bool,
    how: How,
) -> None:
    """Drain the host and move all its jails to others; Ctrl-C takes back what still can be.

    --back is for after the repair: it undrains the host, and asks each host that has one of the jails now to migrate it
    here, by the context of that host's name.
    """
    if (targets is None) is not back:
        raise click.UsageError("say where to with --to, or --back")
    if targets is None:
        common = migrations_pb2.MigrateJailRequest(
            proceed_over_budget=proceed, bandwidth=bandwidth // parallel, request_id=how.request_id
        )
        if max_downtime is not None:
            common.max_downtime.FromMilliseconds(round(max_downtime * 1000))
        _bring_back(settings, common, parallel, how)
        return
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


def _bring_back(settings: Settings, common: migrations_pb2.MigrateJailRequest, parallel: int, how: How) -> None:
    """Undrain the host and bring its jails back, or show that as a plan. `Failure` unless all are here then."""
    if not how.wait:
        raise click.UsageError("--back waits for its moves: it is jailctl that asks several hosts for them")
    with connect(settings) as api:
        host = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
        away = comebacks.left(api, host)
        moves = comebacks.Comebacks(settings, host, common)
        if how.plan:
            moves.plan(away)
            _tell_plan_back(settings, host, away)
            return
        api.evacuations.UndrainHost(evacuations_pb2.UndrainHostRequest())
        moves.carry_out(away, parallel)
    _tell_back(settings, away)


def _tell_plan_back(settings: Settings, host: host_pb2.HostInfo, away: Sequence[Comeback]) -> None:
    plan = common_pb2.Plan(kind="evacuate --back", target="host", unchanged=not (away or host.HasField("drain")))
    if host.HasField("drain"):
        plan.steps.append("take new jails and migrations again")
    for each in away:
        plan.steps.append(f"{short(each.jail)} from {each.host}")
        plan.problems.extend(each.plan.problems if each.plan is not None else ())
        if (why := each.failure) is not None:
            plan.problems.add(
                severity=common_pb2.SEVERITY_ERROR,
                code=why.reason,
                message=why.message,
                subject=each.jail,
                hint=why.hint,
            )
    if settings.form is not Form.TABLE:
        render.document(settings.form, plan)
    else:
        click.echo("\n".join(problems.plan_lines(plan)))
    if problems.errors(plan):
        raise Failure(
            f"it would be refused: {problems.count(plan.problems)}", Exit.REFUSED, hint="see the problems above"
        )


def _tell_back(settings: Settings, away: Sequence[Comeback]) -> None:
    missing = [each for each in away if each.failure is not None]
    if settings.form is not Form.TABLE:
        told = [{"jail": each.jail, "from": each.host, "back": each.failure is None} for each in away]
        for each, row in zip(away, told, strict=True):
            row.update({"reason": each.failure.reason, "message": each.failure.message} if each.failure else {})
        render.document(settings.form, {"moves": told})
    elif not away:
        click.echo("no jail that left by evacuation is away", err=True)
    else:
        rows = [
            (short(e.jail), e.host, "away" if e.failure else "back", e.failure.reason if e.failure else "")
            for e in away
        ]
        render.table(("JAIL", "FROM", "STATE", "REASON"), rows)
        for each in missing:
            each.failure.show()  # type: ignore[union-attr]  # those that have one
    if missing:
        raise Failure(f"{len(missing)} of {len(away)} did not come back", Exit.ABORTED, hint="see each; then ask again")


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
