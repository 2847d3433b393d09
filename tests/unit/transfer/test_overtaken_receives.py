"""A snapshot that somebody makes of a copy while an increment comes breaks that receive: the increment is sent again.

A stream that arrives damaged is sent once more, and is an error when that is damaged too.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import NotFoundError
from jaild.model.migration.protocol import Received, ReceiveHeader
from tests.fakes.host import FakeHost
from tests.fakes.network import Network
from tests.hosts.asking import create, reason_of, serves
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate
from tests.hosts.standbys import events, hosts_with, rounds, stop, view, write, written

WEB = "tank/jaild/jails/web"
Pair = tuple[FakeHost, FakeHost]
Change = Callable[[ReceiveHeader, AsyncIterator[bytes]], AsyncIterator[bytes]]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """A host with a jail, and an empty one."""
    network = Network()
    first, second = FakeHost(tmp_path / "alpha", "alpha", network), FakeHost(tmp_path / "beta", "beta", network)
    await furnished(first)
    await second.start()
    await create(first)
    yield first, second
    await first.stop()
    await second.stop()


def changed(side: Any, change: Change) -> list[ReceiveHeader]:
    """Let `change` have a host's streams on their way in; return their headers, as they come."""
    original: Callable[[ReceiveHeader, AsyncIterator[bytes]], Awaitable[Received]] = side.receive
    headers: list[ReceiveHeader] = []

    async def receive(header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        headers.append(header)
        return await original(header, change(header, chunks))

    side.receive = receive
    return headers


def snapshot_during_receives(host: FakeHost, times: int) -> Change:
    """Let a tool snapshot the jail's datasets in the middle of a stream, each stream's first `times` tries."""
    numbers, tries = itertools.count(), dict[int, int]()

    async def change(header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        tries[header.guid] = tries.get(header.guid, 0) + 1
        async for chunk in chunks:
            yield chunk
        if tries[header.guid] <= times:
            with suppress(NotFoundError):  # it is not here yet
                await host.zfs.snapshot(WEB, f"tool-{next(numbers)}", recursive=True)

    return change


def damaged(times: int, path: str) -> Change:
    """Damage the first streams of a dataset or layer."""
    left = itertools.count(1)

    async def change(header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        spoilt = (header.layer or header.dataset) == path and next(left) <= times
        async for chunk in chunks:
            yield bytes(len(chunk)) if spoilt else chunk

    return change


async def theirs(host: FakeHost) -> list[str]:
    return [s.tag for s in await host.zfs.snapshots(f"{WEB}/data") if not s.purpose]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_snapshot_made_while_an_increment_comes_fails_no_migration_there_and_back(
    pair: Pair, times: int
) -> None:
    came = {host.name: changed(host.core.use_cases.incoming, snapshot_during_receives(host, times)) for host in pair}
    for number, (here, there) in enumerate((pair, pair[::-1], pair)):
        write(here, f"move {number}")
        came[there.name].clear()
        assert reason_of(await moved(here, there)) == ""
        assert serves(there, 1)
        assert written(there) == f"move {number}"
        increments = [h for h in came[there.name] if h.base_guid and not h.layer]
        assert {h.urgent for h in increments} == {True, False}
        assert len(increments) > times * len({h.guid for h in increments})
    for host in pair:
        assert await theirs(host)


async def moved(here: FakeHost, there: FakeHost) -> Any:
    return await here.end_of(await migrate(here, there))


async def test_a_copy_that_is_snapshotted_during_every_receive_ends_the_migration_and_says_by_whom(pair: Pair) -> None:
    source, target = pair
    changed(target.core.use_cases.incoming, snapshot_during_receives(target, 1000))
    ended = await moved(source, target)
    assert reason_of(ended) == "RECEIVE_OVERTAKEN"
    assert "tool-" in ended.failure.message
    await source.quiet()
    assert serves(source, 1)


@pytest.mark.parametrize("path", ["data", "", "bases/deb-1", "apps/web/1"])
async def test_a_stream_that_arrives_damaged_is_sent_once_more(pair: Pair, path: str) -> None:
    source, target = pair
    changed(target.core.use_cases.incoming, damaged(1, path))
    assert reason_of(await moved(source, target)) == ""
    assert serves(target, 1)


@pytest.mark.parametrize("path", ["data", "bases/deb-1"])
async def test_a_stream_that_arrives_damaged_twice_is_an_error(pair: Pair, path: str) -> None:
    source, target = pair
    headers = changed(target.core.use_cases.incoming, damaged(1000, path))
    assert reason_of(await moved(source, target)) == "STREAM_INVALID"
    assert len([h for h in headers if (h.layer or h.dataset) == path]) == 2
    await source.quiet()
    assert serves(source, 1)


async def test_a_snapshot_made_while_a_round_comes_fails_no_round(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    headers = changed(beta.core.replica_store, snapshot_during_receives(beta, 2))
    for number in range(4):
        write(alpha, f"round {number}")
        await rounds(alpha)
        assert view(alpha, "beta").message == ""
        assert not view(alpha, "beta").behind
    assert len(headers) == 3 * len({h.guid for h in headers})
    assert len(await theirs(beta)) == len(headers) * 2 / 3
    assert await events(beta, "standby.rolled_back") == []
    await stop([alpha, beta])
