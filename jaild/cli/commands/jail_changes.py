"""The four changes of a jail, and its move: each is planned, carried out, watched and told in the same way."""

from __future__ import annotations

import os
import tempfile
from typing import IO, Any

import click

from jaild.cli.client import complete, references, specs
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Settings
from jaild.cli.output import render
from jaild.v1 import changes_pb2, jails_pb2, migrations_pb2, test_migrations_pb2

_AXES = {
    None: jails_pb2.RollbackJailRequest.AXIS_UNSPECIFIED,
    "base": jails_pb2.RollbackJailRequest.AXIS_BASE,
    "app": jails_pb2.RollbackJailRequest.AXIS_APP,
    "spec": jails_pb2.RollbackJailRequest.AXIS_SPEC,
}

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)
_CONFIRM_WITHIN = click.option(
    "--confirm-within",
    type=references.seconds,
    metavar="TIME",
    help="Undo it after so long unless it is confirmed: jail confirm-change.",
)
_STAGE = click.option(
    "--stage", is_flag=True, help="Only prepare it, and keep it for jail cutover or a maintenance window."
)
_FORCE = click.option("--force", is_flag=True, help="Do it also if nothing changes: a new generation, and a restart.")


@click.command("deploy", cls=Verb, examples=("jail deploy cache redis/7.2 --plan", "jail deploy cache redis/7.2"))
@NAME
@click.argument("release", metavar="APP/VERSION", type=references.release, shell_complete=complete.releases)
@_CONFIRM_WITHIN
@_STAGE
@_FORCE
@mutation(acceptable=True)
@click.pass_obj
def deploy(
    settings: Settings, *, name: str, release: str, confirm_within: float | None, stage: bool, force: bool, how: How
) -> None:
    """Move a jail to another release; base and data stay."""
    request = jails_pb2.DeployReleaseRequest(name=name, release=release, stage=stage, force=force, **how.fields())
    _to_be_confirmed(request, confirm_within)
    with connect(settings) as api:
        finish(api, settings, api.jails.DeployRelease(request), how)


@click.command(
    "upgrade",
    cls=Verb,
    examples=(
        "jail upgrade cache debian-13 --plan",
        "jail upgrade cache debian-13",
        "jail upgrade cache --channel stable",
    ),
)
@NAME
@click.argument("base", type=references.base, shell_complete=complete.bases, required=False)
@click.option(
    "--channel",
    type=references.channel,
    shell_complete=complete.channels,
    help="Follow this channel, on the base that it names now.",
)
@_CONFIRM_WITHIN
@_STAGE
@_FORCE
@mutation(acceptable=True)
@click.pass_obj
def upgrade(
    settings: Settings,
    *,
    name: str,
    base: str | None,
    channel: str | None,
    confirm_within: float | None,
    stage: bool,
    force: bool,
    how: How,
) -> None:
    """Move a jail to another base; application and data stay."""
    if (base is None) == (channel is None):
        raise click.UsageError("give either a base, or a channel with --channel")
    request = jails_pb2.UpgradeBaseRequest(
        name=name, base=base or "", channel=channel or "", stage=stage, force=force, **how.fields()
    )
    _to_be_confirmed(request, confirm_within)
    with connect(settings) as api:
        finish(api, settings, api.jails.UpgradeBase(request), how)


@click.command(
    "configure",
    cls=Verb,
    examples=(
        "jail configure cache -f cache.yaml --plan",
        "jail configure cache --set limits.memory=2G --set labels.team=cdn",
        "jail configure cache --set boot.order=10 --unset quota --plan",
    ),
)
@NAME
@click.option(
    "-f",
    "--file",
    type=references.TextFile(),
    help="The whole new spec, in YAML (jailctl explain spec); `-` for stdin.",
)
@click.option(
    "--set",
    "values",
    type=references.pair,
    multiple=True,
    metavar="FIELD=VALUE",
    help="Only this of it; the value in YAML, as in network.addresses=[10.0.0.5/24].",
)
@click.option("--unset", "gone", multiple=True, metavar="FIELD", help="Only this of it, which is to go.")
@_CONFIRM_WITHIN
@_STAGE
@_FORCE
@mutation(acceptable=True)
@click.pass_obj
def configure(
    settings: Settings,
    *,
    name: str,
    file: IO[str] | None,
    values: tuple[tuple[str, str], ...],
    gone: tuple[str, ...],
    confirm_within: float | None,
    stage: bool,
    force: bool,
    how: How,
) -> None:
    """Change a jail's spec, in whole or some fields; base and release in it stay what they are."""
    if (file is None) != bool(values or gone):
        raise click.UsageError("give the whole spec with -f FILE, or fields of it with --set and --unset")
    request = jails_pb2.ConfigureJailRequest(name=name, stage=stage, force=force, **how.fields())
    _to_be_confirmed(request, confirm_within)
    with connect(settings) as api:
        if file is not None:
            request.spec.yaml = file.read()
        else:
            jail = api.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=READ_SECONDS)
            request.spec.yaml, request.etag = specs.changed(jail.spec, values, gone), jail.etag
        finish(api, settings, api.jails.ConfigureJail(request), how)


