"""Bases fetched from another host: the same dataset, by zfs send, and so with the same guid on both.

asked what it has ─► plan ─► stream, on and on while the link is lost ─► guid compared ─► here
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.operations import Handle
from jaild.layers.arrivals import Arrivals
from jaild.layers.sealing import BaseSealing
from jaild.model import layout, quantity
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, JaildError, NotFoundError
from jaild.model.layers.records import BaseRecord, decode
from jaild.model.migration.party import Introduction
from jaild.model.migration.protocol import LayerOffer
from jaild.model.migration.streams import PASSING, SLACK, USELESS
from jaild.model.operation import Operation
from jaild.model.problems import Plan, Problem, Severity, errors
from jaild.model.views import Caller
from jaild.ports.peer import LayersPeer

_FIRST_PAUSE = 0.5  # seconds until the next try, doubled after each in vain
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class _Wanted:
    """What a peer says that it has."""

    offer: LayerOffer
    plan: Plan


class BaseFetch:
    """Fetches bases. The source team's use case."""

    def __init__(self, engine: Engine, arrivals: Arrivals, sealing: BaseSealing) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._peers = engine.ports.peers
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._arrivals = arrivals
        self._sealing = sealing

    async def fetch(
        self, base_id: str, peer: str, *, sha256: str = "", validate_only: bool = False, caller: Caller
    ) -> Operation:
        """Import a base that a peer has under this name. `sha256`: what its archive must have had, in hex.

        `NotFoundError` (PEER_UNKNOWN); of the operation, or of the plan: (BASE_NOT_FOUND) of the peer,
        `UnavailableError` (PEER_UNREACHABLE), `FailedPreconditionError` (PLAN_REFUSED).
        """
        duplicate = await self._operations.duplicate(caller, "import", f"bases/{base_id}")
        if duplicate is not None:
            return duplicate
        self._sealing.require_new(base_id)
        self._peers.get(peer)
        if validate_only:
            return await self._dispatcher.planned((await self._examine(base_id, peer, sha256)).plan, caller)

        async def work(handle: Handle) -> str:
            self._sealing.require_new(base_id)  # another import of that name may have been before it
            with handle.cancellable():
                await handle.phase("ask", f"asking {peer}")
                wanted = await self._examine(base_id, peer, sha256)
                handle.note(plan=wanted.plan)
                _require_accepted(wanted.plan)
                await handle.phase("fetch", f"from {peer}")
                await self._arrivals.take(wanted.offer, partial(self._receive, handle, peer, wanted.offer), peer)
            return f"bases/{base_id}"

        return await self._dispatcher.submit(f"bases/{base_id}", "import", caller, work)

    @property
    def _us(self) -> Introduction:
        return Introduction(self._inventory.host_id, self._inventory.host_name)

    # -- what there is

    async def _examine(self, base_id: str, peer: str, sha256: str) -> _Wanted:
        path, asked = f"bases/{base_id}", self._peers.get(peer).layers
        offers = await asked.describe(path, self._us)
        offer = offers[-1] if offers else None
        if offer is None or offer.path != path or offer.origin_path:
            raise _contradiction(peer, f"asked for {path}, it offers {offer.path if offer else 'nothing'}")
        record = decode(offer.record, BaseRecord, path)
        if record.name != base_id:
            raise _contradiction(peer, f"it offers {path} with the record of {record.name}")
        plan = Plan(
            kind="import",
            target=path,
            steps=(
                f"fetch {path} from {peer}: {record.abi} {record.version}, {quantity.size(offer.size_bytes)}",
                f"compare its guid, {offer.guid}",
            ),
            problems=(*_digest(record, sha256, peer), *await self._space(offer)),
        )
        return _Wanted(offer, plan)

    async def _space(self, offer: LayerOffer) -> tuple[Problem, ...]:
        free = (await self._zfs.dataset(self._inventory.where.root)).available
        if offer.size_bytes * SLACK <= free:
            return ()
        host = self._inventory.host_name
        told = f"{quantity.size(offer.size_bytes)} have to come, {quantity.size(free)} are free on {host}"
        return (_error("NO_SPACE", told, f"free some space on {host}: jailctl base prune --plan"),)

    # -- having it

    async def _receive(self, handle: Handle, peer: str, offer: LayerOffer, dataset: str, _origin: str | None) -> int:
        """Receive it, however often the link is lost meanwhile. Whatever ends it otherwise leaves nothing."""
        counted = _Counted(partial(handle.progress, bytes_total=offer.size_bytes))
        pause = _FIRST_PAUSE
        async with undo_on_error(partial(self._discard, dataset)):
            while (lost := await self._attempt(peer, offer, dataset, counted)) is not None:
                handle.note(
                    away=True,
                    message=f"{peer} is away ({lost.reason}), and is tried again; to give up: "
                    f"jailctl operation cancel {handle.id}",
                )
                await self._clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            handle.note(away=False)
            await handle.phase(layout.SEALING, "comparing its guid")
        return counted.bytes

    async def _attempt(self, peer: str, offer: LayerOffer, dataset: str, counted: _Counted) -> JaildError | None:
        """Receive it, or what is left of it; return what the link was lost by, None if it is here."""
        token = await self._zfs.resume_token(dataset) or ""
        try:
            await self._stream(self._peers.get(peer).layers, offer, dataset, token, counted)
        except JaildError as error:
            if token and error.reason in USELESS:
                await self._zfs.abort_receive(dataset)
                return await self._attempt(peer, offer, dataset, counted)
            if not PASSING.fullmatch(error.reason):
                raise
            return error
        return None

    async def _stream(self, peer: LayersPeer, offer: LayerOffer, dataset: str, token: str, counted: _Counted) -> None:
        closed = {"readonly": "on"}
        async with peer.read(offer.path, offer.guid, self._us, token) as chunks:
            await self._zfs.receive(dataset, counted.chunks(chunks), resumable=True, properties={} if token else closed)
        if token:  # a resumed stream brings none
            await self._zfs.set(dataset, closed)

    async def _discard(self, dataset: str) -> None:
        await self._zfs.abort_receive(dataset)
        try:
            await self._zfs.destroy(dataset, recursive=True)
        except NotFoundError:
            return  # nothing has come


class _Counted:
    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self.bytes = 0

    async def chunks(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self.bytes += len(piece)
            self._tell(self.bytes)
            yield piece


def _digest(record: BaseRecord, sha256: str, peer: str) -> tuple[Problem, ...]:
    if not sha256 or sha256.lower() == record.sha256:
        return ()
    made = f"an archive with sha256 {record.sha256}" if record.sha256 else "a tree without a digest"
    told = f"the base on {peer} was made of {made}, expected {sha256}"
    return (_error("DIGEST_MISMATCH", told, "see which of the two is meant; what differs needs another name"),)


def _require_accepted(plan: Plan) -> None:
    if refused := errors(plan.problems):
        raise FailedPreconditionError(
            "PLAN_REFUSED", refused[0].message, hint=refused[0].hint, resource=plan.target, problems=plan.problems
        )


def _contradiction(peer: str, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_PEER_MESSAGE", f"{peer}: {what}", hint="see that both hosts run the same jaild", resource=peer
    )


def _error(code: str, message: str, hint: str) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, hint=hint)
