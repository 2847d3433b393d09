"""Ids as lists show them, by their first characters, made whole by asking the daemon which ones begin so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click
from google.longrunning import operations_pb2

from jaild.cli.client.connection import Api, connect, pages
from jaild.cli.client.settings import Settings
from jaild.v1 import evacuations_pb2, migrations_pb2, rollouts_pb2

_BEGINNING = re.compile(r"(operations|migrations|evacuations|rollouts)/[0-9a-f]{4,31}")

_LISTS: dict[str, Callable[[Api], list[Any]]] = {
    "operations": lambda api: pages(
        api.operations.ListOperations, operations_pb2.ListOperationsRequest(name="operations"), "operations"
    ),
    "migrations": lambda api: pages(
        api.migrations.ListMigrations, migrations_pb2.ListMigrationsRequest(), "migrations"
    ),
    "evacuations": lambda api: pages(
        api.evacuations.ListEvacuations, evacuations_pb2.ListEvacuationsRequest(), "evacuations"
    ),
    "rollouts": lambda api: pages(api.rollouts.ListRollouts, rollouts_pb2.ListRolloutsRequest(), "rollouts"),
}


def whole(settings: Settings, name: str) -> str:
    """Return the full name of what `name` is the beginning of; as it is where nothing begins so, or it is no such name.

    `click.BadParameter` where more than one begins so.
    """
    match = _BEGINNING.fullmatch(name)
    if match is None:
        return name
    with connect(settings) as api:
        found = [each.name for each in _LISTS[match[1]](api) if each.name.startswith(name)]
    if len(found) > 1:
        raise click.BadParameter(f"{len(found)} of the {match[1]} begin with {name.partition('/')[2]}: type more of it")
    return found[0] if found else name