def _to_be_confirmed(request: Any, seconds: float | None) -> None:
    if seconds is not None:
        request.confirm_within.FromMilliseconds(round(seconds * 1000))


@click.command("confirm-change", cls=Verb, examples=("jail confirm-change cache",))
@NAME
@mutation()
@click.pass_obj
def confirm_change(settings: Settings, *, name: str, how: How) -> None:
    """Keep the last change of a jail, which was asked for with --confirm-within."""
    request = changes_pb2.ConfirmChangeRequest(name=name, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.changes.ConfirmChange(request), how)


@click.command("revert-change", cls=Verb, examples=("jail revert-change cache --plan", "jail revert-change cache"))
@NAME
@mutation()
@click.pass_obj
def revert_change(settings: Settings, *, name: str, how: How) -> None:
    """Undo the last change of a jail now, which was asked for with --confirm-within."""
    request = changes_pb2.RevertChangeRequest(name=name, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.changes.RevertChange(request), how)


@click.command("cutover", cls=Verb, examples=("jail cutover cache --plan", "jail cutover cache"))
@NAME
@mutation()
@click.pass_obj
def cutover(settings: Settings, *, name: str, how: How) -> None:
    """Carry out the change of a jail that was asked for with --stage."""
    request = changes_pb2.CutOverRequest(name=name, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.changes.CutOver(request), how)


@click.command("unstage", cls=Verb, examples=("jail unstage cache",))
@NAME
@mutation()
@click.pass_obj
def unstage(settings: Settings, *, name: str, how: How) -> None:
    """Drop the change of a jail that was asked for with --stage."""
    request = changes_pb2.UnstageRequest(name=name, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.changes.Unstage(request), how)


@click.command("edit", cls=Verb, examples=("jail edit cache", "jail edit cache --plan"))
@NAME
@_STAGE
@mutation(acceptable=True)
@click.pass_obj
def edit(settings: Settings, *, name: str, stage: bool, how: How) -> None:
    """Change a jail's spec in $EDITOR; refused if somebody else changed it meanwhile."""
    with connect(settings) as api:
        jail = api.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=READ_SECONDS)
    before = render.plain(jail.spec) + "\n"
    try:
        after = click.edit(before, extension=".yaml")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"the editor left what is no UTF-8 text, from byte {error.start} on") from error
    if after is None or after == before:
        click.echo("nothing changed", err=True)
        return
    spec = jails_pb2.SpecSource(yaml=after)
    request = jails_pb2.ConfigureJailRequest(name=name, spec=spec, etag=jail.etag, stage=stage, **how.fields())
    try:
        with connect(settings) as api:
            finish(api, settings, api.jails.ConfigureJail(request), how)
    except BaseException:
        _keep(after)
        raise
    if how.plan:
        _keep(after)


@click.command(
    "standby",
    cls=Verb,
    examples=("jail standby web alpha", "jail standby web alpha,gamma --interval 5m", "jail standby web --none"),
)
@NAME
@click.argument("hosts", type=references.hosts, required=False)
@click.option("--interval", type=references.seconds, metavar="TIME", help="Writes of so long may be lost at most.")
@click.option("--none", "nobody", is_flag=True, help="Nobody keeps a replica any more.")
@mutation(acceptable=True)
@click.pass_obj
def standby(
    settings: Settings, *, name: str, hosts: tuple[str, ...] | None, interval: float | None, nobody: bool, how: How
) -> None:
    """Say which hosts keep replicas of a jail, in its spec; the rest of that stays."""
    if (hosts is None) is not nobody:
        raise click.UsageError("name the hosts, or say --none")
    with connect(settings) as api:
        jail = api.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=READ_SECONDS)
        if hosts is None:
            jail.spec.ClearField("standby")
        else:
            jail.spec.standby.peers[:] = hosts
        if interval is not None and hosts is not None:
            jail.spec.standby.interval = interval
        spec = jails_pb2.SpecSource(yaml=render.plain(jail.spec) + "\n")
        request = jails_pb2.ConfigureJailRequest(name=name, spec=spec, etag=jail.etag, **how.fields())
        finish(api, settings, api.jails.ConfigureJail(request), how)


