"""Port: another host's daemon. `jaild.adapters.peers` speaks to it by gRPC; each call is idempotent per migration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from jaild.model.migration.party import Introduction
from jaild.model.migration.protocol import (
    Acceptance,
    Activated,
    HostHello,
    LayerOffer,
    Offer,
    Received,
    ReceiveHeader,
    Resolution,
    SoFar,
    Tested,
)
from jaild.ports.salvage import SalvagePeer
from jaild.ports.standby import StandbyPeer


class Receives(Protocol):
    """What takes ZFS streams."""

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Take one stream; see `Peer.receive`."""


class LayersPeer(Protocol):
    """One other host, as far as layers go that no jail brings along; its errors are those of `Peer`."""

    async def describe(self, path: str, us: Introduction) -> tuple[LayerOffer, ...]:
        """Ask what a layer (`bases/NAME`, `apps/APP/VERSION`) is: it comes last, what it was cloned from before it.

        `NotFoundError` (BASE_NOT_FOUND, RELEASE_NOT_FOUND).
        """

    def read(
        self, path: str, guid: int, us: Introduction, token: str = ""
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a layer's stream, or by the token of an interrupted receive the rest of it.

        A link that is lost meanwhile, and any other failure, is raised by the context, whatever reads from it.
        `FailedPreconditionError` (LAYER_DIFFERS, TOKEN_STALE).
        """


class Peer(Protocol):
    """One other host.

    Its refusals are raised as the `JaildError` that it raised, with the same reason. When it cannot be reached:
    `UnavailableError` (PEER_UNREACHABLE); when it does not answer in time: `DeadlineExceededError` (PEER_TIMEOUT). In
    both cases the call may have been carried out: ask again, or ask `state`.
    """

    @property
    def standby(self) -> StandbyPeer:
        """The same host, as far as replicas and failovers go."""

    @property
    def layers(self) -> LayersPeer:
        """The same host, as far as layers go."""

    @property
    def salvage(self) -> SalvagePeer:
        """The same host, as far as files go that are salvaged."""

    async def hello(self, host_id: str, host_name: str, protocol: int) -> HostHello:
        """Introduce ourselves with the highest protocol that we speak; return who answers and what it can do."""

    async def preflight(self, offer: Offer) -> Acceptance:
        """Ask whether it takes the jail. Changes nothing there."""

    async def begin(self, offer: Offer) -> Acceptance:
        """Make it journal the migration and reserve name and addresses."""

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        """Send one ZFS stream; return when it was received and verified by guid.

        If it has that snapshot already it takes no chunks. If it gives up half-way its own error is raised and `chunks`
        is closed. What `chunks` itself raises is raised here, and the peer is told that the stream is not whole.
        """

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int]) -> None:
        """First half of the hand-over: it verifies every guid and persists PREPARED."""

    async def activate(self, migration: str, epoch: int, so_far: SoFar) -> Activated:
        """Second half, only after the commit point: it owns the jail and starts it."""

    async def abort(self, migration: str) -> None:
        """Make it throw away what it received. Refused (MIGRATION_ACTIVATED) after `activate`."""

    async def boot_clone(self, migration: str, *, keep_copy: bool) -> Tested:
        """Make it boot a clone of what came of a test migration; return when the clone is gone again."""

    async def resolve(self, migration: str) -> Resolution:
        """Asked by a target in PREPARED of the source: how did the hand-over end."""


class Address(NamedTuple):
    """Where a peer's daemon is reached."""

    address: str  # host:port
    server_name: str = ""  # whom its certificate names, if not that


class Peers(Protocol):
    """The configured peers."""

    def names(self) -> tuple[str, ...]:
        """Return their names, sorted."""

    def address(self, name: str) -> Address | None:
        """Return where one is; None if there is none of that name."""

    def get(self, name: str) -> Peer:
        """Return one. Raises `NotFoundError` (PEER_UNKNOWN) that lists the configured ones."""
