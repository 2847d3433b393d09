"""A base fetched from another host: the same one there and here, all of it or nothing."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from jaild.model.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    JaildError,
    NotFoundError,
    PermissionDeniedError,
)
from jaild.model.migration.party import Introduction
from jaild.model.operation import Operation
from tests.fakes.edge import failure
from tests.fakes.faults import Effect
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts.asking import create, reason_of
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate
from tests.hosts.points import points

BASE = "tank/jaild/bases/deb-1"
Pair = tuple[FakeHost, FakeHost]


async def two(folder: Path) -> Pair:
    """A host with bases, and an empty one."""
    network = Network()
    alpha, beta = FakeHost(folder / "alpha", "alpha", network), FakeHost(folder / "beta", "beta", network)
    await furnished(alpha)
    await beta.start()
    return alpha, beta


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    alpha, beta = await two(tmp_path)
    yield alpha, beta
    await alpha.stop()
    await beta.stop()


async def asked(host: FakeHost, base: str = "deb-1", peer: str = "alpha", **how: Any) -> Operation:
    return await host.core.use_cases.fetch.fetch(base, peer, caller=caller(), **how)


async def fetched(host: FakeHost, base: str = "deb-1", peer: str = "alpha", **how: Any) -> Operation:
    return await host.end_of(await asked(host, base, peer, **how))


async def bases(host: FakeHost) -> list[str]:
    return [dataset.name for dataset in await host.zfs.datasets("tank/jaild/bases")][1:]


def streams_of(host: FakeHost, change: Callable[[AsyncIterator[bytes], int], AsyncIterator[bytes]]) -> list[int]:
    """Let `change` have each stream on its way in, with its number; return how many bytes of each came."""
    receive: Any = host.zfs.receive
    sizes: list[int] = []

    async def counted(chunks: AsyncIterator[bytes], number: int) -> AsyncIterator[bytes]:
        async for chunk in change(chunks, number):
            sizes[number] += len(chunk)
            yield chunk

    async def changed(name: str, chunks: AsyncIterator[bytes], **how: Any) -> None:
        sizes.append(0)
        await receive(name, counted(chunks, len(sizes) - 1), **how)

    zfs: Any = host.zfs
    zfs.receive = changed
    return sizes


async def half(chunks: AsyncIterator[bytes], then: BaseException) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk[: len(chunk) // 2]
        raise then


async def test_a_base_of_a_peer_is_the_same_here_and_jails_on_it_move(pair: Pair) -> None:
    alpha, beta = pair
    operation = await fetched(beta)
    assert (reason_of(operation), operation.result) == ("", "bases/deb-1")
    there, here = alpha.core.inventory.base("deb-1"), beta.core.inventory.base("deb-1")
    assert (here.guid, here.record) == (there.guid, there.record)
    assert (await beta.zfs.dataset(BASE)).readonly
    assert operation.bytes_done > 0
    await beta.restart()
    assert beta.core.inventory.base("deb-1").guid == there.guid
    await create(alpha)
    assert reason_of(await alpha.end_of(await migrate(alpha, beta))) == ""


async def test_its_plan_says_what_would_come_and_nothing_is_changed(pair: Pair) -> None:
    alpha, beta = pair
    operation = await asked(beta, validate_only=True)
    guid = alpha.core.inventory.base("deb-1").guid
    assert operation.done
    assert operation.plan is not None
    assert operation.plan.steps[0].startswith("fetch bases/deb-1 from alpha: ")
    assert operation.plan.steps[1] == f"compare its guid, {guid}"
    assert await bases(beta) == []


async def test_what_cannot_be_is_refused_with_nothing_touched(pair: Pair) -> None:
    alpha, beta = pair
    for host, base, peer, kind in (
        (alpha, "deb-1", "beta", AlreadyExistsError),
        (beta, "deb-1", "gamma", NotFoundError),
        (beta, "deb-1", "beta", NotFoundError),
    ):
        with pytest.raises(kind):
            await asked(host, base, peer)
    assert reason_of(await fetched(beta, "deb-9")) == "BASE_NOT_FOUND"
    refused = await fetched(beta, sha256="0" * 64)
    assert reason_of(refused) == "PLAN_REFUSED"
    assert refused.failure is not None
    assert [problem.code for problem in refused.failure.problems] == ["DIGEST_MISMATCH"]
    alpha.network.sever()
    assert reason_of(await fetched(beta)) == "PEER_UNREACHABLE"
    alpha.network.heal()
    assert await bases(beta) == []


async def test_what_does_not_fit_is_not_begun(pair: Pair) -> None:
    alpha, beta = pair
    layers = alpha.core.inventory.bases
    layers["deb-1"] = replace(layers["deb-1"], used=1 << 60)
    plan = (await asked(beta, validate_only=True)).plan
    assert plan is not None
    assert [problem.code for problem in plan.problems] == ["NO_SPACE"]


async def test_a_link_that_is_lost_is_tried_again_and_the_rest_is_sent(pair: Pair) -> None:
    _, beta = pair
    lost = failure(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    sizes = streams_of(beta, lambda chunks, number: half(chunks, lost) if number == 0 else chunks)
    assert reason_of(await fetched(beta)) == ""
    assert len(sizes) == 2
    assert sizes[1] < 2 * sizes[0] + 200, "it was sent anew, and not from where it was lost"
    assert "deb-1" in beta.core.inventory.bases


async def test_a_token_that_is_of_no_use_any_more_is_not_gone_on_from(pair: Pair) -> None:
    alpha, beta = pair
    lost = failure(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    sizes = streams_of(beta, lambda chunks, number: half(chunks, lost) if number == 0 else chunks)
    stale = JaildError("TOKEN_STALE", "no such token", hint="begin anew")
    send: Any = alpha.zfs.send

    def refusing(snapshot: str, *, token: str | None = None, **how: Any) -> Any:
        if token is not None:
            raise stale
        return send(snapshot, token=token, **how)

    zfs: Any = alpha.zfs
    zfs.send = refusing
    operation = await fetched(beta)
    assert reason_of(operation) in {"", "TOKEN_STALE"}
    assert "deb-1" in beta.core.inventory.bases
    assert sizes[-1] > sizes[0]


async def test_of_what_is_given_up_nothing_is_left(pair: Pair) -> None:
    _, beta = pair
    streams_of(beta, lambda chunks, _: half(chunks, JaildError("STREAM_INVALID", "spoilt", hint="send it again")))
    assert reason_of(await fetched(beta)) == "STREAM_INVALID"
    assert await bases(beta) == []


async def test_what_is_being_read_is_not_deleted(pair: Pair) -> None:
    alpha, beta = pair
    refusals: list[str] = []

    async def deleting(chunks: AsyncIterator[bytes], _: int) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            with pytest.raises(FailedPreconditionError) as caught:
                await alpha.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
            refusals.append(caught.value.reason)
            yield chunk

    streams_of(beta, deleting)
    assert reason_of(await fetched(beta)) == ""
    assert set(refusals) == {"SNAPSHOTS_IN_USE"}
    again = await alpha.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
    assert reason_of(await alpha.end_of(again)) == ""


async def test_only_who_is_who_he_says_is_told(pair: Pair) -> None:
    _, beta = pair
    layers = beta.core.rooms.engine.ports.peers.get("alpha").layers
    with pytest.raises(PermissionDeniedError, match="beta speaks in the name of gamma"):
        await layers.describe("bases/deb-1", Introduction("h", "gamma"))


@pytest.mark.exhaustive
async def test_of_a_fetch_that_was_killed_nothing_or_all_is_there_and_its_operation_says_which(
    quick_path: Path,
) -> None:
    calls, problems = await killed(quick_path / "clean", None)
    assert problems == []
    failures = []
    for number, call in points(calls):
        _, problems = await killed(quick_path / str(number), number)
        failures += [f"killed before {number} ({call}): {problem}" for problem in problems]
    assert not failures, "\n".join(failures)


async def killed(folder: Path, at: int | None) -> tuple[list[str], list[str]]:
    """Kill the daemon that fetches before a call (None: never); return the calls, and what was wrong afterwards."""
    alpha, beta = await two(folder)
    life, operation = beta.life, await asked(beta)
    life.at, life.effect, life.counting = at, Effect.CRASH, True
    operation = await beta.end_of(operation)
    life.counting = False
    await beta.restart()
    found, wrong = beta.core.use_cases.operations.get(operation.id), []
    whole = "deb-1" in beta.core.inventory.bases
    if await bases(beta) != [BASE] * whole:
        wrong.append("half of it is there")
    if reason_of(found) != ("" if whole else "DAEMON_STOPPED"):
        wrong.append(f"it is {'there' if whole else 'not there'}, and told is {reason_of(found) or 'that it is done'}")
    if not whole and reason_of(await fetched(beta)):
        wrong.append("it cannot be asked for again")
    await alpha.stop()
    await beta.stop()
    shutil.rmtree(folder)
    return life.calls, wrong