@click.command(
    "rollback",
    cls=Verb,
    examples=("jail rollback cache", "jail rollback cache --to 3", "jail rollback cache --axis base"),
)
@NAME
@click.option(
    "--to",
    "number",
    type=click.IntRange(1, references.MOST),
    help="Generation to go back to (default: the one before).",
)
@click.option("--axis", type=click.Choice(["base", "app", "spec"]), help="Undo only this (default: all three).")
@_STAGE
@mutation(acceptable=True)
@click.pass_obj
def rollback(settings: Settings, *, name: str, number: int | None, axis: str | None, stage: bool, how: How) -> None:
    """Go back to an older generation, or undo one axis; data is never rolled back."""
    request = jails_pb2.RollbackJailRequest(
        name=name, generation=number or 0, axis=_AXES[axis], stage=stage, **how.fields()
    )
    with connect(settings) as api:
        finish(api, settings, api.jails.RollbackJail(request), how)


@click.command(
    "migrate",
    cls=Verb,
    examples=(
        "jail migrate cache beta --plan",
        "jail migrate cache beta --test",
        "jail migrate cache beta --max-downtime 2s --deadline 1h --bandwidth 50M",
    ),
)
@NAME
@click.argument("target", shell_complete=complete.peers)
@click.option("--max-downtime", type=references.seconds, metavar="TIME", help="Longest downtime (default: 5s).")
@click.option(
    "--over-budget",
    type=click.Choice(["refuse", "proceed"]),
    default="refuse",
    help="What to do when the predicted downtime stays longer (default: refuse).",
)
@click.option("--proceed", "over_budget", flag_value="proceed", help="The same as --over-budget proceed.")
@click.option(
    "--deadline",
    type=references.seconds,
    metavar="TIME",
    help="Give up if it takes longer (default: try until cancelled).",
)
@click.option(
    "--bandwidth",
    "--cap",
    "bandwidth",
    type=references.rate,
    default="0",
    metavar="RATE",
    help="Bytes per second that it may send: 50M; later: migration cap.",
)
@click.option("--test", is_flag=True, help="Only try it: boot a clone there, check its health, throw it away.")
@click.option("--rehearse", "test", is_flag=True, hidden=True)  # what it was called
@click.option("--keep-copy", is_flag=True, help="With --test: leave the copy there, so that the move is an increment.")
@mutation()
@click.pass_obj
def migrate(
    settings: Settings,
    *,
    name: str,
    target: str,
    max_downtime: float | None,
    over_budget: str,
    deadline: float | None,
    bandwidth: int,
    test: bool,
    keep_copy: bool,
    how: How,
) -> None:
    """Move a jail to another host; Ctrl-C takes it back while it still can be."""
    if keep_copy and not test:
        raise click.UsageError("--keep-copy goes with --test")
    if test and bandwidth:
        raise click.UsageError("--bandwidth is for the move itself")
    if test:
        _test(settings, name, target, max_downtime, how, keep_copy=keep_copy)
        return
    request = migrations_pb2.MigrateJailRequest(
        name=name,
        target=target,
        proceed_over_budget=over_budget == "proceed",
        bandwidth=bandwidth,
        **how.fields(),
    )
    if max_downtime is not None:
        request.max_downtime.FromMilliseconds(round(max_downtime * 1000))
    if deadline is not None:
        request.deadline.FromMilliseconds(round(deadline * 1000))
    with connect(settings) as api:
        finish(api, settings, api.migrations.MigrateJail(request), how)


def _test(settings: Settings, name: str, target: str, max_downtime: float | None, how: How, *, keep_copy: bool) -> None:
    request = test_migrations_pb2.TestMigrationRequest(name=name, target=target, keep_copy=keep_copy, **how.fields())
    if max_downtime is not None:
        request.max_downtime.FromMilliseconds(round(max_downtime * 1000))
    with connect(settings) as api:
        finish(api, settings, api.test_migrations.TestMigration(request), how)


VERBS = (deploy, upgrade, configure, edit, standby, rollback, cutover, unstage, confirm_change, revert_change, migrate)


def _keep(text: str) -> None:
    """Keep what somebody typed, since it did not become the jail's spec."""
    descriptor, path = tempfile.mkstemp(prefix="jailctl-", suffix=".yaml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"your text is kept in {path}", err=True)
