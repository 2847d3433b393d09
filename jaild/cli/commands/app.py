"""`jailctl app`: applications and their releases."""

from __future__ import annotations

from typing import IO

import click

from jaild.cli.client import complete, references, upload
from jaild.cli.client.bill import bill
from jaild.cli.client.connection import READ_SECONDS, connect, pages
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.commands import app_build
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.model.layers import registry
from jaild.model.quantity import size
from jaild.v1 import apps_pb2


@click.group("app", cls=Noun)
def command() -> None:
    """Push, list and remove releases of applications."""


@command.command(
    "push",
    examples=(
        "app push redis/7.0 redis-7.0.tar.zst --manifest redis.yaml",
        "app push redis/7.2 redis-7.2.tar.zst --manifest redis.yaml --from 7.0",
        "app push redis/7.2 docker://registry.example.net/team/redis:7.2 --plan",
    ),
)
@click.argument("release", metavar="APP/VERSION", type=references.release)
@click.argument("archive", type=click.Path())
@click.option(
    "--manifest",
    type=references.TextFile(),
    help="YAML: mount point, command, accounts, folders. Required but for an image that brings its own.",
)
@click.option("--from", "origin", metavar="VERSION", help="Earlier release of the app to share unchanged files with.")
@click.option("--sha256", default="", metavar="HEX", help="Expected digest of the archive (default: as read here).")
@mutation()
@click.pass_obj
def push(
    settings: Settings,
    *,
    release: str,
    archive: str,
    manifest: IO[str] | None,
    origin: str | None,
    sha256: str,
    how: How,
) -> None:
    """Push a release, an archive, `-` for stdin, or a registry's image (docker://...), and seal it."""
    parent, _, version = release.partition("/releases/")
    header = apps_pb2.PushReleaseHeader(parent=parent, release_id=version, sha256=sha256, **how.fields())
    if manifest is not None:
        header.manifest_yaml = manifest.read()
    elif not registry.is_image(archive):
        raise click.UsageError("--manifest is missing: what mount point, command and accounts the release has")
    if origin:
        setattr(header, "from", _origin(parent, origin))
    with connect(settings) as api:
        if registry.is_image(archive):
            header.registry_image = archive
            operation = api.apps.PushRelease(iter([apps_pb2.PushReleaseRequest(header=header)]))
        else:
            with upload.opened(archive) as source:
                operation = upload.sent(source, api.apps.PushRelease, apps_pb2.PushReleaseRequest, header)
        finish(api, settings, operation, how)


@command.command("ls", examples=("app ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List applications."""
    with connect(settings) as api:
        apps = pages(api.apps.ListApps, apps_pb2.ListAppsRequest(), "apps")
    listing.show(settings, look, "apps", apps, _APPS)


@command.command("releases", examples=("app releases redis", "app releases"))
@click.argument("app", type=references.app, required=False, default="-", shell_complete=complete.apps)
@listed
@click.pass_obj
def releases(settings: Settings, *, app: str, look: Look) -> None:
    """List an application's releases, or those of all."""
    with connect(settings) as api:
        found = pages(api.apps.ListReleases, apps_pb2.ListReleasesRequest(parent=app), "releases")
    listing.show(settings, look, "releases", found, _RELEASES)


@command.command("show", examples=("app show redis/7.2", "app show redis/7.2 -o yaml"))
@click.argument("release", metavar="APP/VERSION", type=references.release, shell_complete=complete.releases)
@click.pass_obj
def show(settings: Settings, *, release: str) -> None:
    """Show a release: its manifest, what it takes, who uses it."""
    with connect(settings) as api:
        found = api.apps.GetRelease(apps_pb2.GetReleaseRequest(name=release), timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, found)
        return
    render.card(
        (
            ("name", short(found.name)),
            ("from", short(getattr(found, "from"))),
            ("pushed", render.moment(found.push_time)),
            ("files", str(found.files)),
            ("size", size(found.size_bytes)),
            ("added", size(found.added_bytes)),
            ("on pool", size(found.used_bytes)),
            ("sha256", found.sha256),
            ("image", found.image),
            ("guid", str(found.guid)),
            ("built on", short(found.built.base)),
            ("osversion", str(found.built.osversion or "")),
            ("packages", "\n".join(found.built.packages)),
            ("used by", "\n".join(found.used_by)),
            ("manifest", render.plain(found.manifest)),
        )
    )


@command.command("sbom", examples=("app sbom redis/7.0 > redis.cdx.json",))
@click.argument("release", metavar="APP/VERSION", type=references.release, shell_complete=complete.releases)
@click.pass_obj
def sbom(settings: Settings, *, release: str) -> None:
    """Print a release's software bill of materials, CycloneDX JSON."""
    bill(settings, release)


@command.command("publish", examples=("app publish redis/7.2 docker://registry.example.net/team/redis:7.2",))
@click.argument("release", metavar="APP/VERSION", type=references.release, shell_complete=complete.releases)
@click.argument("image", metavar="docker://IMAGE:TAG")
@mutation()
@click.pass_obj
def publish(settings: Settings, *, release: str, image: str, how: How) -> None:
    """Push a release to a registry, as an OCI image with its manifest in it."""
    with connect(settings) as api:
        operation = api.apps.PublishRelease(apps_pb2.PublishReleaseRequest(name=release, image=image, **how.fields()))
        finish(api, settings, operation, how)


@command.command("rm", examples=("app rm redis/7.0 --plan", "app rm redis/7.0"))
@click.argument("release", metavar="APP/VERSION", type=references.release, shell_complete=complete.releases)
@mutation()
@click.pass_obj
def rm(settings: Settings, *, release: str, how: How) -> None:
    """Remove a release; refused while a generation uses it."""
    with connect(settings) as api:
        operation = api.apps.DeleteRelease(apps_pb2.DeleteReleaseRequest(name=release, **how.fields()))
        finish(api, settings, operation, how)


@command.command("prune", examples=("app prune --plan", "app prune redis --older-than 720h"))
@click.argument("app", type=references.app, required=False, default="-", shell_complete=complete.apps)
@click.option(
    "--older-than",
    type=references.seconds,
    metavar="TIME",
    help="Only what was sealed so long ago (default: 24h).",
)
@mutation()
@click.pass_obj
def prune(settings: Settings, *, app: str, older_than: float | None, how: How) -> None:
    """Remove all releases that nothing needs, of an application or of all that are yours."""
    request = apps_pb2.PruneReleasesRequest(parent=app, **how.fields())
    if older_than is not None:
        request.min_age.FromMilliseconds(round(older_than * 1000))
    with connect(settings) as api:
        finish(api, settings, api.apps.PruneReleases(request), how)


for _verb in app_build.VERBS:
    command.add_command(_verb)


def _origin(parent: str, text: str) -> str:
    """Return the full name of the release in `--from`, which may be a bare version of the same app."""
    return references.release(text) if "/" in text else f"{parent}/releases/{text}"


_APPS = (
    Column("NAME", lambda app: short(app.name)),
    Column("RELEASES", lambda app: str(app.release_count)),
    Column("LATEST", lambda app: short(app.latest_release)),
)


_RELEASES = (
    Column("NAME", lambda release: short(release.name)),
    Column("FROM", lambda release: short(getattr(release, "from"))),
    Column("SIZE", lambda release: size(release.size_bytes)),
    Column("ADDED", lambda release: size(release.added_bytes)),
    Column("STORED", lambda release: size(release.used_bytes)),
    Column("USERS", lambda release: str(len(release.used_by))),
    Column("AGE", lambda release: render.since(release.push_time)),
)
