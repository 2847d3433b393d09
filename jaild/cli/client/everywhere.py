"""The same question to the daemons of all contexts at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import click
import grpc

from jaild.cli.client import contexts
from jaild.cli.client.connection import Api, connect
from jaild.cli.client.settings import Settings
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc

_T = TypeVar("_T")
_AT_ONCE = 16


def named(settings: Settings, *, everywhere: bool) -> list[str]:
    """Return the contexts that are meant: all of them, or those of `--context alpha,beta`; [''] for the one in use."""
    if not everywhere:
        return [name.strip() for name in settings.context.split(",") if name.strip()] or [""]
    names = sorted(contexts.load().known)
    if not names:
        raise click.UsageError("there is no context; `jailctl context add` makes one")
    return names


def within(settings: Settings, name: str) -> Settings:
    """Return the settings for one of `named`."""
    return dataclasses.replace(settings, context=name, address="") if name else settings


def ask_all(
    settings: Settings, question: Callable[[Api], _T], names: Sequence[str] | None = None
) -> tuple[list[tuple[str, _T]], list[tuple[str, Failure]]]:
    """Return by context, in their order, what each daemon answered, and why the others did not; of all if not named."""
    names = named(settings, everywhere=True) if names is None else names

    def ask(name: str) -> _T | Failure:
        own = within(settings, name)
        try:
            with connect(own) as api:
                return question(api)
        except grpc.RpcError as error:
            return from_rpc(error, own.endpoint)
        except click.UsageError as error:  # its certificates cannot be read
            return Failure(error.message, Exit.USAGE)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(zip(names, pool.map(ask, names), strict=True))
    answers = [(name, answer) for name, answer in found if not isinstance(answer, Failure)]
    return answers, [(name, answer) for name, answer in found if isinstance(answer, Failure)]
