"""`jailctl template`: specs with variables, which jails can be made of."""

from __future__ import annotations

import click

from jaild.cli.client import complete
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.noun import Noun
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.v1 import templates_pb2


@click.group("template", cls=Noun)
def command() -> None:
    """List and show the templates that jails can be made of."""


@command.command("ls", examples=("template ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List templates, with what must be given for each."""
    with connect(settings) as api:
        answer = api.templates.ListTemplates(templates_pb2.ListTemplatesRequest(), timeout=READ_SECONDS)
    listing.show(settings, look, "templates", answer.templates, _COLUMNS)


@command.command("show", examples=("template show redis", "template show redis > cache.yaml"))
@click.argument("name", shell_complete=complete.templates)
@click.pass_obj
def show(settings: Settings, *, name: str) -> None:
    """Print a template as it is written, with its comments."""
    request = templates_pb2.GetTemplateRequest(name=f"templates/{name.removeprefix('templates/')}")
    with connect(settings) as api:
        found = api.templates.GetTemplate(request, timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, found)
        return
    click.echo(found.yaml, nl=not found.yaml.endswith("\n"))


_COLUMNS = (
    Column("NAME", lambda template: short(template.name)),
    Column("VARIABLES", lambda template: ",".join(template.variables)),
    Column("DESCRIPTION", lambda template: template.description, prose=True),
)
