"""The jails of a host as Salt's resources: which there are, even while the daemon is away, and what each of them is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc

from jaild.client import READ_SECONDS, Api, pages
from jaild.salt import plain
from jaild.v1 import host_pb2, jails_pb2

_STATE = jails_pb2.Jail
# Of jails that this host owns; what is a copy, a replica or on its way is another host's to answer for.
_OWNED = frozenset(
    {
        *(_STATE.STATE_RUNNING, _STATE.STATE_STOPPED, _STATE.STATE_FAILED, _STATE.STATE_FROZEN),
        *(_STATE.STATE_STARTING, _STATE.STATE_CRASH_LOOP),
    }
)


def owned(api: Api) -> list[str]:
    """Return the names of the jails that are this host's."""
    host = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
    jails = pages(api.jails.ListJails, jails_pb2.ListJailsRequest(), "jails")
    return [plain.short(jail.name) for jail in jails if jail.owner == host.name and jail.state in _OWNED]


def discovered(api: Api, cache: Path) -> list[str]:
    """Return these names, from the cache if the daemon does not answer: Salt would take no answer for no jails."""
    try:
        found = owned(api)
    except grpc.RpcError:
        return _cached(cache)
    part = cache.with_suffix(".part")
    part.write_text(json.dumps(found), "utf-8")
    part.replace(cache)
    return found


def grains(api: Api, name: str) -> dict[str, Any]:
    """Return what a jail is: `base`, `release`, `app`, `health`, `state`, `host`, `labels`."""
    jail = api.jails.GetJail(jails_pb2.GetJailRequest(name=f"jails/{name}"), timeout=READ_SECONDS)
    told = plain.data(jail)
    release = plain.short(jail.release)
    return {
        "id": name,
        "virtual": "jail",
        "host": jail.owner,
        "state": told.get("state", ""),
        "base": plain.short(jail.base),
        "release": release,
        "app": release.partition("/")[0],
        "health": told.get("health", {}).get("state", "unknown"),
        "labels": dict(jail.spec.labels),
    }


def _cached(cache: Path) -> list[str]:
    try:
        return [str(name) for name in json.loads(cache.read_text("utf-8"))]
    except (FileNotFoundError, ValueError, TypeError):
        return []
