"""The bill of materials of a layer, as it is: for a file or a program."""

from __future__ import annotations

import json

import click

from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render
from jaild.v1 import contents_pb2


def bill(settings: Settings, name: str) -> None:
    """Print it: CycloneDX JSON in any form but YAML."""
    with connect(settings) as api:
        found = api.contents.GetSbom(contents_pb2.GetSbomRequest(name=name), timeout=READ_SECONDS)
    if settings.form is Form.YAML:
        render.document(settings.form, json.loads(found.document))
        return
    click.echo(found.document)
