"""Jails as resources of Salt: ``salt -C 'T@jail:web' cmd.run uptime`` runs in the jail, without a minion in it.

In the pillar of a host's minion:

.. code-block:: yaml

    resources:
      jail: {}

A jail is answered for by the host that owns it. The engine ``jaild`` with ``resources: True`` has the minion look again
when a jail comes or goes, so that a jail that was moved is reached on its new host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from salt.exceptions import CommandExecutionError

from jaild.client import Api, explanation
from jaild.salt import daemon, inside, plain, streams
from jaild.v1 import jails_pb2

__context__: dict[str, Any]
__opts__: dict[str, Any]
__resource__: dict[str, Any]

_INITIALIZED = "jaild_resources"


def init(opts: dict[str, Any]) -> None:
    """Begin: there is nothing to be connected to beforehand."""
    del opts
    __context__[_INITIALIZED] = True


def initialized() -> bool:
    """Return whether `init` was called."""
    return bool(__context__.get(_INITIALIZED))


def discover(opts: dict[str, Any]) -> list[str]:
    """Return the names of the jails that this host owns; the last known ones while the daemon is away."""
    with daemon.connect(daemon.settings(opts)) as api:
        return inside.discovered(api, Path(opts["cachedir"]) / "jaild-resources.json")


def grains() -> dict[str, Any]:
    """Return the jail's grains; no more than its name while the daemon is away.

    A minion asks for them before each job, and sends no answer at all where that fails (Salt 3008.5).
    """
    name = __resource__["id"]
    try:
        with daemon.connect(daemon.settings(__opts__)) as api:
            return inside.grains(api, name)
    except grpc.RpcError as error:
        return {"id": name, "virtual": "jail", "state": "unknown", "message": explanation(error).message}


def grains_refresh() -> dict[str, Any]:
    """Return the jail's grains: they are asked for anew each time."""
    return grains()


def ping() -> bool:
    """Return whether the jail runs."""
    return bool(grains()["state"] == "running")


def execute(
    command: list[str], environment: dict[str, str], user: str | None, stdin: bytes, timeout: float | None
) -> dict[str, Any]:
    """Run a command in the jail; return `stdout`, `stderr` and `retcode`."""
    start = {"name": f"jails/{__resource__['id']}", "command": command, "environment": environment, "user": user}
    message: Any = plain.request(jails_pb2.ExecStart.DESCRIPTOR, start)
    with _daemon() as api:
        return streams.executed(api, message, stdin, timeout)


def shutdown(opts: dict[str, Any]) -> None:
    """End."""
    del opts
    __context__.pop(_INITIALIZED, None)


@contextmanager
def _daemon() -> Iterator[Api]:
    try:
        with daemon.connect(daemon.settings(__opts__)) as api:
            yield api
    except grpc.RpcError as error:
        raise CommandExecutionError(daemon.explained(error)[0]) from error
