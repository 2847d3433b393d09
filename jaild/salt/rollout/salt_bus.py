"""The way from a master to its minions: jobs that are published, and their returns on the master's event bus."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import salt.client
import salt.utils.event
import salt.utils.jid
from salt.exceptions import SaltClientError

from jaild.salt.rollout.messages import Answer, Call

log = logging.getLogger(__name__)

_LINGER = 0.2  # seconds for which answers of the same job are gathered
_MOST = 1000  # answers at a time
_AGAIN = 1.0  # seconds before a bus that is away is tried again
_SECONDS = 15.0  # that the master may take to publish


class SaltBus:
    """A transport for one rollout (`messages.Transport`)."""

    def __init__(self, options: Mapping[str, Any], rollout: str) -> None:
        self._options = options
        # Not of these options: those of a runner within an orchestration have another user, and no key (Salt 3008.5).
        self._client = salt.client.LocalClient(options["conf_file"])
        self._bus = salt.utils.event.get_master_event(dict(options), options["sock_dir"], listen=True)
        self._word = word_tag(rollout)
        self._wanted = f"^(salt/job/[0-9]+/ret/|{re.escape(self._word)})"
        self._calls: dict[str, int] = {}
        self._last = 0

    def __enter__(self) -> Self:
        self._bus.connect_pub(timeout=_SECONDS)  # before anything is published: what is answered before that is lost
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.destroy()
        self._client.destroy()

    def now(self) -> float:
        """Return the time."""
        return time.time()

    def send(self, call: Call, hosts: Sequence[str]) -> int:
        """Publish a job; return its number. Where the master is away nobody hears it, as where a host is."""
        self._last += 1
        jid = salt.utils.jid.gen_jid(self._options)
        self._calls[jid] = self._last
        try:
            self._client.pub(
                list(hosts),
                f"jaild_rollout.{call.verb}",
                arg=salt.utils.args.condition_input((), dict(call.arguments)),
                tgt_type="list",
                jid=jid,
                timeout=_SECONDS,
            )
        except SaltClientError as error:
            log.warning("jaild: no job for %d hosts: %s", len(hosts), error)
        return self._last

    def receive(self, until: float) -> Sequence[Answer]:
        """Wait for answers or a word; return the answers that came."""
        found: list[Answer] = []
        end = until
        while len(found) < _MOST and (left := end - time.time()) > 0:
            event = self._bus.get_event(
                wait=left, tag=self._wanted, match_type="regex", full=True, auto_reconnect=False
            )
            if event is None:
                if not self._bus.cpub:  # the master is away
                    self._bus.connect_pub(timeout=min(left, _AGAIN))
                continue
            if event["tag"].startswith(self._word):
                return found
            if (number := self._calls.get(event["data"].get("jid", ""))) is not None:
                found.append(_answer(number, event["data"]))
                end = min(until, time.time() + _LINGER) if len(found) == 1 else end
        return found

    def announce(self, tag: str, data: Mapping[str, Any]) -> None:
        """Put an event onto the master's bus."""
        self._bus.fire_event(dict(data), tag)


def word_tag(rollout: str) -> str:
    """Return the tag of the event that tells who carries a rollout out of somebody's word."""
    return f"jaild/rollout/{rollout}/word"


def _answer(call: int, data: Mapping[str, Any]) -> Answer:
    returned = data.get("return")
    if data.get("retcode") or data.get("success") is False or isinstance(returned, str):
        return Answer(call, str(data["id"]), error=str(returned).removeprefix("ERROR: "))
    return Answer(call, str(data["id"]), data=returned)
