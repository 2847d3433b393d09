"""Lists: a line for each thing, in columns that are always there, for people at any width and for awk.

The columns that are shown unasked fit a terminal of 80 with names as one meets them; what is wider needs --wide.
"""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from jaild.cli.client import watching
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render

_Function = TypeVar("_Function", bound=Callable[..., Any])
SHORTEST = 8  # characters of an id


@dataclass(frozen=True)
class Column:
    """A column: its head, and what it shows of a thing; '' for nothing. `wide`: with --wide, or where it is named.

    `is_id`: what it shows is an id, of which the first characters do where no other in the list begins so.
    `prose`: sentences, of which a terminal shows what fits on the line; the last column only.
    """

    name: str
    cell: Callable[[Any], str]
    wide: bool = False
    is_id: bool = False
    prose: bool = False


@dataclass(frozen=True)
class Look:
    """How a list is to be printed."""

    columns: tuple[str, ...] = ()
    wide: bool = False
    headers: bool = True


def listed(function: _Function) -> _Function:
    """Add the options of a list, and hand them over as the argument `look`."""

    @functools.wraps(function)
    def collected(*args: Any, columns: str, wide: bool, headers: bool, watch: bool, **kwargs: Any) -> Any:
        named = tuple(name.strip().upper() for name in columns.split(",") if name.strip())
        once = functools.partial(function, *args, look=Look(columns=named, wide=wide, headers=headers), **kwargs)
        if not watch:
            return once()
        settings = click.get_current_context().ensure_object(Settings)
        return watching.repeat(settings, once, everywhere=bool(kwargs.get("everywhere")))

    wrapped: Any = collected
    for option in (
        click.option("--watch", is_flag=True, help="Go on: show it again when something happens, until Ctrl-C."),
        click.option("--no-headers", "headers", flag_value=False, default=True, help="Without the first line."),
        click.option("-w", "--wide", is_flag=True, help="With further columns, and ids in whole."),
        click.option("--columns", default="", metavar="NAME,...", help="These columns, in this order."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def show(settings: Settings, look: Look, key: str, found: Sequence[Any], columns: Sequence[Column]) -> None:
    """Print a list: for programs the messages in a field called `key`, else the columns that were asked for."""
    if settings.form is not Form.TABLE:
        render.document(settings.form, {key: [render.as_dict(each) for each in found]})
        return
    table(look, found, columns)


def table(look: Look, found: Sequence[Any], columns: Sequence[Column]) -> None:
    """Print the columns that were asked for. `click.BadParameter` for one that there is not."""
    chosen = _chosen(look, columns)
    cells = [[column.cell(each) for each in found] for column in chosen]
    for column, cell in zip(chosen, cells, strict=True):
        if column.is_id and not look.wide:
            cell[:] = shortened(cell)
    rows = [tuple(cell[number] for cell in cells) for number in range(len(found))]
    fits = chosen and chosen[-1].prose and not (look.wide or look.columns) and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if fits else 0
    render.table([column.name for column in chosen] if look.headers else (), rows, width=width)


def shortened(ids: Sequence[str]) -> list[str]:
    """Return the shortest beginnings of one length, eight characters at least, that tell ids apart."""
    length = SHORTEST
    while len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return [each[:length] for each in ids]


def _chosen(look: Look, columns: Sequence[Column]) -> list[Column]:
    if not look.columns:
        return [column for column in columns if look.wide or not column.wide]
    by_name = {column.name: column for column in columns}
    unknown = [name for name in look.columns if name not in by_name]
    if unknown:
        there = ",".join(by_name).lower()
        raise click.BadParameter(
            f"no column is called {unknown[0].lower()!r}; there are {there}", param_hint="--columns"
        )
    return [by_name[name] for name in look.columns]
