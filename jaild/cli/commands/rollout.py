"""`jailctl rollout`: a base, or an app's release, moved over many jails in waves."""

from __future__ import annotations

from typing import Any

import click
from google.protobuf.duration_pb2 import Duration

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect, pages
from jaild.cli.client.mutation import How, accepting, failed, finish, planning, tell_plan
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import Backoff, Waiter
from jaild.cli.output import listing, problems, progress, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.human import printable
from jaild.cli.output.listing import Column, Look, listed
from jaild.model import quantity
from jaild.v1 import common_pb2, rollouts_pb2

Accept = tuple[common_pb2.AcceptedProblem, ...]
NAME = click.argument("name", type=references.rollout, shell_complete=complete.rollouts)
REQUEST_ID = click.option(
    "--request-id", default="", metavar="ID", help="Your own id: a repeated request returns the first's operation."
)
WAIT = click.option("--wait", is_flag=True, help="Wait for its end: hours, or for ever if it is paused.")
_ROLLOUT, _STEP = rollouts_pb2.Rollout, rollouts_pb2.RolloutStep


@click.group("rollout", cls=Noun)
def command() -> None:
    """Move a base, or an app's release, over many jails in waves, and back."""


@command.command(
    "start",
    examples=(
        "rollout start --channel stable --canaries 1 --wave 10% --wave 50% --plan",
        "rollout start --base debian-13 --label tier=edge --max-parallel 4 --on-breach undo",
        "rollout start --release redis/7.2 --soak 5m --budget 5%",
    ),
)
@click.option(
    "--base", type=references.base, shell_complete=complete.bases, help="To this base; with --jail or --label."
)
@click.option(
    "--channel",
    type=references.channel,
    shell_complete=complete.channels,
    help="The jails that follow this channel, to its base.",
)
@click.option(
    "--release",
    type=references.release,
    shell_complete=complete.releases,
    metavar="APP/VERSION",
    help="The jails that run the app.",
)
@click.option(
    "--jail", "jails", type=references.jail, shell_complete=complete.jails, multiple=True, help="Only these jails."
)
@click.option(
    "--label", "labels", type=references.pair, multiple=True, metavar="KEY=VALUE", help="Only with this label."
)
@click.option("--canaries", type=click.IntRange(0, references.MOST), default=0, help="So many go first, alone.")
@click.option("--wave", "waves", type=references.share, multiple=True, metavar="N|N%", help="Size of the next wave.")
@click.option(
    "--max-parallel", type=click.IntRange(1, 1000), default=1, show_default=True, help="Changed or watched at once."
)
@click.option(
    "--soak", type=references.seconds, metavar="TIME", help="Healthy without a break for so long (default: 10s)."
)
@click.option(
    "--healthy-deadline", type=references.seconds, metavar="TIME", help="Failed if not by then (default: 5m)."
)
@click.option("--stagger", type=references.seconds, metavar="TIME", help="Least time between two beginnings.")
@click.option("--budget", type=references.share, metavar="N|N%", help="So many jails may fail (default: none).")
@click.option("--keep-failed", is_flag=True, help="Do not take back a jail that moved and failed.")
@click.option(
    "--on-breach",
    type=click.Choice(["pause", "undo"]),
    default="pause",
    show_default=True,
    help="If the budget or the deadline is exceeded, or a canary fails.",
)
@click.option("--deadline", type=references.seconds, metavar="TIME", help="For all of it.")
@click.option(
    "--maintenance",
    "windows",
    multiple=True,
    metavar="WINDOW",
    help='Begin changes only then: "Mon..Fri 02:00-05:00 Europe/Berlin".',
)
@click.option("--leave-out-refused", is_flag=True, help="Go on without the jails whose plans are refused.")
@accepting
@planning
@WAIT
@REQUEST_ID
@click.pass_obj
def start(settings: Settings, /, *, plan: bool, wait: bool, request_id: str, **asked: Any) -> None:
    """Plan a rollout, and begin it; it goes on by itself."""
    spec = _spec(**asked)
    with connect(settings) as api:
        if plan:
            _show_plan(settings, api, spec)
            return
        request = rollouts_pb2.StartRolloutRequest(spec=spec, request_id=request_id)
        _follow(settings, api, api.rollouts.StartRollout(request), wait=wait)


