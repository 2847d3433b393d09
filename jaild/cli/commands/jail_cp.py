"""`jailctl jail cp`: files between this machine and a jail."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path, PurePosixPath

import click

from jaild.cli.client import jailfiles
from jaild.cli.client.connection import connect
from jaild.cli.client.jailfiles import STREAM, End, Tally
from jaild.cli.client.mutation import planning, tell_plan
from jaild.cli.client.noun import Verb
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import progress, render
from jaild.cli.output.human import printable
from jaild.model.quantity import count, size
from jaild.v1 import files_pb2

_MOST = 2**32 - 2  # of user and group ids: -1 means none


def _owner(text: str) -> tuple[int, int]:
    user, _, group = text.partition(":")
    numbers = [int(part) for part in (user, group or user) if part.isascii() and part.isdecimal()]
    if len(numbers) != 2 or max(numbers) > _MOST:  # noqa: PLR2004 -- a user and a group
        raise click.BadParameter(f"{text!r} is no owner: write UID:GID, numbers of the jail's own accounts")
    return numbers[0], numbers[1]


@click.command(
    "cp",
    cls=Verb,
    examples=(
        "jail cp dump.rdb cache:/var/db/redis/",
        "jail cp cache:/var/db/redis ./redis",
        "jail cp -a site/. web:/var/www",
        "jail cp web:/etc/os-release -",
        "jail cp - db:/root/main.sql < main.sql",
    ),
)
@click.argument("source", type=jailfiles.end)
@click.argument("destination", type=jailfiles.end)
@click.option("-a", "--archive", is_flag=True, help="Keep owners, setuid, setgid and sticky bits, too.")
@click.option(
    "--owner", type=_owner, metavar="UID:GID", help="Into a jail: whose it will be (default: the folder's it goes to)."
)
@planning
@click.pass_obj
def cp(
    settings: Settings, *, source: End, destination: End, archive: bool, owner: tuple[int, int] | None, plan: bool
) -> None:
    """Copy a file or a folder into a jail, or out of one: the jail's end is JAIL:/PATH.

    `-` is stdin or stdout. Into a folder that is there it goes under its own name, as by cp -R; FOLDER/. is what is in
    a folder. Modes, times, holes and links are kept; links are never followed but for SOURCE itself. A jail may run or
    not. Only its data (/var, /root, /home) and its volumes are written to.
    """
    if bool(source.jail) is bool(destination.jail):
        raise click.UsageError("one end is in a jail, JAIL:/PATH, and the other is not")
    if owner is not None and (archive or source.jail):
        raise click.UsageError("--owner is for what goes into a jail, and without -a")
    if source.jail:
        _out(settings, source, destination, archive=archive, plan=plan)
        return
    start = files_pb2.WriteFilesStart(
        name=destination.jail, path=destination.path, base_name=_name(source.path), preserve=archive, validate_only=plan
    )
    if owner is not None:
        start.owner.uid, start.owner.gid = owner
    records = jailfiles.piped(sys.stdin.buffer) if source.path == STREAM else jailfiles.read(source.path)
    if source.path != STREAM and not Path(source.path).exists():
        raise click.UsageError(f"{source.path} is not there")
    with connect(settings) as api, progress.shown() as view:
        written = jailfiles.sent(api, start, records, Tally(view))
    place = f"{short(destination.jail)}:{written.path}"
    if plan:
        tell_plan(settings, "copy", destination.jail, f"write {printable(source.path)} to {printable(place)}")
    elif settings.form is not Form.TABLE:
        render.document(settings.form, written)
    else:
        _tell(place, written.entries, written.bytes)


VERBS = (cp,)


def _out(settings: Settings, source: End, target: End, *, archive: bool, plan: bool) -> None:
    folder, name = (Path(), b"") if target.path == STREAM else _destination(source.path, target.path)
    if plan:
        with (
            connect(settings) as api,
            progress.shown() as view,
            closing(jailfiles.received(api, source, Tally(view))) as parts,
        ):
            next(parts, None)  # it is refused, or there
        where = target.path if target.path == STREAM else str(folder / name.decode("utf-8", "surrogateescape"))
        tell_plan(settings, "copy", source.jail, f"write {printable(source.path)} to {printable(where)}")
        return
    with connect(settings) as api, progress.shown() as view:
        tally = Tally(view)
        parts = jailfiles.received(api, source, tally)
        if target.path == STREAM:
            jailfiles.write_out(parts, sys.stdout.buffer, source.path)
            return
        jailfiles.write(parts, folder, name, preserve=archive)
    place = str(folder / name.decode("utf-8", "surrogateescape"))
    if settings.form is not Form.TABLE:
        render.document(settings.form, {"path": place, "entries": tally.entries, "bytes": tally.bytes})
    else:
        _tell(place, tally.entries, tally.bytes)


def _destination(source: str, target: str) -> tuple[Path, bytes]:
    """Return the folder here that is written into, and the name there; '' for the folder itself."""
    place, name = Path(target), _name(source)
    if place.is_dir():
        return place.resolve(), name
    if not name or target.endswith("/") or not place.parent.is_dir():
        raise click.UsageError(f"{target if not name or target.endswith('/') else place.parent} is no folder")
    return place.parent.resolve(), place.name.encode("utf-8", "surrogateescape")


def _name(path: str) -> bytes:
    """Return the last name of a path; '' where what is in a folder is meant, and for a pipe."""
    if path == STREAM or path in {".", "/"} or path.endswith("/."):
        return b""
    name = PurePosixPath(path).name
    if name == "..":
        raise click.UsageError(f"{path} has no name: write {path}/. for what is in it")
    return name.encode("utf-8", "surrogateescape")


def _tell(place: str, entries: int, copied: int) -> None:
    click.echo(printable(f"{place}: {count(entries, 'entry', 'entries')}, {size(copied)}"))
