"""A host in short: what it is for grains, what it has for the mine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jaild.client import Api, pages
from jaild.salt import plain
from jaild.v1 import channels_pb2, host_pb2, jails_pb2

_SECONDS = 5.0  # grains are made while a minion starts
_OF_GRAINS = ("name", "id", "version", "peer_protocol", "zfs", "runtime", "osreldate", "machine", "dataset", "peers")
_OF_HOST = (*_OF_GRAINS, "available_bytes", "used_bytes", "running", "drain", "warnings")


def grain(api: Api) -> dict[str, Any]:
    """Return what a host is, whatever happens on it."""
    return _chosen(_host(api), _OF_GRAINS)


def whole(api: Api) -> dict[str, Any]:
    """Return what a host is and has: room, channels with their bases, jails with state, base and release."""
    channels = pages(api.channels.ListChannels, channels_pb2.ListChannelsRequest(), "channels")
    jails = pages(api.jails.ListJails, jails_pb2.ListJailsRequest(), "jails")
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),  # the mine keeps it also while no daemon answers
        **_chosen(_host(api), _OF_HOST),
        "channels": {plain.short(each.name): plain.short(each.base) for each in channels},
        "jails": {plain.short(each.name): _jail(each) for each in jails},
    }


def _host(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = plain.data(api.host.GetHost(host_pb2.GetHostRequest(), timeout=_SECONDS))
    return found


def _jail(jail: jails_pb2.Jail) -> dict[str, Any]:
    """Return a jail in short: its release as app/version, its health if it has checks, and what it is behind."""
    told = plain.data(jail)
    found = {
        "state": told.get("state", ""),
        "base": plain.short(jail.base),
        "release": plain.short(jail.release),
        "channel": jail.spec.channel,
        "behind": plain.short(jail.behind),
        "health": told.get("health", {}).get("state", ""),
        "labels": dict(jail.spec.labels),
    }
    return {name: value for name, value in found.items() if value}


def _chosen(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}
