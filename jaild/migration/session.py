"""The link to a migration's target: kept up, and when it is lost, waited for. The jail serves meanwhile.

begin (attempt 1) ─► streams … ─✗ lost ─► wait ─► begin (attempt 2): how far has everything come? ─► streams …
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog

from jaild.engine.inventory import Inventory
from jaild.migration.move import Move
from jaild.model.errors import DeadlineExceededError, FailedPreconditionError, JaildError
from jaild.model.migration.journal import time_left
from jaild.model.migration.streams import PROTOCOL
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.transfer.journal import Journals

_T = TypeVar("_T")
_FIRST_PAUSE = 0.5  # seconds, doubled after each try in vain up to the longest
_LONGEST_PAUSE = 30.0
_LONGEST_FROZEN = 1.0  # while the jail is down
# What a host that is away, restarted (without its memory: NOT_FOUND), or behind a broken link ends a call with.
_PASSING = re.compile(
    "PEER_(UNREACHABLE|TIMEOUT|CANCELLED|INTERNAL)|SHUTTING_DOWN|STORE_CLOSED|STREAM_(TRUNCATED|SUPERSEDED)"
    "|MIGRATION_NOT_FOUND"
)


class Link:
    """Carries work out that needs the target, again and again while it cannot be reached."""

    def __init__(self, inventory: Inventory, peers: Peers, journals: Journals, clock: Clock) -> None:
        self._inventory = inventory
        self._peers = peers
        self._journals = journals
        self._clock = clock
        self._log = structlog.get_logger("jaild.link")

    async def through(self, move: Move, work: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `work` returns. It may be begun any number of times, each with the target's present state.

        `DeadlineExceededError` (MIGRATION_DEADLINE) past the migration's deadline. While the jail is down:
        `TimeoutError` when it has been so for longer than the move's patience.
        """
        lost_at, sent, pause = None, move.journal.bytes, _FIRST_PAUSE
        while True:
            try:
                if not move.connected:
                    await self._connect(move)
                return await work()
            except JaildError as error:
                if not _PASSING.fullmatch(error.reason):
                    raise
                lost = error
            move.connected = False
            if lost_at is None or move.journal.bytes > sent:
                lost_at, sent, pause = self._clock.monotonic(), move.journal.bytes, _FIRST_PAUSE
            await self._wait(move, lost, lost_at, pause)
            pause = min(pause * 2, _LONGEST_PAUSE if move.frozen_at is None else _LONGEST_FROZEN)

    async def _connect(self, move: Move) -> None:
        """Begin, or begin anew: what the target has is known after this, and nothing of before is on its way."""
        peer = self._peers.get(move.target)
        offer = msgspec.structs.replace(move.journal.offer, attempt=move.journal.offer.attempt + 1)
        if offer.attempt > 1:
            hello = await peer.hello(self._inventory.host_id, self._inventory.host_name, PROTOCOL)
            _require_same(move, hello.host_id)
            offer = move.as_sent(offer)
        move.journal = msgspec.structs.replace(move.journal, offer=offer)
        await self._journals.put(move.journal)
        move.connect(peer, await peer.begin(offer))
        move.handle.note(away=False)

    async def _wait(self, move: Move, lost: JaildError, since: float, pause: float) -> None:
        away = self._clock.monotonic() - since
        self._log.warning("link lost", migration=move.id, peer=move.target, reason=lost.reason, seconds=round(away, 1))
        if move.frozen_at is not None:
            if self._clock.monotonic() + pause - move.frozen_at > move.patience:
                raise TimeoutError
        elif (left := time_left(move.journal, self._clock.monotonic())) is not None and left < pause:
            raise past_deadline(move) from lost
        serves = "the jail serves" if move.frozen_at is None else "the jail is down"
        move.handle.note(
            away=True,
            message=f"{move.target} is away since {away:.0f} s ({lost.reason}); tried again in {pause:.0f} s; "
            f"{serves}; to give up: jailctl operation cancel {move.handle.id}",
        )
        await self._clock.sleep(pause)


def past_deadline(move: Move) -> DeadlineExceededError:
    """Return what a migration that took too long is given up with."""
    return DeadlineExceededError(
        "MIGRATION_DEADLINE",
        f"jail {move.jail} was not handed over to {move.target} by its deadline",
        remedy="nothing was changed; see why the link was slow or down, then migrate again with a later deadline",
        resource=f"jails/{move.jail}",
        detail={"bytes": str(move.journal.bytes)},
    )


def _require_same(move: Move, host_id: str) -> None:
    if host_id != move.journal.peer_id:
        raise FailedPreconditionError(
            "PEER_CHANGED",
            f"{move.target} is another host now than when the migration began",
            remedy="see what answers under that name, then migrate again",
            resource=move.target,
            detail={"before": move.journal.peer_id, "now": host_id},
        )