@command.command("ls", examples=("rollout ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List rollouts, newest first."""
    with connect(settings) as api:
        found = pages(api.rollouts.ListRollouts, rollouts_pb2.ListRolloutsRequest(), "rollouts")
    listing.show(settings, look, "rollouts", found, _COLUMNS)


@command.command("show", examples=("rollout show 3f1c", "rollout show 3f1c -o json"))
@NAME
@listed
@click.pass_obj
def show(settings: Settings, *, name: str, look: Look) -> None:
    """Show a rollout: each jail, and with --wide in the end what it runs."""
    with connect(settings) as api:
        request = rollouts_pb2.GetRolloutRequest(name=name)
        _report(settings, api.rollouts.GetRollout(request, timeout=READ_SECONDS), look)


@command.command("pause", examples=("rollout pause 5c1f0a2b",))
@NAME
@planning
@click.pass_obj
def pause(settings: Settings, *, name: str, plan: bool) -> None:
    """Begin nothing more; what has begun ends."""
    with connect(settings) as api:
        request = rollouts_pb2.PauseRolloutRequest(name=name, validate_only=plan)
        _steered(settings, api, api.rollouts.PauseRollout, request, "begin nothing more; what has begun ends")


@command.command("resume", examples=("rollout resume 5c1f0a2b",))
@NAME
@planning
@click.pass_obj
def resume(settings: Settings, *, name: str, plan: bool) -> None:
    """Go on; what failed so far counts no more."""
    with connect(settings) as api:
        request = rollouts_pb2.ResumeRolloutRequest(name=name, validate_only=plan)
        _steered(settings, api, api.rollouts.ResumeRollout, request, "go on; what failed so far counts no more")


@command.command("cancel", examples=("rollout cancel 5c1f0a2b",))
@NAME
@planning
@click.pass_obj
def cancel(settings: Settings, *, name: str, plan: bool) -> None:
    """End it when what has begun has ended; what moved stays."""
    with connect(settings) as api:
        request = rollouts_pb2.CancelRolloutRequest(name=name, validate_only=plan)
        _steered(settings, api, api.rollouts.CancelRollout, request, "end it when what has begun has ended")


@command.command("undo", examples=("rollout undo 3f1c --plan", "rollout undo 3f1c --wait"))
@NAME
@accepting
@planning
@WAIT
@REQUEST_ID
@click.pass_obj
def undo(settings: Settings, *, name: str, accept: Accept, plan: bool, wait: bool, request_id: str) -> None:
    """Take back what a rollout moved, on its axis alone; other changes since then stay."""
    with connect(settings) as api:
        if plan:
            _show_plan(settings, api, rollouts_pb2.RolloutSpec(undoes=name, accept=accept))
            return
        request = rollouts_pb2.UndoRolloutRequest(name=name, accept=accept, request_id=request_id)
        _follow(settings, api, api.rollouts.UndoRollout(request), wait=wait)


def _spec(
    *,
    base: str | None,
    channel: str | None,
    release: str | None,
    jails: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
    leave_out_refused: bool,
    accept: Accept,
    **policy: Any,
) -> rollouts_pb2.RolloutSpec:
    named = {"base": base, "channel": channel, "release": release}
    chosen = {key: name for key, name in named.items() if name is not None}
    if len(chosen) != 1:
        raise click.UsageError("give one of --base, --channel and --release")
    return rollouts_pb2.RolloutSpec(
        jails=jails,
        labels=dict(labels),
        leave_out_refused=leave_out_refused,
        accept=accept,
        policy=_policy(**policy),
        **chosen,
    )


def _policy(
    *,
    canaries: int,
    waves: tuple[tuple[int, bool], ...],
    max_parallel: int,
    budget: tuple[int, bool] | None,
    keep_failed: bool,
    on_breach: str,
    soak: float | None,
    healthy_deadline: float | None,
    stagger: float | None,
    deadline: float | None,
    windows: tuple[str, ...],
) -> rollouts_pb2.RolloutPolicy:
    policy = rollouts_pb2.RolloutPolicy(
        canaries=canaries,
        waves=[rollouts_pb2.Share(number=number, percent=percent) for number, percent in waves],
        max_parallel=max_parallel,
        keep_failed=keep_failed,
        on_breach=f"ON_BREACH_{on_breach.upper()}",
        maintenance=windows,
    )
    if budget is not None:
        policy.failure_budget.number, policy.failure_budget.percent = budget
    times = (
        ("min_healthy_time", soak),
        ("healthy_deadline", healthy_deadline),
        ("stagger", stagger),
        ("deadline", deadline),
    )
    for field, value in times:
        if value is not None:
            getattr(policy, field).CopyFrom(_duration(value))
    return policy


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromMilliseconds(round(seconds * 1000))
    return made


def _steered(settings: Settings, api: Api, method: Any, request: Any, step: str) -> None:
    """Steer a rollout and print how it stands; or what that would do, if only that is asked."""
    if not request.validate_only:
        _report(settings, method(request))
        return
    before = api.rollouts.GetRollout(rollouts_pb2.GetRolloutRequest(name=request.name), timeout=READ_SECONDS)
    after = method(request)
    tell_plan(settings, "rollout", request.name, *(() if before.state == after.state else (step,)))


def _follow(settings: Settings, api: Api, operation: Any, *, wait: bool) -> None:
    """Print which rollout it is, or wait for its end and print what came of it."""
    name = f"rollouts/{short(operation.name)}"
    if not wait:
        if settings.form is not Form.TABLE:
            finish(api, settings, operation, How(wait=False))
            return
        click.echo(printable(f"{name} has begun: jailctl rollout show {short(name)}"))
        return
    with progress.shown() as view:
        operation = Waiter(api, view, Backoff(api)).wait(operation)
    _report(settings, api.rollouts.GetRollout(rollouts_pb2.GetRolloutRequest(name=name), timeout=READ_SECONDS))
    if operation.HasField("error"):
        raise failed(operation)


def _show_plan(settings: Settings, api: Api, spec: rollouts_pb2.RolloutSpec) -> None:
    plan = api.rollouts.PlanRollout(rollouts_pb2.PlanRolloutRequest(spec=spec))
    _report(settings, plan)
    refused = _count(plan, _STEP.STATE_REFUSED)
    left_out = spec.leave_out_refused or bool(spec.undoes)
    if refused and not (left_out and refused < len(plan.steps)):
        raise Failure(
            f"it would be refused: {refused} of {quantity.count(len(plan.steps), 'jail')}",
            Exit.REFUSED,
            hint="see their problems above; --leave-out-refused goes on without them",
        )


def _report(settings: Settings, found: rollouts_pb2.Rollout, look: Look | None = None) -> None:
    if settings.form is not Form.TABLE:
        render.document(settings.form, found)
        return
    head = [f"{short(found.name)}: {_state(found)}" if found.name else "plan", _aim(found)]
    if not found.HasField("end_time") and found.steps:
        at_least = "at least " if found.expected_at_least else ""
        head.append(f"takes about {render.span(found.expected_duration)}")
        head.append(f"downtime in sum {at_least}{render.span(found.expected_downtime)}")
    click.echo(printable(", ".join(head)))
    if found.message:
        click.echo(printable(found.message))
    listing.table(look or Look(), found.steps, _STEPS)
    for step in found.steps:
        stops = [each for each in step.problems if each.severity == common_pb2.SEVERITY_ERROR]
        if step.reason:
            click.echo(printable(f"{short(step.jail)}: {step.message} ({step.reason})"))
            if step.hint:
                click.echo(printable(f"    hint: {step.hint}"))
        for line in problems.lines(stops):
            click.echo(f"  {line}")


def _downtime(step: rollouts_pb2.RolloutStep) -> str:
    known = step.HasField("downtime") or step.HasField("expected_downtime")
    return render.span(step.downtime if step.HasField("downtime") else step.expected_downtime) if known else ""


def _runs(step: rollouts_pb2.RolloutStep) -> str:
    runs = f"{step.runs.generation}: {short(step.runs.base)} {short(step.runs.release)}".rstrip()
    return f"{runs} {step.runs.base_guid:016x}" if step.HasField("runs") else ""


def _state(found: rollouts_pb2.Rollout) -> str:
    return render.word_of(_ROLLOUT.State, found.state)


def _aim(found: rollouts_pb2.Rollout) -> str:
    return f"to {short(found.target)}" if found.target else f"undo of {short(found.spec.undoes)}"


def _count(found: rollouts_pb2.Rollout, *states: int) -> int:
    return sum(step.state in states for step in found.steps)


_STEPS = (
    Column("JAIL", lambda step: short(step.jail)),
    Column("WAVE", lambda step: "canary" if step.wave == 0 else str(step.wave)),
    Column("STATE", lambda step: render.word_of(_STEP.State, step.state)),
    Column("FROM", lambda step: short(step.before)),
    Column("TO", lambda step: short(step.target)),
    Column("DOWNTIME", _downtime),
    Column("RUNS", _runs, wide=True),
    Column("REASON", lambda step: step.reason, wide=True),
)
_COLUMNS = (
    Column("ID", lambda each: short(each.name), is_id=True),
    Column("STATE", _state),
    Column("AIM", _aim),
    Column("DONE", lambda each: str(_count(each, _STEP.STATE_DONE))),
    Column("FAILED", lambda each: str(_count(each, _STEP.STATE_FAILED, _STEP.STATE_STUCK))),
    Column("OF", lambda each: str(len(each.steps))),
    Column("AGE", lambda each: render.since(each.create_time)),
    Column("MESSAGE", lambda each: each.message, prose=True),
)
