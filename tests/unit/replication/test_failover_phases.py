"""A failover by force, phase by phase: what its operation tells, what a cancel leaves, what fails after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from jaild.model import layout
from jaild.model.errors import InternalError, UnavailableError
from jaild.model.layers.records import Ownership
from jaild.model.migration.journal import Journal
from jaild.model.operation import Operation, Outcome
from tests.fakes.host import ROOT, FakeHost, caller
from tests.hosts import invariants
from tests.hosts.adopting import adopt, interrupted
from tests.hosts.asking import reason_of, serves
from tests.hosts.picture import picture
from tests.hosts.standbys import booted, events, hosts_with, promote, record, stop, written

DOWN = "alpha is down"
BEFORE = ["check", "claim", "ask", "return"]
AFTER = ["commit", "settle", "tell", "activate"]


def phases(operation: Operation) -> dict[str, Outcome]:
    return {report.name: report.outcome for report in operation.phases}


async def asked(host: FakeHost) -> Operation:
    """Ask for the jail to be taken over by force."""
    promotions = host.core.use_cases.promotions
    return await promotions.promote("web", owner_is_down=True, confirm=DOWN, validate_only=False, caller=caller())


async def cancelled_in(host: FakeHost, phase: str) -> Operation:
    """Take the jail over by force, cancel as soon as that phase is reached, and return how it ended."""
    operation, operations = await asked(host), host.core.use_cases.operations
    async for seen in operations.watch(operation.id):
        if seen.phase == phase and not seen.cancel_requested:
            await operations.cancel(operation.id, caller())
    return await host.end_of(operation)


async def test_a_failover_by_force_tells_each_phase_once(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    done = await promote(beta, down=True, confirm=DOWN)
    assert phases(done) == dict.fromkeys(BEFORE + AFTER, Outcome.DONE)
    assert len(done.phases) == len(BEFORE + AFTER)
    await beta.stop()


@pytest.mark.parametrize("phase", BEFORE)
async def test_cancelled_in_any_phase_before_its_commit_point_it_leaves_the_standby_as_it_was(
    tmp_path: Path, phase: str
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    before = await picture(beta)
    ended = await cancelled_in(beta, phase)
    assert reason_of(ended) == "OPERATION_CANCELLED"
    assert phases(ended)[phase] is Outcome.FAILED
    assert ended.facts.get("cleanup_pending") is None
    assert await picture(beta) == before
    assert (await record(beta)).state is Ownership.STANDBY
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    assert serves(beta, 1)
    assert written(beta) == "first"
    await beta.stop()


async def test_a_failover_that_is_given_up_tells_that_its_claim_was_withdrawn(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    until = beta.clock.time + 9.0  # silent when first asked, and back before it is asked again for the last time
    alpha.network.separates = lambda *_: beta.clock.time < until  # type: ignore[method-assign]
    ended = await promote(beta, down=True, confirm=DOWN)
    assert reason_of(ended) == "OWNER_ANSWERS"
    assert phases(ended) == {"check": Outcome.DONE, "claim": Outcome.UNDONE, "ask": Outcome.FAILED}
    assert (await record(beta)).state is Ownership.STANDBY
    await stop(hosts)


async def test_what_cannot_be_written_down_after_the_commit_keeps_no_jail_from_serving(tmp_path: Path) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta prepare")
    put = beta.core.journals.put

    async def full(journal: Journal) -> None:
        raise UnavailableError("STORE_FULL", f"no space left for {journal.id}", hint="free some")

    beta.core.journals.put = full  # type: ignore[method-assign]
    done = await adopt(beta, DOWN)
    beta.core.journals.put = put  # type: ignore[method-assign]
    assert reason_of(done) == ""
    assert serves(beta, 1)
    assert "settle: no space left" in done.facts["cleanup_pending"]
    assert any("from alpha" in event for event in await events(beta, "jail.promoted"))
    assert phases(done)["settle"] is Outcome.CLEANUP_PENDING
    await stop((alpha, beta))


def at_commit(host: FakeHost, error: BaseException, *, lasting: bool) -> None:
    """Let the one `zfs set` that makes the jail the host's raise an error, although it was carried out (`lasting`)."""
    original = host.zfs.set

    async def failing(name: str, properties: Mapping[str, str], *others: str) -> None:
        is_commit = '"state":"active"' in properties.get(layout.JAIL_PROPERTY, "")
        if lasting or not is_commit:
            await original(name, properties, *others)
        if is_commit:
            host.zfs.set = original  # type: ignore[method-assign]
            raise error

    host.zfs.set = failing  # type: ignore[method-assign]


async def test_a_commit_that_was_not_carried_out_leaves_the_standby_as_it_was(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    before = await record(beta)
    at_commit(beta, InternalError("COMMAND_FAILED", "I/O error", hint="see the pool"), lasting=False)
    ended = await promote(beta, down=True, confirm=DOWN)
    assert reason_of(ended) == "COMMAND_FAILED"
    assert phases(ended) == {**dict.fromkeys(BEFORE, Outcome.DONE), "claim": Outcome.UNDONE, "commit": Outcome.FAILED}
    assert await record(beta) == before
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    assert serves(beta, 1)
    await beta.stop()


async def test_a_daemon_that_ends_at_the_commit_has_its_successor_open_and_start_the_jail(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    at_commit(beta, asyncio.CancelledError(), lasting=True)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == "DAEMON_STOPPED"
    assert (await record(beta)).state is Ownership.ACTIVE
    assert invariants.running([beta], "web") == []
    await beta.restart()
    await booted(beta)
    assert serves(beta, 1)
    assert written(beta) == "first"
    assert [dataset.name for dataset in await beta.zfs.datasets(f"{ROOT}/jails/web") if dataset.readonly] == []
    await beta.stop()


async def test_a_claim_that_a_dead_daemon_left_is_withdrawn_by_its_successor(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    before = await record(beta)
    operation = await asked(beta)
    async for seen in beta.core.use_cases.operations.watch(operation.id):
        if seen.phase == "ask":
            break
    assert (await record(beta)).state is Ownership.CLAIMED
    await beta.restart()
    assert await record(beta) == before
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    await beta.stop()
