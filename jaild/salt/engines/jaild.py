"""What happens on this host, onto Salt's bus: each event of jaild with the tag ``jaild/MINION/JAIL/EVENT``.

.. code-block:: yaml

    engines:
      - jaild: {}

``JAIL`` is ``-`` where an event is about no jail. The data has ``sequence``, ``time``, ``kind``, ``target``,
``message`` and ``detail``, as jaild tells them.

Nothing is lost while minion, master or daemon are restarted: the engine goes on after the last event that the master
took, whose number is kept in the minion's cache. One may come twice, with the same ``sequence``. Where so much happened
meanwhile that jaild no longer keeps it, the first event says so by ``gap``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import grpc
from salt import minion
from salt.channel.client import ReqChannel
from salt.exceptions import SaltException

from jaild.client import explanation
from jaild.salt import daemon, plain
from jaild.salt.cursor import Cursor, events, tag

log = logging.getLogger(__name__)

__virtualname__ = "jaild"
__opts__: dict[str, Any]
__salt__: dict[str, Any]

# Beginnings of the kinds after which the host has other jails than before, or its jails are something else.
_OF_JAILS = ("jail.", "generation.", "migration.")
_SECONDS = 30.0  # that a master may take for an event


def __virtual__() -> str:
    return __virtualname__


def start(filter: str = "", context: str = "", resources: bool = False) -> None:
    """Hand events on until the process ends.

    filter
        Only these, by AIP-160: ``kind = "migration.*"``.

    context
        Another daemon's name in ``jaild:contexts``; the host's if absent.

    resources
        The host's jails are Salt's resources: tell the master of those that come and go. No ``filter`` may keep the
        events of jails and migrations away then.
    """
    cursor = Cursor(Path(__opts__["cachedir"]) / f"jaild-events-{context or 'local'}.json")
    pauses = _pauses()
    while True:
        try:
            with daemon.connect(daemon.settings(__opts__), context) as api, _masters() as hand_on:
                for event, host in events(api, cursor, filter):
                    hand_on(event)
                    if resources and event.kind.startswith(_OF_JAILS):
                        __salt__["event.fire"]({}, "resource_refresh")
                    cursor.write(host, event.sequence)
                    pauses = _pauses()
        except grpc.RpcError as error:
            log.info("jaild: there are no events to be had: %s", explanation(error).message)
        except SaltException as error:
            log.warning("jaild: no master takes events: %s", error)
        time.sleep(next(pauses))


@contextmanager
def _masters() -> Iterator[Callable[[Any], None]]:
    """Yield what gives an event to all masters, and raises `SaltException` if none has taken it.

    By connections of our own: what is handed to the minion (`event.send`) is gone if it ends or its master is away. Nor
    is `event.fire_master` told by an engine who the master is: it is not in an engine's options (Salt 3008.5).
    """
    if not (Path(__opts__["pki_dir"]) / "minion_master.pub").exists():
        # An engine begins before its minion. At the very first time both would make the minion's keys, and one of them
        # would be left with a key that the master does not know.
        raise SaltException("the minion has met no master yet")
    named = __opts__["master"]
    with ExitStack() as stack:
        channels = []
        for name in named if isinstance(named, list) else [named]:
            there = minion.prep_ip_port({**__opts__, "master": name})
            where = minion.resolve_dns({**__opts__, **there})
            channels.append(stack.enter_context(ReqChannel.factory({**__opts__, **where})))

        def hand_on(event: Any) -> None:
            load = {"cmd": "_minion_event", "id": __opts__["id"], "tag": tag(__opts__["id"], event)}
            failures = [_sent(channel, {**load, "data": plain.data(event)}) for channel in channels]
            if all(failures):
                raise SaltException(f"{failures[0]}")

        yield hand_on


def _sent(channel: Any, load: dict[str, Any]) -> SaltException | None:
    """Return why a master has not taken an event; None if it has."""
    try:
        channel.send(load, tries=1, timeout=_SECONDS)
    except SaltException as error:
        return error
    return None


def _pauses() -> Iterator[float]:
    """Yield the seconds until the next try: for a daemon that restarts, then for one that is away."""
    return chain((0.5, 1.0, 2.0), repeat(5.0))
