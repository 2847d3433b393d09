"""`jailctl jail`: snapshots of jails, and what they are for: to be restored from."""

from __future__ import annotations

import re
from typing import Any

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.copying import reached
from jaild.cli.client.mutation import How, ask_first, finish, mutation
from jaild.cli.client.noun import Noun, Verb
from jaild.cli.client.settings import Settings
from jaild.cli.commands import backup
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import size
from jaild.v1 import copies_pb2, snapshots_pb2

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)
_NO_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # how a time in ISO 8601 begins


@click.command("snapshots", cls=Verb, examples=("jail snapshots cache", "jail snapshots cache -o json"))
@NAME
@listed
@click.pass_obj
def snapshots(settings: Settings, *, name: str, look: Look) -> None:
    """List a jail's snapshots, oldest first: of its schedule, by hand, of other tools."""
    request = snapshots_pb2.ListJailSnapshotsRequest(parent=name)
    with connect(settings) as api:
        found = list(api.snapshots.ListJailSnapshots(request, timeout=READ_SECONDS).snapshots)
    listing.show(settings, look, "snapshots", found, _COLUMNS)


class _Taking(Noun):
    """`jail snapshot JAIL` takes one: what is no verb is the jail's name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb, `take` where there is none."""
        return super().resolve_command(ctx, args if self.get_command(ctx, args[0]) else ["take", *args])


@click.group("snapshot", cls=_Taking)
def snapshot() -> None:
    """Take a snapshot of a jail (jail snapshot JAIL), or remove one (jail snapshot rm JAIL SNAPSHOT)."""


@snapshot.command("take", examples=("jail snapshot take cache", "jail snapshot take cache --name before-import"))
@NAME
@click.option("--name", "tag", default="", metavar="NAME", help="Its name; one with the time if it is not said.")
@mutation()
@click.pass_obj
def take(settings: Settings, *, name: str, tag: str, how: How) -> None:
    """Snapshot all data of a jail at once. It stays until it is removed."""
    request = snapshots_pb2.TakeJailSnapshotRequest(parent=name, snapshot_id=tag, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.snapshots.TakeJailSnapshot(request), how)


@snapshot.command("rm", examples=("jail snapshot rm cache before-import --plan",))
@NAME
@click.argument("tag", metavar="SNAPSHOT", shell_complete=complete.snapshots)
@click.option("-y", "--yes", is_flag=True, help="Do not ask, as on a terminal is done.")
@mutation()
@click.pass_obj
def rm(settings: Settings, *, name: str, tag: str, yes: bool, how: How) -> None:
    """Remove a snapshot that jaild made. On a terminal it asks first."""
    whole = f"{name}/snapshots/{tag}"
    with connect(settings) as api:
        if not (yes or how.plan):
            only_plan = snapshots_pb2.DeleteJailSnapshotRequest(name=whole, validate_only=True)
            ask_first(lambda: api.snapshots.DeleteJailSnapshot(only_plan), tag)
        request = snapshots_pb2.DeleteJailSnapshotRequest(name=whole, **how.fields())
        finish(api, settings, api.snapshots.DeleteJailSnapshot(request), how)


@click.command(
    "restore",
    cls=Verb,
    examples=(
        "jail restore cache --at 2h --plan",
        "jail restore cache --at auto-20261130T181500Z",
        "jail restore cache --at 2026-11-30T18:15:00Z --path /var/db/redis",
        "jail restore cache --at 2h --into cache-2 --ip 10.0.0.8/24",
        "jail restore cache --from vault",
    ),
)
@NAME
@click.option(
    "--at",
    default="",
    metavar="TIME|SNAPSHOT",
    shell_complete=complete.snapshots,
    help="2h for so long ago, a time in ISO 8601, or a snapshot's name; @NAME for one that looks like a time.",
)
@click.option("--path", default="", metavar="PATH", help="In the jail: only this is brought back, and it runs on.")
@click.option("--into", default="", metavar="NAME", help="Make another jail of it, stopped; this one stays as it is.")
@click.option(
    "--from", "target", default="", metavar="TARGET", help="Make the jail again of a backup; the newest without --at."
)
@reached
@mutation()
@click.pass_obj
def restore(
    settings: Settings, *, name: str, at: str, path: str, into: str, target: str, reach: copies_pb2.Reach, how: How
) -> None:
    """Bring a jail's data back as it was.

    What is there is snapshotted before, so that this can be undone. All of its data: the jail is stopped for it, and
    started if it ran.
    """
    if path and (into or target):
        raise click.UsageError("--path is for the jail itself: neither --into nor --from goes with it")
    if reach != copies_pb2.Reach() and (target or not into):
        raise click.UsageError("how it is reached is said of another jail of this host: --at and --into")
    if target:
        backup.restored(settings, target, name, at, into, how)
        return
    if not at:
        raise click.UsageError("say from when, or from which snapshot: --at")
    if into:
        request = copies_pb2.CloneJailRequest(name=name, jail_id=into, reach=reach, stopped=True, **how.fields())
        _cloned(settings, request, at, how)
        return
    wanted = snapshots_pb2.RestoreJailRequest(name=name, path=path, **how.fields(), **_point(at))
    if not wanted.HasField("snapshot"):
        wanted.time.FromMilliseconds(round(references.moment(at) * 1000))
    with connect(settings) as api:
        finish(api, settings, api.snapshots.RestoreJail(wanted), how)


def _cloned(settings: Settings, request: copies_pb2.CloneJailRequest, at: str, how: How) -> None:
    if found := _point(at):
        request.moment.snapshot = found["snapshot"]
    else:
        request.moment.time.FromMilliseconds(round(references.moment(at) * 1000))
    with connect(settings) as api:
        finish(api, settings, api.copies.CloneJail(request), how)


def _point(at: str) -> dict[str, Any]:
    """Return a snapshot's name as a field of the request; none if `at` is a time."""
    if at.startswith("@"):
        return {"snapshot": at.removeprefix("@")}
    if _NO_NAME.match(at):  # whatever is wrong with it: it was meant as a time
        return {}
    try:
        references.moment(at)
    except click.BadParameter:
        return {"snapshot": at}
    return {}


VERBS = (snapshots, snapshot, restore)


def status_line(jail: Any) -> str:
    """Return how a jail's schedule is, for people; '' for none."""
    if not jail.HasField("snapshots"):
        return ""
    status, every = jail.snapshots, jail.spec.snapshots.every
    age = render.since(status.newest_time)
    told = f"every {every}, {status.count} kept, the newest {age} old" if age else f"every {every}, none yet"
    return f"{told}; FAILING: {status.message}" if status.HasField("failing_since") else told


_COLUMNS = (
    Column("SNAPSHOT", lambda each: each.name.rpartition("/")[2]),
    Column("WHEN", lambda each: render.local(each.create_time)),
    Column("USED", lambda each: size(each.used_bytes)),
    Column("FILES", lambda each: size(each.referenced_bytes), wide=True),
    Column("FOR", lambda each: each.purpose or "others'"),
    Column("BY", lambda each: each.actor),
    Column("HOLDS", lambda each: str(each.holds or ""), wide=True),
    Column("PARTS", lambda each: ",".join(each.parts), wide=True),
)
