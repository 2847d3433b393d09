"""`jailctl base`: versions of an OS userland."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from jaild.cli.client import complete, references, upload
from jaild.cli.client.bill import bill
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.commands import base_make
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.layers import registry
from jaild.model.quantity import size
from jaild.v1 import bases_pb2


@click.group("base", cls=Noun)
def command() -> None:
    """Import, list and remove bases: versions of an OS userland."""


@command.command(
    "import",
    examples=(
        "base import debian-12 debian-12.tar.zst",
        "base import 14.3-RELEASE base.txz --manifest MANIFEST",
        "base import debian-13 - < debian-13.tar",
        "base import 14.3-RELEASE /usr/obj/release --on-host",
        "base import debian-13 image.tar --image v1",
        "base import debian-12 --from beta",
        "base import debian-13 docker://registry.example.net/base:13 --plan",
    ),
)
@click.argument("name", type=references.base)
@click.argument("path", type=click.Path(), required=False)
@click.option("--sha256", default="", metavar="HEX", help="Expected digest of the archive (default: as read here).")
@click.option(
    "--manifest", type=references.TextFile(), help="MANIFEST of a FreeBSD distribution set to verify against."
)
@click.option("--image", default="", metavar="NAME", help="Image of an OCI layout that holds several.")
@click.option("--on-host", is_flag=True, help="PATH is on the daemon's host: archive, set, OCI layout or tree.")
@click.option(
    "--from", "peer", default="", metavar="PEER", help="Instead of PATH: the base of this name on that host, as it is."
)
@mutation()
@click.pass_obj
def import_(
    settings: Settings,
    *,
    name: str,
    path: str | None,
    sha256: str,
    manifest: IO[str] | None,
    image: str,
    on_host: bool,
    peer: str,
    how: How,
) -> None:
    """Import a base: an archive, `-` for stdin, a registry's image (docker://...); or one of a peer."""
    header = bases_pb2.ImportBaseHeader(base_id=short(name), sha256=sha256, image=image, peer=peer, **how.fields())
    if (path is None) == (not peer):
        raise click.UsageError("give PATH, or --from PEER: where the base comes from")
    if path is None or registry.is_image(path):
        if on_host or manifest is not None or image:
            raise click.UsageError("--from and docker://... take what is there: --sha256 is all that goes with them")
        header.registry_image = path or ""
        with connect(settings) as api:
            finish(api, settings, api.bases.ImportBase(iter([bases_pb2.ImportBaseRequest(header=header)])), how)
        return
    if on_host and (manifest is not None or path == "-"):
        raise click.UsageError("--on-host takes a path on the host, where MANIFEST lies beside the archive")
    if manifest is not None:
        header.manifest = manifest.read()
        header.manifest_entry = _entry(header.manifest, path)
    with connect(settings) as api:
        if on_host:
            references.utf8(path)
            header.path = path
            operation = api.bases.ImportBase(iter([bases_pb2.ImportBaseRequest(header=header)]))
        else:
            with upload.opened(path) as archive:
                operation = upload.sent(archive, api.bases.ImportBase, bases_pb2.ImportBaseRequest, header)
        finish(api, settings, operation, how)


@command.command("ls", examples=("base ls", "base ls --wide"))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List bases."""
    with connect(settings) as api:
        bases = pages(api.bases.ListBases, bases_pb2.ListBasesRequest(), "bases")
    listing.show(settings, look, "bases", bases, _COLUMNS)


@command.command("sbom", examples=("base sbom debian-12 > debian-12.cdx.json",))
@click.argument("name", type=references.base, shell_complete=complete.bases)
@click.pass_obj
def sbom(settings: Settings, *, name: str) -> None:
    """Print a base's software bill of materials, CycloneDX JSON."""
    bill(settings, name)


@command.command("show", examples=("base show debian-12",))
@click.argument("name", type=references.base, shell_complete=complete.bases)
@click.pass_obj
def show(settings: Settings, *, name: str) -> None:
    """Show a base, and which generations use it."""
    with connect(settings) as api:
        base = api.bases.GetBase(bases_pb2.GetBaseRequest(name=name), timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, base)
        return
    render.card(
        (
            ("name", short(base.name)),
            ("family", base.family),
            ("version", base.version),
            ("abi", base.abi),
            ("osreldate", str(base.osreldate or "")),
            ("imported", render.moment(base.import_time)),
            ("files", str(base.files)),
            ("size", size(base.size_bytes)),
            ("on pool", size(base.used_bytes)),
            ("sha256", base.sha256),
            ("image", base.image),
            ("guid", str(base.guid)),
            ("used by", "\n".join(base.used_by)),
            ("notes", "\n".join(base.notes)),
        )
    )


@command.command(
    "publish",
    examples=(
        "base publish debian-12 docker://registry.example.net/base:12 --plan",
        "base publish debian-12 docker://registry.example.net/base:12",
    ),
)
@click.argument("name", type=references.base, shell_complete=complete.bases)
@click.argument("image", metavar="docker://IMAGE:TAG")
@mutation()
@click.pass_obj
def publish(settings: Settings, *, name: str, image: str, how: How) -> None:
    """Push a base to a registry, as an OCI image."""
    with connect(settings) as api:
        operation = api.bases.PublishBase(bases_pb2.PublishBaseRequest(name=name, image=image, **how.fields()))
        finish(api, settings, operation, how)


@command.command("rm", examples=("base rm debian-12 --plan", "base rm debian-12"))
@click.argument("name", type=references.base, shell_complete=complete.bases)
@mutation()
@click.pass_obj
def rm(settings: Settings, *, name: str, how: How) -> None:
    """Remove a base; refused while a generation uses it."""
    with connect(settings) as api:
        operation = api.bases.DeleteBase(bases_pb2.DeleteBaseRequest(name=name, **how.fields()))
        finish(api, settings, operation, how)


@command.command("prune", examples=("base prune --plan", "base prune --older-than 720h"))
@click.option(
    "--older-than",
    type=references.seconds,
    metavar="TIME",
    help="Only what was sealed so long ago (default: 24h).",
)
@mutation()
@click.pass_obj
def prune(settings: Settings, *, older_than: float | None, how: How) -> None:
    """Remove all bases that nothing needs."""
    request = bases_pb2.PruneBasesRequest(**how.fields())
    if older_than is not None:
        request.min_age.FromMilliseconds(round(older_than * 1000))
    with connect(settings) as api:
        finish(api, settings, api.bases.PruneBases(request), how)


for _verb in base_make.VERBS:
    command.add_command(_verb)


def _entry(manifest: str, path: str) -> str:
    """Return the archive's own name if MANIFEST has it; else the daemon looks for base.txz."""
    name = Path(path).name
    return name if any(line.split("\t")[0] == name for line in manifest.splitlines()) else ""


_COLUMNS = (
    Column("NAME", lambda base: short(base.name)),
    Column("ABI", lambda base: base.abi),
    Column("VERSION", lambda base: base.version),
    Column("SIZE", lambda base: size(base.size_bytes)),
    Column("STORED", lambda base: size(base.used_bytes)),
    Column("USERS", lambda base: str(len(base.used_by))),
    Column("AGE", lambda base: render.since(base.import_time)),
)
