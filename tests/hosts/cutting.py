"""A migration's link that is cut at a chosen moment, for tests of what goes on after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from jaild.model.errors import UnavailableError
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost
from tests.hosts import invariants
from tests.hosts.picture import layer_holds


async def healed(source: FakeHost, operation: Operation) -> Operation:
    """Fix the link as soon as it is cut, and return how it ended."""
    end = asyncio.create_task(source.end_of(operation))
    await source.network.cut.wait()
    source.network.heal()
    return await end


def serves_now(host: FakeHost) -> bool:
    return invariants.running([host], "web") == [f"{host.name}:web.1"]


def tokens_used(source: FakeHost) -> list[str]:
    """Return the tokens that streams were resumed from, as they come."""
    found: list[str] = []
    original = source.zfs.send

    def send(snapshot: str, *, base: str | None = None, token: str | None = None, **how: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
        if token is not None:
            found.append(token)
        return original(snapshot, base=base, token=token, **how)

    source.zfs.send = send  # type: ignore[method-assign]
    return found


def cut_after(source: FakeHost, target: FakeHost, size: int, what: str = "data") -> None:
    """Cut the link once, when so many bytes of a stream have arrived."""
    incoming = target.core.use_cases.incoming
    original = incoming.receive
    done = False

    async def receive(header, chunks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        async def until() -> AsyncIterator[bytes]:
            nonlocal done
            came = 0
            async for chunk in chunks:
                yield chunk
                came += len(chunk)
                if not done and came >= size and what == (header.layer or header.dataset):
                    done = True
                    source.network.sever()
                    raise UnavailableError("PEER_UNREACHABLE", "cut", hint="none")

        return await original(header, until())

    incoming.receive = receive  # type: ignore[method-assign]


async def seen_held(source: FakeHost) -> bool:
    """Return whether layers are held while the link is away."""
    await source.network.cut.wait()
    return bool(await layer_holds(source))
