"""The fakes' network is the real edge without its wire: what does not survive that does not survive this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import (
    FailedPreconditionError,
    InternalError,
    JaildError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)
from jaild.model.migration.protocol import Acceptance, HostHello, JailOffer, Offer, Received, ReceiveHeader
from jaild.model.problems import Problem, Severity
from jaild.ports.peer import Peer
from jaild.rpc import auth
from tests.fakes.host import FakeHost
from tests.fakes.network import LinkedPeers, Network

OFFER = Offer(
    migration="m",
    source_id="id",
    source_name="alpha",
    jail=JailOffer(name="web", uid="u", epoch=1, generation=1, generation_json="{}"),
)


@pytest.fixture
async def pair(quick_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    network = Network()
    hosts = FakeHost(quick_path / "alpha", "alpha", network), FakeHost(quick_path / "beta", "beta", network)
    for host in hosts:
        await host.start()
    yield hosts
    for host in hosts:
        await host.stop()


def beta_of(pair: tuple[FakeHost, FakeHost]) -> Peer:
    return LinkedPeers(pair[0].network, pair[0]).get("beta")


def answers(host: FakeHost, method: str, error: BaseException) -> None:
    """Let a use case of a host raise it."""

    async def raises(*_args: object, **_named: object) -> None:
        raise error

    setattr(host.core.use_cases.incoming, method, raises)


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("x"), OSError(5, "EIO"), TimeoutError()])
async def test_any_exception_that_is_not_ours_arrives_as_internal(
    pair: tuple[FakeHost, FakeHost], error: Exception
) -> None:
    answers(pair[1], "preflight", error)
    with pytest.raises(InternalError) as caught:
        await beta_of(pair).preflight(OFFER)
    assert (caught.value.reason, caught.value.detail["peer"]) == ("INTERNAL", "beta")


async def test_an_error_of_ours_arrives_as_its_kind_without_what_proves_its_problems(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    problem = Problem(severity=Severity.ERROR, code="C", message="m", evidence=("long",))
    said = FailedPreconditionError("ODD", "no", hint="r", resource="jails/web", detail={"a": "b"}, problems=[problem])
    answers(pair[1], "preflight", said)
    with pytest.raises(FailedPreconditionError) as caught:
        await beta_of(pair).preflight(OFFER)
    got = caught.value
    assert got is not said
    assert (got.reason, got.message, got.hint, got.resource) == ("ODD", "no", "r", "jails/web")
    assert got.detail == {"a": "b", "peer": "beta"}
    assert got.problems == (msgspec.structs.replace(problem, evidence=()),)


async def test_a_cancellation_there_is_answered_here(pair: tuple[FakeHost, FakeHost]) -> None:
    answers(pair[1], "preflight", asyncio.CancelledError())
    with pytest.raises(UnavailableError) as caught:
        await beta_of(pair).preflight(OFFER)
    assert caught.value.reason == "INTERRUPTED"


async def test_a_caller_that_is_cancelled_hangs_up_and_does_not_wait(pair: tuple[FakeHost, FakeHost]) -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def slow(_offer: Offer) -> Acceptance:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.set()
            raise
        raise AssertionError

    pair[1].core.use_cases.incoming.preflight = slow  # type: ignore[method-assign, assignment]
    call = asyncio.create_task(beta_of(pair).preflight(OFFER))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await told.wait()


async def test_what_is_above_the_limit_of_a_message_is_not_sent(pair: tuple[FakeHost, FakeHost]) -> None:
    jail = msgspec.structs.replace(OFFER.jail, generation_json="x" * (9 << 20))
    with pytest.raises(ResourceExhaustedError) as caught:
        await beta_of(pair).preflight(msgspec.structs.replace(OFFER, jail=jail))
    assert caught.value.reason == "PEER_RESOURCE_EXHAUSTED"


async def test_the_callee_knows_its_caller_by_the_certificates_name(pair: tuple[FakeHost, FakeHost]) -> None:
    seen: list[str] = []

    async def hello(host_id: str, host_name: str, protocol: int) -> HostHello:
        seen.append(auth.current().actor)
        return HostHello(host_id=host_id, host_name=host_name, protocol=protocol)

    pair[1].core.use_cases.incoming.hello = hello  # type: ignore[method-assign]
    await beta_of(pair).hello("id", "alpha", 1)
    assert seen == ["alpha"]
    with pytest.raises(PermissionDeniedError) as caught:
        await beta_of(pair).preflight(msgspec.structs.replace(OFFER, source_name="gamma"))
    assert caught.value.reason == "PEER_MISMATCH"


async def test_a_stream_that_breaks_here_is_not_whole_there_and_its_own_error_is_told_here(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    there: list[JaildError] = []

    async def receive(_header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        try:
            async for _ in chunks:
                pass
        except JaildError as error:
            there.append(error)
            raise
        raise AssertionError

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise InternalError("COMMAND_FAILED", "zfs send", hint="none")

    pair[1].core.use_cases.incoming.receive = receive  # type: ignore[method-assign, assignment]
    with pytest.raises(InternalError) as caught:
        await beta_of(pair).receive(ReceiveHeader(migration="m", tag="t", guid=1), broken())
    assert caught.value.reason == "COMMAND_FAILED"
    while pair[1].serving:
        await asyncio.wait(list(pair[1].serving))
    assert [error.reason for error in there] == ["STREAM_TRUNCATED"]


async def test_hosts_that_are_cut_off_from_each_other_reach_others(pair: tuple[FakeHost, FakeHost]) -> None:
    alpha, beta = pair
    gamma = FakeHost(alpha.folder.parent / "gamma", "gamma", alpha.network)
    await gamma.start()
    alpha.network.apart.add(frozenset({"alpha", "beta"}))
    with pytest.raises(UnavailableError) as caught:
        await beta_of(pair).hello("alpha's id", "alpha", 1)
    assert caught.value.reason == "PEER_UNREACHABLE"
    assert (await LinkedPeers(alpha.network, gamma).get("beta").hello("gamma's id", "gamma", 1)).host_name == "beta"
    alpha.network.heal()
    assert (await beta_of(pair).hello("alpha's id", "alpha", 1)).host_name == "beta"
    await gamma.stop()
    assert beta.core.inventory.jails == {}
