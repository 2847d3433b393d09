"""The connection to a daemon: its unix socket, or TCP with mutual TLS and nothing less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from jaild import client
from jaild.cli.client import contexts
from jaild.cli.client.settings import Settings
from jaild.client import READ_SECONDS, Api, pages

__all__ = ["READ_SECONDS", "Api", "connect", "pages"]


@contextmanager
def connect(settings: Settings) -> Iterator[Api]:
    """Yield the API of the daemon that `settings` choose. Nothing is sent before the first call."""
    context = contexts.choose(settings, os.environ)
    settings.endpoint = context.address
    with client.connect(context.address, tls_of(context)) as api:
        yield api


def tls_of(context: contexts.Context) -> client.Tls | None:
    """Return a context's certificates, none for a unix socket. Raises `click.UsageError` if they cannot be read."""
    if context.address.startswith(("/", "unix:")):
        return None
    if not (context.ca and context.cert and context.key):
        raise click.UsageError(
            f"{context.address} is not a unix socket, and TCP needs certificates:"
            " give them with `jailctl context add NAME --address ... --ca ... --cert ... --key ...`"
        )
    return client.Tls(
        ca=_read(context.ca),
        certificate=_read(context.cert),
        key=_read(context.key),
        server_name=context.server_name,
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read the certificate file {path}: {error.strerror}") from error
