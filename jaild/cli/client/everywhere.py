"""The same question to the daemons of all contexts at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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


def ask_all(
    settings: Settings, question: Callable[[Api], _T]
) -> tuple[list[tuple[str, _T]], list[tuple[str, Failure]]]:
    """Return by context, in their order, what each daemon answered, and why the others did not."""
    names = sorted(contexts.load().known)
    if not names:
        raise click.UsageError("there is no context; `jailctl context add` makes one")

    def ask(name: str) -> _T | Failure:
        own = dataclasses.replace(settings, context=name, address="")
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
