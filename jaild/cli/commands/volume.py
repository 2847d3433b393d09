"""`jailctl volume`: volumes of jails, also those that no spec names any more."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.mutation import How, ask_first, finish, mutation
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.selection import filtered, named
from jaild.cli.client.settings import Settings
from jaild.cli.output import listing
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.quantity import size
from jaild.v1 import volumes_pb2


@click.group("volume", cls=Noun)
def command() -> None:
    """List volumes of jails, and remove those that no spec names any more."""


@command.command("ls", examples=("volume ls", "volume ls cache"))
@click.argument("name", type=references.jail, shell_complete=complete.jails, required=False)
@filtered
@listed
@click.pass_obj
def ls(settings: Settings, *, name: str | None, wanted: str, look: Look) -> None:
    """List the volumes of a jail, or of all: where each is mounted, and what it takes."""
    if name and wanted:
        raise click.UsageError("either name the jail, or choose jails with --selector or --filter")
    request = volumes_pb2.ListVolumesRequest(parent=name or "jails/-")
    with connect(settings) as api:
        found = list(api.volumes.ListVolumes(request, timeout=READ_SECONDS).volumes)
        if wanted:
            jails = set(named(api, (), wanted))
            found = [volume for volume in found if volume.name.partition("/volumes/")[0] in jails]
    listing.show(settings, look, "volumes", found, _COLUMNS)


@command.command("rm", examples=("volume rm cache old --plan", "volume rm cache old --yes"))
@click.argument("name", type=references.jail, shell_complete=complete.jails)
@click.argument("volume", shell_complete=complete.volumes)
@click.option("-y", "--yes", is_flag=True, help="Do not ask, as on a terminal is done.")
@mutation()
@click.pass_obj
def rm(settings: Settings, *, name: str, volume: str, yes: bool, how: How) -> None:
    """Remove a volume with all its data; refused while a spec names it. On a terminal it asks first."""
    whole = f"{name}/volumes/{volume}"
    with connect(settings) as api:
        if not (yes or how.plan):
            only_plan = volumes_pb2.DeleteVolumeRequest(name=whole, validate_only=True)
            ask_first(lambda: api.volumes.DeleteVolume(only_plan), volume)
        request = volumes_pb2.DeleteVolumeRequest(name=whole, **how.fields())
        finish(api, settings, api.volumes.DeleteVolume(request), how)


def _state(volume: volumes_pb2.JailVolume) -> str:
    if volume.removing:
        return "being removed"
    return "mounted" if volume.path else "kept"


_COLUMNS = (
    Column("JAIL", lambda volume: short(volume.name).partition("/")[0]),
    Column("VOLUME", lambda volume: volume.name.rpartition("/")[2]),
    Column("PATH", lambda volume: volume.path),
    Column("STATE", _state),
    Column("FILES", lambda volume: size(volume.referenced_bytes)),
    Column("USED", lambda volume: size(volume.used_bytes)),
    Column("QUOTA", lambda volume: size(volume.quota_bytes) if volume.quota_bytes else ""),
    Column("GENERATIONS", lambda volume: ",".join(map(str, volume.generations)), wide=True),
)
