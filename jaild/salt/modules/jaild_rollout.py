"""This host's part in a rollout over hosts: what the runner ``jaild_rollout`` tells minions.

People use the runner. What is here does a thing once, however often it is told, and answers how the host stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import msgspec
from salt.exceptions import CommandExecutionError

from jaild.client import Api
from jaild.salt import daemon
from jaild.salt.rollout import host
from jaild.salt.rollout.host import HostRollout

__virtualname__ = "jaild_rollout"
__opts__: dict[str, Any]


def __virtual__() -> str:
    return __virtualname__


def plan(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a rollout would do on this host, each jail's own plan included; nothing is kept or touched.

    spec
        ``jaild.v1.RolloutSpec``.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_rollout.plan '{channel: channels/stable}'
    """
    with _daemon() as api:
        return _data(host.plan(api, spec))


def begin(rollout: str, attempt: int, spec: Mapping[str, Any], expires: float) -> dict[str, Any]:
    """Begin the host's own rollout, unless it was begun.

    rollout
        The id of the rollout over hosts.

    attempt
        The number of the try.

    expires
        Do not begin after this time, in seconds since the epoch: the master asks again then.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_rollout.begin 20261130-a1b2 0 '{channel: channels/stable}' expires=1796000000
    """
    return _asked(rollout, attempt, lambda own: own.begin(spec, expires))


def look(rollout: str, attempt: int, back: int | None = None) -> dict[str, Any]:
    """Return how the host stands.

    back
        By which try it is taken back, if it is.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_rollout.look 20261130-a1b2 0
    """
    return _asked(rollout, attempt, lambda own: own.look(back))


def back(rollout: str, attempt: int, back: int, known: Mapping[str, str]) -> dict[str, Any]:
    """Take back what the host's own rollout moved, unless that was begun.

    known
        Ids of hosts' own rollouts, by minion.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_rollout.back 20261130-a1b2 0 0 known='{}'
    """
    return _asked(rollout, attempt, lambda own: own.back(back, known.get(__opts__["id"], "")))


def runs(rollout: str, known: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the jails of the host's own rollout run now, with the guids of base and release.

    CLI Example:

    .. code-block:: bash

        salt 'host' jaild_rollout.runs 20261130-a1b2 known='{host: 0d8f...}'
    """
    with _daemon() as api:
        found = HostRollout(api, rollout, 0).runs(known[__opts__["id"]])
        return [_data(each) for each in found]


def _asked(rollout: str, attempt: int, question: Callable[[HostRollout], Any]) -> dict[str, Any]:
    with _daemon() as api:
        return _data(question(HostRollout(api, rollout, attempt)))


@contextmanager
def _daemon() -> Iterator[Api]:
    try:
        with daemon.connect(daemon.settings(__opts__)) as api:
            yield api
    except grpc.RpcError as error:
        raise CommandExecutionError(daemon.explained(error)[0]) from error


def _data(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(told)
    return found
