"""A source that was away while its migration was under way: its target may have adopted the jail, and must be heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model.layers.records import Ownership
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.adopting import DOWN, adopt, interrupted
from tests.hosts.asking import reason_of, serves
from tests.hosts.cutoff import back, cut, fix
from tests.hosts.standbys import booted, happened, record, stop

VOUCHED = "beta has not taken over web"


async def back_alone(folder: Path, before: str, *, adopted: bool) -> tuple[FakeHost, FakeHost]:
    """Return alpha, booted again after it died in the middle of a migration, cut off from its target; and that."""
    alpha, beta = await interrupted(folder, before)
    if adopted:
        assert reason_of(await adopt(beta, DOWN)) == ""
    cut(alpha.network, alpha, beta)
    alpha.runtime.calls.clear()
    await back(alpha)
    await happened(alpha, "jail.waiting")
    return alpha, beta


@pytest.mark.parametrize("before", ["alpha>beta receive data", "alpha>beta prepare"])
async def test_it_does_not_start_the_jail_before_the_target_has_been_heard(tmp_path: Path, before: str) -> None:
    alpha, beta = await back_alone(tmp_path, before, adopted=False)
    assert alpha.core.use_cases.jails.get("web").state is JailState.WAITING
    assert [call for call in alpha.runtime.calls if call[0] == "start"] == []
    fix(alpha.network, alpha, beta)
    await booted(alpha)
    await alpha.quiet()
    assert await invariants.unsafe((alpha, beta), "web") == []
    assert len(invariants.running([alpha, beta], "web")) == 1
    await stop((alpha, beta))


async def test_it_is_fenced_when_the_target_that_adopted_the_jail_is_heard(tmp_path: Path) -> None:
    alpha, beta = await back_alone(tmp_path, "alpha>beta prepare", adopted=True)
    assert invariants.running([alpha, beta], "web") == ["beta:web.1"]
    fix(alpha.network, alpha, beta)
    await alpha.quiet()
    assert (await record(alpha)).state is Ownership.FENCED
    assert [call for call in alpha.runtime.calls if call[0] == "start"] == []
    await stop((alpha, beta))


async def test_it_starts_the_jail_on_the_operators_word_for_a_target_that_is_gone(tmp_path: Path) -> None:
    alpha, beta = await back_alone(tmp_path, "alpha>beta prepare", adopted=False)
    confirmed = await alpha.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller())
    assert reason_of(await alpha.end_of(confirmed)) == ""
    assert serves(alpha, 1)
    await stop((alpha, beta))


async def test_a_target_that_is_no_peer_any_more_is_told_nothing_and_not_waited_for_the_next_time(
    tmp_path: Path,
) -> None:
    alpha, beta = await back_alone(tmp_path, "alpha>beta prepare", adopted=False)
    await beta.stop()
    del alpha.network.hosts["beta"]
    await alpha.stop()
    await alpha.start()
    await alpha.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller())
    await alpha.quiet()
    await back(alpha)
    await alpha.quiet()
    assert serves(alpha, 1)
    await alpha.stop()


async def test_a_jail_that_ran_on_while_its_daemon_was_away_does_not_wait_for_a_silent_target(tmp_path: Path) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta receive data")
    cut(alpha.network, alpha, beta)
    await alpha.start()
    assert serves(alpha, 1)
    assert alpha.core.use_cases.jails.get("web").state is JailState.RUNNING
    await stop((alpha, beta))
