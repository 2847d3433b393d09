"""Copies of jails: on their own host, as files, and from one host to another."""

from __future__ import annotations

import dataclasses

import click
import grpc

from jaild.cli.client import complete, exports, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.copying import reached, when
from jaild.cli.client.mutation import How, finish, mutation, planning, show_plan
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.model.quantity import size
from jaild.v1 import apps_pb2, bases_pb2, copies_pb2, jails_pb2

_NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)
_PORTABLE = click.option("--portable", is_flag=True, help="Its data as tar, for any ZFS, not as ZFS streams.")
_KEEP = click.option(
    "--keep-identity", is_flag=True, help="It takes the original's place: host name, machine-id and host keys stay."
)
_STOPPED = click.option("--stopped", is_flag=True, help="Make it without starting it.")


@click.command(
    "clone",
    cls=Verb,
    examples=(
        "jail clone cache cache-test --ip 10.0.0.9/24",
        "jail clone cache cache-test --at 2h --no-network --stopped",
        "jail clone cache cache-test --ip 10.0.0.9/24 --plan",
    ),
)
@_NAME
@click.argument("new", type=references.jail)
@when
@reached
@_STOPPED
@mutation(acceptable=True)
@click.pass_obj
def clone(
    settings: Settings,
    *,
    name: str,
    new: str,
    at: copies_pb2.Moment | None,
    reach: copies_pb2.Reach,
    stopped: bool,
    how: How,
) -> None:
    """Make jail NEW of another one's data and configuration, with its own identity, and start it."""
    request = copies_pb2.CloneJailRequest(
        name=name, jail_id=short(new), moment=at, reach=reach, stopped=stopped, **how.fields()
    )
    with connect(settings) as api:
        finish(api, settings, api.copies.CloneJail(request), how)


@click.command("rename", cls=Verb, examples=("jail rename cache cache-old --plan", "jail rename cache cache-old"))
@_NAME
@click.argument("new", type=references.jail)
@mutation()
@click.pass_obj
def rename(settings: Settings, *, name: str, new: str, how: How) -> None:
    """Give a stopped jail another name; it stays the same jail."""
    request = copies_pb2.RenameJailRequest(name=name, jail_id=short(new), **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.copies.RenameJail(request), how)


@click.command(
    "export",
    cls=Verb,
    examples=(
        "jail export cache cache.jaild",
        "jail export cache - --at 2026-11-30T08:00:00Z --with-layers | ssh backup 'cat > cache.jaild'",
        "jail export cache cache.jaild --portable --encrypt-to age1...",
        "jail export cache - --plan",
    ),
)
@_NAME
@click.argument("out", metavar="FILE", type=click.Path(dir_okay=False))
@when
@_PORTABLE
@click.option("--with-layers", is_flag=True, help="Its base and release, too: the other host need not have them.")
@click.option(
    "--encrypt-to",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Encrypt it by age for this public key (age1..., or ssh-ed25519 ...); may be given several times.",
)
@planning
@click.pass_obj
def export(
    settings: Settings,
    *,
    name: str,
    out: str,
    at: copies_pb2.Moment | None,
    portable: bool,
    with_layers: bool,
    keys: tuple[str, ...],
    plan: bool,
) -> None:
    """Write a jail to a file, `-` for stdout, that `jail import` makes a jail of."""
    request = copies_pb2.ExportJailRequest(
        name=name, moment=at, portable=portable, with_layers=with_layers, encrypt_to=keys, validate_only=plan
    )
    with connect(settings) as api:
        if plan:
            for response in api.copies.ExportJail(request):
                show_plan(settings, response.plan)
            return
        written = exports.save(api, request, out)
    click.echo(f"sha256 {written.digest.hexdigest()}, {size(written.size)}", err=out == "-")


@click.command(
    "import",
    cls=Verb,
    examples=(
        "jail import cache cache.jaild --plan",
        "jail import cache-copy cache.jaild --ip 10.0.0.9/24",
        "jail import cache - --keep-identity < cache.jaild",
        "jail import cache /backup/cache.jaild --on-host",
    ),
)
@click.argument("name", type=references.jail)
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False))
@click.option("--on-host", is_flag=True, help="FILE is on the daemon's host.")
@_KEEP
@reached
@_STOPPED
@mutation(acceptable=True)
@click.pass_obj
def import_(
    settings: Settings,
    *,
    name: str,
    path: str,
    on_host: bool,
    keep_identity: bool,
    reach: copies_pb2.Reach,
    stopped: bool,
    how: How,
) -> None:
    """Make jail NAME of an export, `-` for stdin; ask again to go on with one that was broken off."""
    header = copies_pb2.ImportJailHeader(
        jail_id=short(name), reach=reach, keep_identity=keep_identity, stopped=stopped, **how.fields()
    )
    with connect(settings) as api:
        if on_host:
            references.utf8(path)
            header.path = path
            operation = api.copies.ImportJail(iter([copies_pb2.ImportJailRequest(header=header)]))
        else:
            operation = exports.bring(api, path, header)
        finish(api, settings, operation, how)


@click.command(
    "pull",
    cls=Verb,
    examples=(
        "jail pull cache --from production --as cache-debug --no-network --stopped",
        "jail pull cache --from production --at 2h --ip 10.0.0.9/24",
    ),
)
@_NAME
@click.option("--from", "source", required=True, metavar="CONTEXT", help="The context of the host that has it.")
@click.option("--as", "new", type=references.jail, default=None, metavar="NEW", help="Its name here.")
@when
@_PORTABLE
@_KEEP
@reached
@_STOPPED
@mutation(acceptable=True)
@click.pass_obj
def pull(
    settings: Settings,
    *,
    name: str,
    source: str,
    new: str | None,
    at: copies_pb2.Moment | None,
    portable: bool,
    keep_identity: bool,
    reach: copies_pb2.Reach,
    stopped: bool,
    how: How,
) -> None:
    """Make a jail here of one on another host, as it is or was; that one stays as it is."""
    header = copies_pb2.ImportJailHeader(
        jail_id=short(new or name), reach=reach, keep_identity=keep_identity, stopped=stopped, **how.fields()
    )
    there = dataclasses.replace(settings, context=source, address="")
    with connect(there) as origin, connect(settings) as api:
        with_layers = not portable and not _has_layers(origin, name, api)
        request = copies_pb2.ExportJailRequest(name=name, moment=at, portable=portable, with_layers=with_layers)
        finish(api, settings, exports.pass_on(origin, request, api, header), how)


def _has_layers(origin: Api, name: str, api: Api) -> bool:
    """Tell whether the host here has what a jail there runs on."""
    jail = origin.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=READ_SECONDS)
    try:
        api.bases.GetBase(bases_pb2.GetBaseRequest(name=jail.base), timeout=READ_SECONDS)
        if jail.release:
            api.apps.GetRelease(apps_pb2.GetReleaseRequest(name=jail.release), timeout=READ_SECONDS)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False
    return True


VERBS = (clone, rename, export, import_, pull)
