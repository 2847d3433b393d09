"""`jailctl app build`: a release built on the daemon's host by a recipe, and what its steps wrote."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click
import grpc

from jaild.cli.client import complete, interrupts, references, upload
from jaild.cli.client.connection import Api, connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.upload import Archive
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import specfile
from jaild.model.layers.recipe import Recipe
from jaild.v1 import builds_pb2


@click.command(
    "build",
    cls=Verb,
    examples=(
        "app build -f recipe.yaml",
        "app build -f recipe.yaml nginx/1.28.0 --from 1.26.2",
        "app build -f recipe.yaml --plan",
    ),
)
@click.argument("release", metavar="[APP/VERSION]", type=references.release, required=False)
@click.option(
    "-f", "--file", "recipe", type=references.TextFile(), required=True, help="The recipe, YAML; `-` for stdin."
)
@click.option("--base", type=references.base, shell_complete=complete.bases, help="Instead of the recipe's.")
@click.option("--from", "origin", metavar="VERSION", help="Earlier release to begin with, instead of the recipe's.")
@click.option("-q", "--quiet", is_flag=True, help="Do not print what the steps write.")
@mutation()
@click.pass_obj
def build(
    settings: Settings,
    *,
    release: str | None,
    recipe: IO[str],
    base: str | None,
    origin: str | None,
    quiet: bool,
    how: How,
) -> None:
    """Build a release by a recipe, in a jail of its own on the daemon's host, and seal it."""
    text = recipe.read()
    parsed = _parsed(text, recipe.name)
    release = release or _named(parsed, recipe.name)
    parent, _, version = release.partition("/releases/")
    header = builds_pb2.BuildReleaseHeader(
        parent=parent,
        release_id=version,
        recipe_yaml=text,
        recipe_source=Path(recipe.name).name,
        base=base or "",
        **how.fields(),
    )
    if origin:
        setattr(header, "from", references.release(origin) if "/" in origin else f"{parent}/releases/{origin}")
    with connect(settings) as api:
        with _files(parsed, Path(recipe.name).parent) as source:
            operation = upload.sent(source, api.builds.BuildRelease, builds_pb2.BuildReleaseRequest, header)
        if how.wait and not (quiet or operation.done) and settings.form is Form.TABLE:
            with suppress(KeyboardInterrupt):  # the wait that follows asks to cancel
                _print(api, operation.name, follow=True)
        finish(api, settings, operation, how)


@click.command("build-log", cls=Verb, examples=("app build-log operations/1a82418837e0401f9224985aa9e5633b -f",))
@click.argument("operation", type=references.operation)
@click.option("-f", "--follow", is_flag=True, help="Go on until the build is done.")
@click.pass_obj
def build_log(settings: Settings, *, operation: str, follow: bool) -> None:
    """Print what a build's steps wrote."""
    with connect(settings) as api:
        _print(api, operation, follow=follow, stream=sys.stdout.buffer)


VERBS = (build, build_log)


def _parsed(text: str, name: str) -> Recipe:
    try:
        return specfile.parse_recipe(text, Path(name).name)
    except InvalidArgumentError as error:
        raise Failure(error.message, Exit.INVALID, reason=error.reason, detail=error.detail, hint=error.hint) from None


def _named(recipe: Recipe, name: str) -> str:
    if not recipe.release:
        raise click.UsageError(f"{name} names no release: add release: APP/VERSION to it, or give it as an argument")
    return references.release(recipe.release)


@contextmanager
def _files(recipe: Recipe, folder: Path) -> Iterator[Archive]:
    """Yield an archive with a folder for each copy step, named by its number; files belong to root in it."""
    with tempfile.TemporaryFile() as packed:
        if recipe.uploads:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for number, step in enumerate(recipe.steps, 1):
                    if step.copy is not None:
                        _add(archive, folder / step.copy.source, str(number))
        size = packed.tell()
        packed.seek(0)
        yield Archive(packed, "files", size)


def _add(archive: tarfile.TarFile, source: Path, to: str) -> None:
    try:
        if not source.is_dir():
            archive.add(source, f"{to}/{source.name}", filter=_as_root)
            return
        for item in sorted(source.iterdir()):
            archive.add(item, f"{to}/{item.name}", filter=_as_root)
    except OSError as error:
        raise click.UsageError(f"cannot read {error.filename or source}: {error.strerror}") from error


def _as_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _print(api: Api, name: str, *, follow: bool, stream: IO[bytes] | None = None) -> None:
    """Write a build's log, to stderr if it is beside the point. One that breaks off breaks nothing else."""
    to = stream or sys.stderr.buffer
    request = builds_pb2.TailBuildRequest(name=name, follow=follow)
    try:
        for part in interrupts.stream(lambda: api.builds.TailBuild(request)):
            to.write(part.data)
            to.flush()
    except grpc.RpcError:
        if stream is not None:
            raise
