"""A jail that runs is given away only when its standbys have said, at that moment, that they have not taken it over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import Ownership
from jaild.model.replication.protocol import Supersession
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import ended, reason_of, serves
from tests.hosts.cutoff import (
    Ask,
    cut,
    deployment,
    evacuation,
    fix,
    hand_over,
    joined,
    migration,
    migration_plan,
    restarting,
    salvage,
    trial_migration,
)
from tests.hosts.fleet import Gate, until
from tests.hosts.migrating import migrate
from tests.hosts.standbys import hosts_with, promote, record, stop

Three = tuple[FakeHost, FakeHost, FakeHost]
GIVING: tuple[Ask, ...] = (migration, migration_plan, evacuation, salvage, hand_over)
DOWN = "alpha is down"
VOUCHED = "beta has not taken over web"


@pytest.fixture
async def hosts(quick_path: Path) -> AsyncIterator[Three]:
    """alpha with a running jail, its standby beta, and gamma, which has nothing to do with it."""
    alpha, beta = await hosts_with(quick_path, "beta")
    gamma = await joined(alpha)
    yield alpha, beta, gamma
    await stop((alpha, beta, gamma))


@pytest.mark.parametrize("ask", GIVING, ids=lambda ask: ask.__name__)
async def test_a_running_jail_is_not_given_away_while_a_standby_is_silent(hosts: Three, ask: Ask) -> None:
    alpha, beta, gamma = hosts
    cut(alpha.network, alpha, beta)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""  # wrongly: it was the network
    before = await record(alpha)
    assert await ask(alpha, gamma) == "STANDBYS_UNCONFIRMED"
    assert await record(alpha) == before
    assert await invariants.records(gamma) == {}
    assert serves(alpha, 1)


@pytest.mark.parametrize("ask", [deployment, restarting, trial_migration], ids=lambda ask: ask.__name__)
async def test_what_leaves_a_running_jail_where_it_is_does_not_wait_for_its_standbys(hosts: Three, ask: Ask) -> None:
    alpha, beta, gamma = hosts
    cut(alpha.network, alpha, beta)
    assert await ask(alpha, gamma) == ""


@pytest.mark.parametrize("ask", GIVING, ids=lambda ask: ask.__name__)
async def test_a_jail_that_a_standby_has_taken_over_is_not_given_away_but_given_up(hosts: Three, ask: Ask) -> None:
    alpha, beta, gamma = hosts
    cut(alpha.network, alpha, beta)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    await beta.core.supervisor.end("supersede web")  # it never gets to tell
    fix(alpha.network, alpha, beta)
    assert await ask(alpha, gamma) in {"OWNER_SUPERSEDED", "nothing stayed"}
    await alpha.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert await invariants.records(gamma) == {}
    assert invariants.running(hosts, "web") == ["beta:web.1"]


async def test_the_operators_word_lets_a_running_jail_be_given_away(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    await beta.stop()
    confirm = alpha.core.use_cases.promotions.force_start
    with pytest.raises(FailedPreconditionError) as refused:
        await confirm("web", "never mind", caller=caller())
    assert refused.value.detail["confirm"] == VOUCHED
    assert "starts by itself" not in refused.value.hint
    assert reason_of(await ended(alpha, confirm("web", VOUCHED, caller=caller()))) == ""
    assert await migration(alpha, gamma) == ""
    assert serves(gamma, 1)


async def test_the_operators_word_counts_no_longer_than_a_standby_is_silent(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    cut(alpha.network, alpha, beta)
    await ended(alpha, alpha.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller()))
    fix(alpha.network, alpha, beta)
    assert await migration_plan(alpha, gamma) == ""  # it has been heard
    cut(alpha.network, alpha, beta)
    assert await migration(alpha, gamma) == "STANDBYS_UNCONFIRMED"


async def test_the_operators_word_counts_no_longer_than_the_jail_is_here(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    cut(alpha.network, alpha, beta)
    cut(alpha.network, gamma, beta)
    await ended(alpha, alpha.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller()))
    assert await migration(alpha, gamma) == ""
    await ended(gamma, gamma.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller()))
    assert await migration(gamma, alpha) == ""
    assert await migration(alpha, gamma) == "STANDBYS_UNCONFIRMED"


async def test_a_standby_that_falls_silent_during_a_migration_is_waited_for_and_the_jail_serves(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    operation = await migrate(alpha, gamma)
    await cut_while_sending(alpha, beta, gamma)
    await until(alpha, operation, lambda: alpha.core.use_cases.operations.get(operation.id).away)
    assert VOUCHED in alpha.core.use_cases.operations.get(operation.id).message
    assert serves(alpha, 1)
    fix(alpha.network, alpha, beta)
    assert reason_of(await alpha.end_of(operation)) == ""
    assert serves(gamma, 1)


async def test_a_standby_that_is_promoted_during_a_migration_ends_it(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    operation = await migrate(alpha, gamma)
    await cut_while_sending(alpha, beta, gamma)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    await beta.core.supervisor.end("supersede web")  # it never gets to tell
    fix(alpha.network, alpha, beta)
    assert reason_of(await alpha.end_of(operation)) == "OWNER_SUPERSEDED"
    await alpha.quiet()
    await gamma.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert await invariants.records(gamma) == {}
    assert invariants.running(hosts, "web") == ["beta:web.1"]


async def test_a_migration_that_waits_for_a_silent_standby_can_be_cancelled(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    operation = await migrate(alpha, gamma)
    await cut_while_sending(alpha, beta, gamma)
    await until(alpha, operation, lambda: alpha.core.use_cases.operations.get(operation.id).away)
    await alpha.core.use_cases.operations.cancel(operation.id, caller())
    assert reason_of(await alpha.end_of(operation)) == "OPERATION_CANCELLED"
    assert serves(alpha, 1)


async def test_a_failover_that_is_told_while_the_jail_is_frozen_stops_its_hand_over(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    prepared, go_on = asyncio.Event(), asyncio.Event()
    original = gamma.core.use_cases.incoming.prepare

    async def prepare(migration: str, epoch: int, guids: dict[str, int]) -> None:
        prepared.set()
        await go_on.wait()
        await original(migration, epoch, guids)

    gamma.core.use_cases.incoming.prepare = prepare  # type: ignore[method-assign]
    told = answers_to_failovers(alpha)
    operation = await migrate(alpha, gamma)
    await prepared.wait()
    assert (await record(alpha)).state is Ownership.FROZEN
    cut(alpha.network, alpha, beta)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    fix(alpha.network, alpha, beta)
    await told.wait()  # it is busy, and told again
    go_on.set()
    assert reason_of(await alpha.end_of(operation)) == "STANDBYS_UNCONFIRMED"
    await alpha.quiet()
    await gamma.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert invariants.running(hosts, "web") == ["beta:web.1"]
    assert await invariants.unsafe(hosts, "web") == []


def answers_to_failovers(host: FakeHost) -> asyncio.Event:
    """Return what is set when a host has answered to a failover."""
    fencing, answered = host.core.fencing, asyncio.Event()
    original = fencing.supersede

    async def supersede(told: Supersession) -> int:
        try:
            return await original(told)
        finally:
            answered.set()

    fencing.supersede = supersede  # type: ignore[method-assign]
    return answered


async def cut_while_sending(alpha: FakeHost, beta: FakeHost, gamma: FakeHost) -> None:
    """Part alpha from beta when the jail's first bytes arrive at gamma, and let them arrive."""
    gate = Gate(gamma, "web")
    await gate.reached.wait()
    cut(alpha.network, alpha, beta)
    gate.open.set()
