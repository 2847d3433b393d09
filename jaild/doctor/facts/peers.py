"""Whether each configured peer answers a Hello, as a migration to it would begin."""

from __future__ import annotations

import asyncio
import time

from jaild.doctor.checks.host import PeerAnswer
from jaild.model.errors import JaildError
from jaild.model.migration.streams import PROTOCOL
from jaild.ports.peer import Peers


async def greet(peers: Peers, addresses: dict[str, str], host_id: str, host_name: str) -> list[PeerAnswer]:
    """Say Hello to all of them at the same time."""
    return list(
        await asyncio.gather(*(_greet(peers, name, addresses[name], host_id, host_name) for name in peers.names()))
    )


async def _greet(peers: Peers, name: str, address: str, host_id: str, host_name: str) -> PeerAnswer:
    began = time.monotonic()
    try:
        hello = await peers.get(name).hello(host_id, host_name, PROTOCOL)
    except JaildError as error:
        return PeerAnswer(name=name, address=address, reason=error.reason, message=error.message, hint=error.hint)
    return PeerAnswer(
        name=name,
        address=address,
        called=hello.host_name,
        said=f"{hello.family} {hello.machine}, {hello.zfs_implementation}, peer protocol {hello.protocol}",
        seconds=time.monotonic() - began,
    )
