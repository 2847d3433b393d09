"""Jails that a command is about, by their labels or by a filter; the daemon decides which ones these are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import Api, pages
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.model import filters
from jaild.model.errors import InvalidArgumentError
from jaild.v1 import jails_pb2

_JAIL = jails_pb2.Jail
# Of a jail that is in one of these states, what is here is no more than a copy of another host's.
ELSEWHERE = frozenset(
    {_JAIL.STATE_MOVED, _JAIL.STATE_STANDBY, _JAIL.STATE_FENCED, _JAIL.STATE_INCOMING, _JAIL.STATE_PREPARED}
)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def filtered(function: _Function) -> _Function:
    """Add --selector and --filter, and hand them over as one filter, the argument `wanted`; '' for all jails."""

    @functools.wraps(function)
    def collected(*args: Any, selectors: Sequence[str], filter_: str, **kwargs: Any) -> Any:
        parts = [_label(part.strip()) for selector in selectors for part in selector.split(",") if part.strip()]
        return function(*args, wanted=narrowed(filter_, *parts), **kwargs)

    wrapped: Any = click.option(
        "--filter", "filter_", default="", metavar="FILTER", help="Only these: 'state = failed AND base = debian-12'."
    )(collected)
    return click.option(  # type: ignore[no-any-return]
        "-l", "--selector", "selectors", multiple=True, metavar="KEY=VALUE,...", help="Only with these labels; or KEY."
    )(wrapped)


def chosen(function: _Function) -> _Function:
    """Add names, --selector and --filter, of which some must be given, and hand them over as `names` and `wanted`."""

    @functools.wraps(function)
    def collected(*args: Any, names: tuple[str, ...], wanted: str, **kwargs: Any) -> Any:
        if not (names or wanted):
            raise click.UsageError("name the jails, or choose them with --selector or --filter")
        if names and wanted:
            raise click.UsageError("either name the jails, or choose them with --selector or --filter")
        return function(*args, names=tuple(dict.fromkeys(names)), wanted=wanted, **kwargs)

    wrapped: Any = click.argument(
        "names", metavar="[NAME]...", nargs=-1, type=references.jail, shell_complete=complete.jails
    )(filtered(collected))
    return wrapped  # type: ignore[no-any-return]


def narrowed(filter_: str, *parts: str) -> str:
    """Return a filter that asks for what somebody typed and for `parts`, too.

    `Failure` for one that cannot be read: the daemon's answer would be about more than what was typed.
    """
    if not parts:
        return filter_
    try:
        filters.parse(filter_, None)
    except InvalidArgumentError as error:
        raise Failure(error.message, Exit.INVALID, reason=error.reason, hint=error.hint) from error
    return " AND ".join([*parts, f"({filter_})"] if filter_.strip() else parts)


def named(api: Api, names: tuple[str, ...], wanted: str) -> list[str]:
    """Return the full names of the jails that were named, or that the filter lets through."""
    if names:
        return list(names)
    return [jail.name for jail in pages(api.jails.ListJails, jails_pb2.ListJailsRequest(filter=wanted), "jails")]


def _label(part: str) -> str:
    key, sign, value = part.partition("=")
    if key.endswith("!"):
        return f"labels.{key[:-1]} != {_quoted(value)}"
    return f"labels.{key} = {_quoted(value)}" if sign else f"labels.{key} : *"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
