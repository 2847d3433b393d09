"""`jailctl base install` and `base patch`: bases made on a FreeBSD host by its own tools."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.v1 import base_making_pb2


@click.command(
    "install",
    cls=Verb,
    examples=("base install 15.0-RELEASE --repository FreeBSD-base --abi FreeBSD:15:amd64",),
)
@click.argument("name", type=references.base)
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
@click.option("--repository", required=True, metavar="NAME", help="One of the daemon's folder `repositories`.")
@click.option("--abi", required=True, metavar="ABI", help="Of the userland, as in FreeBSD:15:amd64.")
@click.option(
    "--osversion", type=click.IntRange(0, references.MOST), default=0, help="__FreeBSD_version of the userland."
)
@mutation()
@click.pass_obj
def install(
    settings: Settings, *, name: str, packages: tuple[str, ...], repository: str, abi: str, osversion: int, how: How
) -> None:
    """Put a base together from packages of FreeBSD's base system and seal it.

    FreeBSD-set-base-jail is installed if no package is named.
    """
    with connect(settings) as api:
        request = base_making_pb2.InstallBaseRequest(
            base_id=short(name),
            repository=repository,
            packages=packages,
            abi=abi,
            osversion=osversion,
            **how.fields(),
        )
        finish(api, settings, api.base_making.InstallBase(request), how)


@click.command("patch", cls=Verb, examples=("base patch 14.3-RELEASE 14.3-RELEASE-p2",))
@click.argument("parent", metavar="BASE", type=references.base, shell_complete=complete.bases)
@click.argument("name", metavar="NEW", type=references.base)
@mutation()
@click.pass_obj
def patch(settings: Settings, *, parent: str, name: str, how: How) -> None:
    """Patch a clone of a sealed base by freebsd-update and seal it as a new one."""
    with connect(settings) as api:
        request = base_making_pb2.PatchBaseRequest(parent=parent, base_id=short(name), **how.fields())
        finish(api, settings, api.base_making.PatchBase(request), how)


VERBS = (install, patch)
