"""`jailctl jail`: the keys of encrypted jails, seen, loaded and forgotten."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.mutation import at_terminal, planning
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render
from jaild.v1 import jails_pb2, keys_pb2

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)
_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


@click.command("load-key", cls=Verb, examples=("jail load-key cache", "jail load-key cache --key-file ./key"))
@NAME
@click.option("--key-file", type=_FILE, metavar="FILE", help="Take the key from here; - is stdin.")
@click.option("--configured", is_flag=True, help="Take it from where the host's own configuration has it.")
@planning
@click.pass_obj
def load_key(settings: Settings, *, name: str, key_file: Path | None, configured: bool, plan: bool) -> None:
    """Load the key of an encrypted jail, so that it can be started or promoted.

    It is asked for at the terminal, or else read from stdin; an empty one is that which the host has by its own
    configuration. It is kept nowhere: the host's ZFS has it until the host goes down, or unload-key.
    """
    if configured and key_file is not None:
        raise click.UsageError("say --configured or --key-file, not both")
    key = b"" if configured else _key(key_file)
    request = keys_pb2.LoadJailKeyRequest(name=name, key=key, validate_only=plan)
    with connect(settings) as api:
        _show(settings, api.keys.LoadJailKey(request, timeout=READ_SECONDS))


def _key(file: Path | None) -> bytes:
    if file is not None and str(file) != "-":
        return file.read_bytes()
    if file is None and at_terminal():
        return str(click.prompt("Key", default="", show_default=False, hide_input=True, err=True)).encode()
    return sys.stdin.buffer.read()


@click.command("unload-key", cls=Verb, examples=("jail unload-key cache", "jail unload-key cache --plan"))
@NAME
@planning
@click.pass_obj
def unload_key(settings: Settings, *, name: str, plan: bool) -> None:
    """Forget the key of a stopped jail: nobody reads its data on this host until it is loaded again."""
    request = keys_pb2.UnloadJailKeyRequest(name=name, validate_only=plan)
    with connect(settings) as api:
        _show(settings, api.keys.UnloadJailKey(request, timeout=READ_SECONDS))


def status_line(api: Api, jail: jails_pb2.Jail) -> str:
    """Return how the key of a jail is; '' for one that is not encrypted."""
    if not jail.spec.HasField("encryption"):
        return ""
    return _told(api.keys.GetJailKeys(keys_pb2.GetJailKeysRequest(name=jail.name), timeout=READ_SECONDS))


def _told(keys: keys_pb2.JailKeys) -> str:
    missing = [each.path for each in keys.datasets if not each.available]
    how = f"unavailable for {', '.join(missing)}" if missing else "available"
    return f"{keys.source} ({keys.keyformat}), {how}"


def _show(settings: Settings, keys: keys_pb2.JailKeys) -> None:
    if settings.form is Form.TABLE:
        render.card((("key", _told(keys)),))
    else:
        render.document(settings.form, keys)


VERBS = (load_key, unload_key)
