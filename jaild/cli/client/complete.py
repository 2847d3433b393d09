"""Names for the shell's completion, asked of the daemon: quickly, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import grpc
from google.longrunning import operations_pb2

from jaild.cli.client import contexts
from jaild.cli.client.connection import Api, connect
from jaild.cli.client.references import short
from jaild.cli.client.settings import Settings
from jaild.v1 import (
    apps_pb2,
    bases_pb2,
    channels_pb2,
    evacuations_pb2,
    event_sinks_pb2,
    host_pb2,
    jails_pb2,
    migrations_pb2,
    rollouts_pb2,
    snapshots_pb2,
    templates_pb2,
    volumes_pb2,
)

_SECONDS = 0.7  # somebody pressed TAB and waits


def jails(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a jail's name."""
    return _ask(ctx, incomplete, _names(lambda api: api.jails.ListJails, jails_pb2.ListJailsRequest(), "jails"))


def bases(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a base's name."""
    return _ask(ctx, incomplete, _names(lambda api: api.bases.ListBases, bases_pb2.ListBasesRequest(), "bases"))


def channels(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a channel's name."""
    request = channels_pb2.ListChannelsRequest()
    return _ask(ctx, incomplete, _names(lambda api: api.channels.ListChannels, request, "channels"))


def event_sinks(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete an event sink's name."""
    request = event_sinks_pb2.ListEventSinksRequest()

    def ask(api: Api) -> list[str]:
        return [short(sink.name) for sink in api.event_sinks.ListEventSinks(request, timeout=_SECONDS).event_sinks]

    return _ask(ctx, incomplete, ask)


def apps(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete an app's name."""
    return _ask(ctx, incomplete, _names(lambda api: api.apps.ListApps, apps_pb2.ListAppsRequest(), "apps"))


def releases(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete app/version."""
    request = apps_pb2.ListReleasesRequest(parent="apps/-")
    return _ask(ctx, incomplete, _names(lambda api: api.apps.ListReleases, request, "releases"))


def migrations(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a migration's id."""
    request = migrations_pb2.ListMigrationsRequest()
    return _ask(ctx, incomplete, _names(lambda api: api.migrations.ListMigrations, request, "migrations"))


def evacuations(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete an evacuation's id."""
    request = evacuations_pb2.ListEvacuationsRequest()
    return _ask(ctx, incomplete, _names(lambda api: api.evacuations.ListEvacuations, request, "evacuations"))


def rollouts(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a rollout's id."""
    request = rollouts_pb2.ListRolloutsRequest()
    return _ask(ctx, incomplete, _names(lambda api: api.rollouts.ListRollouts, request, "rollouts"))


def operations(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete an operation's id."""
    request = operations_pb2.ListOperationsRequest(name="operations")
    return _ask(ctx, incomplete, _names(lambda api: api.operations.ListOperations, request, "operations"))


def templates(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a template's name."""
    request = templates_pb2.ListTemplatesRequest()

    def asked(api: Api) -> list[str]:
        found = api.templates.ListTemplates(request, timeout=_SECONDS).templates
        return [short(template.name) for template in found]

    return _ask(ctx, incomplete, asked)


def volumes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a volume's name, of the jail that stands before it."""
    request = volumes_pb2.ListVolumesRequest(parent=ctx.params.get("name") or "jails/-")

    def asked(api: Api) -> list[str]:
        found = api.volumes.ListVolumes(request, timeout=_SECONDS).volumes
        return [volume.name.rpartition("/")[2] for volume in found]

    return _ask(ctx, incomplete, asked)


def snapshots(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a snapshot's name, of the jail that stands before it."""
    request = snapshots_pb2.ListJailSnapshotsRequest(parent=ctx.params.get("name") or "")

    def asked(api: Api) -> list[str]:
        found = api.snapshots.ListJailSnapshots(request, timeout=_SECONDS).snapshots
        return [snapshot.name.rpartition("/")[2] for snapshot in found]

    return _ask(ctx, incomplete, asked)


def peers(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete another host's name."""
    return _ask(ctx, incomplete, lambda api: list(api.host.GetHost(host_pb2.GetHostRequest(), timeout=_SECONDS).peers))


def context_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete a context's name."""
    try:
        return sorted(name for name in contexts.load().known if name.startswith(incomplete))
    except click.ClickException:
        return []


def _names(method: Callable[[Api], Any], request: Any, field: str) -> Callable[[Api], list[str]]:
    def ask(api: Api) -> list[str]:
        request.page_size = 1000
        return [short(item.name) for item in getattr(method(api)(request, timeout=_SECONDS), field)]

    return ask


def _ask(ctx: click.Context, incomplete: str, ask: Callable[[Api], list[str]]) -> list[str]:
    try:
        with connect(ctx.ensure_object(Settings)) as api:
            return [name for name in ask(api) if name.startswith(incomplete)]
    except (grpc.RpcError, click.ClickException):  # an error has no place in a half-written command line
        return []
