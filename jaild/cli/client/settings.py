"""What one run of jailctl was told about connection and output; options that every command takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import click

from jaild.cli.client import references


class Form(StrEnum):
    """How results are printed on stdout."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass
class Settings:
    """One run's settings: `context` and `address` as given by options, `endpoint` once a connection was chosen.

    `follow`: a jail that is another host's is asked for there, by the context of its name.
    """

    form: Form = Form.TABLE
    context: str = ""
    address: str = ""
    endpoint: str = ""
    follow: bool = False
    feed: str = ""  # of those that the command has besides; then `form` does not count


def _form(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    settings = ctx.ensure_object(Settings)
    if value in {form.value for form in Form}:
        settings.form, settings.feed = Form(value), ""
    elif value is not None:
        settings.feed = value


def _store(field: str, convert: Callable[[Any], Any] = str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        settings = ctx.ensure_object(Settings)  # the root's, if it is there already
        if value is not None:
            references.utf8(value)
            setattr(settings, field, convert(value))

    return callback


def options(feeds: Sequence[str] = ()) -> list[click.Option]:
    """Return the options that stand before or after the verb; `feeds` are further outputs that it alone has."""
    return [
        click.Option(
            ["-o", "--output"],
            type=click.Choice([*(form.value for form in Form), *feeds]),
            expose_value=False,
            callback=_form,
            help="How to print the result (default: table).",
        ),
        click.Option(
            ["--context"],
            metavar="NAME",
            expose_value=False,
            callback=_store("context"),
            help="Named daemon to talk to; also JAILCTL_CONTEXT.",
        ),
        click.Option(
            ["--address"],
            metavar="ADDRESS",
            expose_value=False,
            callback=_store("address"),
            help="unix:///path or host:port; also JAILCTL_ADDRESS.",
        ),
        click.Option(
            ["--follow-owner"],
            is_flag=True,
            default=None,
            expose_value=False,
            callback=_store("follow", bool),
            help="Ask the host that owns the jail, by the context of its name, where this one does not.",
        ),
    ]
