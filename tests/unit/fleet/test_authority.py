"""Nothing is done with a jail that its standby may have taken over: whoever asks, by whichever verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model.layers.records import Desired, Ownership
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts import invariants
from tests.hosts.asking import ended, reason_of, serves
from tests.hosts.cutoff import EVERYTHING, back, cut, fix, joined, replaced
from tests.hosts.migrating import migrate
from tests.hosts.standbys import booted, happened, hosts_with, promote, record, rounds, stop

VOUCHED = "beta has not taken over web"


@pytest.mark.parametrize("stopped", [False, True], ids=["to run", "stopped"])
async def test_a_host_that_comes_back_cut_off_from_the_standby_that_was_promoted_does_nothing_with_the_jail(
    quick_path: Path, *, stopped: bool
) -> None:
    alpha, beta, gamma = hosts = await replaced(quick_path, stopped=stopped)
    cut(alpha.network, alpha, beta)
    await back(alpha)
    before = await record(alpha)
    running = [] if stopped else ["beta:web.1"]
    for ask in EVERYTHING:
        assert (ask.__name__, await ask(alpha, gamma)) == (ask.__name__, "STANDBYS_UNCONFIRMED")
        assert (ask.__name__, await record(alpha)) == (ask.__name__, before)
        assert (ask.__name__, await invariants.records(gamma)) == (ask.__name__, {})
        assert (ask.__name__, invariants.running(hosts, "web")) == (ask.__name__, running)
        assert alpha.core.use_cases.jails.get("web").state is JailState.WAITING
    fix(alpha.network, alpha, beta)
    await alpha.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert await invariants.unsafe(hosts, "web") == []
    await stop(hosts)


@pytest.mark.parametrize("stopped", [False, True], ids=["to run", "stopped"])
async def test_a_migration_that_a_reboot_interrupted_is_gone_on_with_only_when_the_standbys_have_been_heard(
    tmp_path: Path, *, stopped: bool
) -> None:
    alpha, beta, gamma = hosts = await interrupted(tmp_path, stopped=stopped)
    assert reason_of(await promote(beta, down=True, confirm="alpha is down")) == ""
    cut(alpha.network, alpha, beta)
    await back(alpha)
    await happened(alpha, "jail.waiting")
    operation = next(op for op in alpha.core.use_cases.operations.list() if op.kind == "migrate")
    assert not operation.done
    assert (await record(alpha)).state is Ownership.ACTIVE
    fix(alpha.network, alpha, beta)
    assert reason_of(await alpha.end_of(operation)) == "JAIL_FENCED"
    await alpha.quiet()
    await gamma.quiet()
    assert await invariants.records(gamma) == {}
    assert await invariants.unsafe(hosts, "web") == []
    await stop(hosts)


@pytest.mark.parametrize("stopped", [False, True], ids=["to run", "stopped"])
async def test_a_migration_that_a_reboot_interrupted_goes_on_when_no_standby_has_taken_the_jail_over(
    tmp_path: Path, *, stopped: bool
) -> None:
    alpha, beta, gamma = hosts = await interrupted(tmp_path, stopped=stopped)
    cut(alpha.network, alpha, beta)
    await back(alpha)
    await happened(alpha, "jail.waiting")
    operation = next(op for op in alpha.core.use_cases.operations.list() if op.kind == "migrate")
    fix(alpha.network, alpha, beta)
    assert reason_of(await alpha.end_of(operation)) == ""
    assert (await record(gamma)).state is Ownership.ACTIVE
    assert invariants.running(hosts, "web") == ([] if stopped else ["gamma:web.1"])
    await stop(hosts)


async def interrupted(folder: Path, *, stopped: bool) -> tuple[FakeHost, FakeHost, FakeHost]:
    """Return alpha, dead in the middle of a migration to gamma, its jail's standby beta, and gamma."""
    alpha, beta = await hosts_with(folder, "beta")
    gamma = await joined(alpha)
    if stopped:
        await ended(alpha, alpha.core.use_cases.jails.stop("web", caller=caller()))
        await rounds(alpha)
    network = alpha.network
    network.at, network.fault, network.counting = ("alpha>gamma receive data", 0), Fault.CALLER_DIES, True
    await alpha.end_of(await migrate(alpha, gamma))
    network.counting = False
    assert alpha.life.dead
    await alpha.kill()
    return alpha, beta, gamma


async def test_no_round_is_sent_for_a_jail_that_may_have_been_taken_over(tmp_path: Path) -> None:
    alpha, beta, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
    await alpha.stop()
    cut(alpha.network, alpha, beta)
    kept = (await record(gamma)).replica
    await back(alpha)
    await rounds(alpha)
    assert (await record(gamma)).replica == kept
    fix(alpha.network, alpha, beta)
    await booted(alpha)
    await rounds(alpha)
    assert (await record(gamma)).replica != kept
    await stop(hosts)


async def test_a_jail_that_may_have_been_taken_over_can_be_stopped_and_looked_at(tmp_path: Path) -> None:
    alpha, beta, gamma = hosts = await replaced(tmp_path)
    cut(alpha.network, alpha, beta)
    await back(alpha)
    stopped = await ended(alpha, alpha.core.use_cases.jails.stop("web", caller=caller()))
    assert reason_of(stopped) == ""
    assert (await record(alpha)).desired is Desired.STOPPED
    assert "beta" in alpha.core.use_cases.jails.get("web").message
    del gamma
    await stop(hosts)


async def test_a_stopped_jail_waits_for_its_standbys_too_and_stays_stopped_when_they_have_answered(
    tmp_path: Path,
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    await ended(alpha, alpha.core.use_cases.jails.stop("web", caller=caller()))
    cut(alpha.network, alpha, beta)
    await alpha.restart(reboot=True)
    await happened(alpha, "jail.waiting")
    assert alpha.core.use_cases.jails.get("web").state is JailState.WAITING
    fix(alpha.network, alpha, beta)
    await alpha.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.STOPPED
    assert invariants.running(hosts, "web") == []
    await stop(hosts)


async def test_the_operators_word_frees_a_stopped_jail_and_does_not_start_it(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await ended(alpha, alpha.core.use_cases.jails.stop("web", caller=caller()))
    await beta.stop()
    await alpha.restart(reboot=True)
    await alpha.core.supervisor.over("boot")
    freed = await ended(alpha, alpha.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller()))
    assert reason_of(freed) == ""
    assert alpha.core.use_cases.jails.get("web").state is JailState.STOPPED
    started = await ended(alpha, alpha.core.use_cases.jails.start("web", caller=caller()))
    assert reason_of(started) == ""
    assert serves(alpha, 1)
    await alpha.stop()
