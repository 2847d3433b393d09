"""Taking a jail over from its standby: handed over by an owner that answers, or on the operator's word."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.layers.records import Ownership
from jaild.model.replication.policy import LEAP
from jaild.model.replication.protocol import Supersession
from jaild.model.views import JailState
from tests.fakes.host import ROOT, FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts import invariants
from tests.hosts.asking import delete, reason_of, serves
from tests.hosts.migrating import migrate
from tests.hosts.standbys import (
    events,
    happened,
    hosts_with,
    promote,
    record,
    rounds,
    stop,
    view,
    write,
    written,
)

DOWN = "alpha is down"


async def refusal(host: FakeHost, *, down: bool = False, confirm: str = "") -> FailedPreconditionError:
    """Return why a promotion is refused, having seen that it changed nothing."""
    before = await record(host)
    with pytest.raises(FailedPreconditionError) as refused:
        await promote(host, down=down, confirm=confirm)
    assert await record(host) == before
    return refused.value


async def test_an_owner_that_answers_hands_over_and_nothing_is_lost(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    write(alpha, "after the last round")
    done = await promote(beta)
    assert reason_of(done) == ""
    assert done.facts["lost"] == "nothing"
    assert serves(beta, 1)
    assert written(beta) == "after the last round"
    assert (await record(alpha)).state is Ownership.MOVED
    assert (await record(beta)).epoch == 2
    assert invariants.running(hosts, "web") == ["beta:web.1"]
    await stop(hosts)


async def test_an_owner_that_answers_cannot_be_said_to_be_down(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert (await refusal(beta, down=True, confirm=DOWN)).reason == "OWNER_ANSWERS"
    assert serves(alpha, 1)
    await stop(hosts)


def away(owner: FakeHost, asker: FakeHost, seconds: float) -> None:
    """Let no call through for some seconds by the asker's clock: so long a lost connection is not made again."""
    until = asker.clock.time + seconds
    owner.network.separates = lambda *_: asker.clock.time < until  # type: ignore[method-assign]


@pytest.mark.parametrize("seconds", [0.1, 4.0, 7.0])
async def test_an_owner_whose_connection_is_only_just_being_made_again_is_not_taken_for_one_that_is_down(
    tmp_path: Path, seconds: float
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    write(alpha, "after the last round")
    away(alpha, beta, seconds)
    assert (await refusal(beta, down=True, confirm=DOWN)).reason == "OWNER_ANSWERS"
    assert serves(alpha, 1)
    away(alpha, beta, seconds)
    assert (await promote(beta)).facts["lost"] == "nothing"
    assert invariants.running(hosts, "web") == ["beta:web.1"]
    assert written(beta) == "after the last round"
    await stop(hosts)


@pytest.mark.parametrize("seconds", [9.0, 15.0])
async def test_an_owner_that_answers_only_after_the_claim_keeps_its_jail(tmp_path: Path, seconds: float) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    away(alpha, beta, seconds)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == "OWNER_ANSWERS"
    assert (await record(beta)).state is Ownership.STANDBY
    assert serves(alpha, 1)
    await stop(hosts)


async def test_without_the_operators_words_nothing_is_taken_over_and_the_words_are_told(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    alpha.network.sever()
    for said in ({}, {"down": True}, {"down": True, "confirm": "yes"}, {"confirm": DOWN}):
        beta.clock.time = alpha.clock.time + 30
        refused = await refusal(beta, **said)
        assert refused.reason == "CONFIRMATION_NEEDED"
        assert refused.detail["confirm"] == DOWN
        assert f'--owner-is-down --confirm "{DOWN}"' in refused.hint
        assert re.search(r"\(3\d s ago\)", refused.message)  # and what the questions took
    await stop(hosts)


async def test_a_standby_taken_over_on_the_operators_word_serves_the_last_whole_round(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    write(alpha, "never sent")
    await alpha.stop()
    done = await promote(beta, down=True, confirm=DOWN)
    assert reason_of(done) == ""
    assert done.facts["from_host"] == "alpha"
    assert serves(beta, 1)
    assert written(beta) == "first"
    mine = await record(beta)
    assert mine.epoch > 1 + LEAP - 1
    assert mine.failover is not None
    assert mine.failover.untold == ("alpha",)
    assert any("alpha" in event for event in await events(beta, "jail.promoted"))
    await beta.stop()


async def test_a_former_owner_that_comes_back_sees_the_higher_epoch_and_never_starts_the_jail(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    write(alpha, "never sent")
    await alpha.stop()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    alpha.runtime.by_name.clear()
    await alpha.lose_power()
    await alpha.start()
    await alpha.quiet()
    shown = alpha.core.use_cases.jails.get("web")
    assert shown.state is JailState.FENCED
    assert "beta took it over" in shown.message
    assert "is in this copy only" in shown.message
    assert [call for call in alpha.runtime.calls if call[0] == "start" and "web.1" in call[1]][1:] == []
    for dataset in await alpha.zfs.datasets(f"{ROOT}/jails/web"):
        assert dataset.readonly
        assert not dataset.mounted
    await alpha.zfs.mount(f"{ROOT}/jails/web")
    await alpha.zfs.mount(f"{ROOT}/jails/web/data")
    assert written(alpha) == "never sent"
    await alpha.zfs.unmount(f"{ROOT}/jails/web")
    await beta.quiet()
    mine = await record(beta)
    assert mine.failover is not None
    assert mine.failover.untold == ()
    assert await invariants.unsafe(hosts, "web") == []
    await alpha.restart(reboot=True)
    await alpha.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    await stop(hosts)


async def test_a_fenced_copy_is_written_over_by_nobody_until_it_is_removed(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    await alpha.start()
    await alpha.quiet()
    await beta.quiet()
    refused = await beta.end_of(await migrate(beta, alpha))
    assert reason_of(refused) == "PLAN_REFUSED"
    assert refused.failure is not None
    assert [problem.code for problem in refused.failure.problems] == ["FENCED_COPY"]
    assert reason_of(await delete(alpha)) == ""
    assert reason_of(await beta.end_of(await migrate(beta, alpha))) == ""
    assert serves(alpha, 1)
    await stop(hosts)


async def test_an_owner_that_cannot_stop_the_jail_when_it_is_told_tries_until_it_can(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    alpha.network.sever()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    alpha.runtime.refuse["stop"] = InternalError("COMMAND_FAILED", "runc kill: status 1", hint="see its log")
    alpha.network.heal()
    await happened(alpha, "jail.cleanup-pending")
    assert invariants.running([alpha], "web") == ["alpha:web.1"]
    alpha.runtime.refuse.clear()
    await happened(alpha, "jail.cleaned-up")
    assert invariants.running([alpha], "web") == []
    assert serves(beta, 1)
    await stop(hosts)


async def test_an_owner_that_runs_on_is_told_of_the_failover_and_stops(tmp_path: Path) -> None:
    """The operator was wrong: the network was down, not the host."""
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    alpha.network.sever()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    alpha.network.heal()
    await beta.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert invariants.running(hosts, "web") == ["beta:web.1"]
    assert await invariants.unsafe(hosts, "web") == []
    await stop(hosts)


async def test_an_owner_learns_of_a_failover_from_its_own_next_round(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    alpha.network.sever()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    await beta.core.supervisor.end("supersede web")  # it never gets to tell
    alpha.network.heal()
    await rounds(alpha)
    await happened(alpha, "jail.fenced")
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert invariants.running(hosts, "web") == ["beta:web.1"]
    await stop(hosts)


async def test_a_jail_with_standbys_waits_at_boot_until_every_one_has_answered(tmp_path: Path) -> None:
    alpha, beta, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
    await gamma.stop()
    await alpha.restart(reboot=True)
    await happened(alpha, "jail.waiting")
    assert alpha.core.use_cases.jails.get("web").state is JailState.WAITING
    assert "gamma" in alpha.core.use_cases.jails.get("web").message
    assert invariants.running(hosts, "web") == []
    started = await alpha.end_of(await alpha.core.use_cases.jails.start("web", caller=caller()))
    assert reason_of(started) == "STANDBYS_UNCONFIRMED"
    await gamma.start()
    await alpha.quiet()
    assert serves(alpha, 1)
    del beta
    await stop(hosts)


async def test_the_operators_word_starts_a_jail_whose_standby_does_not_answer(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    await beta.stop()
    await alpha.restart(reboot=True)
    with pytest.raises(FailedPreconditionError) as refused:
        await alpha.core.use_cases.promotions.force_start("web", "I am sure", caller=caller())
    assert refused.value.detail["confirm"] == "beta has not taken over web"
    said = refused.value.detail["confirm"]
    await alpha.end_of(await alpha.core.use_cases.promotions.force_start("web", said, caller=caller()))
    assert serves(alpha, 1)
    await alpha.stop()
    del hosts


async def test_after_a_minute_without_an_answer_people_are_told_what_to_say(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await beta.stop()
    await alpha.restart(reboot=True)
    told = await happened(alpha, "jail.waiting")
    assert 'jailctl jail force-start web --confirm "beta has not taken over web"' in told
    await alpha.stop()


async def test_a_daemon_that_restarts_alone_leaves_its_jail_running_without_asking(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await beta.stop()
    await alpha.restart()
    await alpha.quiet()
    assert serves(alpha, 1)
    await alpha.stop()


async def test_of_two_standbys_promoted_at_once_at_most_one_becomes_the_owner(tmp_path: Path) -> None:
    alpha, beta, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
    await alpha.stop()
    ends = await asyncio.gather(
        *(promote(host, down=True, confirm=DOWN) for host in (beta, gamma)), return_exceptions=True
    )
    owning = await invariants.owners([beta, gamma], "web")
    assert len(owning) <= 1, ends
    assert await invariants.unsafe([beta, gamma], "web") == []
    taken = [await events(host, "jail.promoted") for host in (beta, gamma)]
    assert sum(map(len, taken)) <= 1, taken  # not even for a moment
    if not owning:  # both withdrew: one of them again
        assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    del hosts
    await stop((beta, gamma))


async def test_a_standby_that_cannot_be_asked_must_be_vouched_for_too(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await alpha.stop()
    await gamma.stop()
    refused = await refusal(beta, down=True, confirm=DOWN)
    assert refused.detail["confirm"] == "alpha is down, gamma has not taken over web"
    assert reason_of(await promote(beta, down=True, confirm=refused.detail["confirm"])) == ""
    await beta.stop()


async def test_a_standby_with_newer_data_is_named_before_an_older_one_is_taken(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await beta.stop()
    write(alpha, "gamma has it")
    await rounds(alpha)
    await alpha.stop()
    await beta.start()
    refused = await refusal(beta, down=True, confirm=DOWN)
    assert refused.detail["confirm"] == "alpha is down, gamma has newer data"
    assert reason_of(await promote(gamma, down=True, confirm=DOWN)) == ""
    assert written(gamma) == "gamma has it"
    await happened(beta, "standby.owner_changed")
    assert (await record(beta)).peer == "gamma"
    assert (await refusal(beta, down=True, confirm=DOWN)).reason == "OWNER_ANSWERS"
    await stop((beta, gamma))


async def test_a_round_that_was_cut_off_half_way_is_not_what_is_taken_over(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    write(alpha, "half a round")
    whole = (await record(beta)).replica
    await _cut_before(alpha, "alpha>beta receive replica data")
    assert (await record(beta)).replica == whole
    assert len(await beta.zfs.snapshots(f"{ROOT}/jails/web")) > len(await beta.zfs.snapshots(f"{ROOT}/jails/web/data"))
    await alpha.stop()
    alpha.network.heal()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    assert written(beta) == "first"
    assert whole is not None
    for dataset in (f"{ROOT}/jails/web", f"{ROOT}/jails/web/data"):
        assert (await beta.zfs.snapshots(dataset))[-1].tag == whole.round
    await beta.stop()


async def test_a_promotion_asked_for_twice_with_one_request_id_is_one(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    first = await promote(beta, request="r-1")
    again = await promote(beta, request="r-1")
    assert first.id == again.id
    del alpha
    await stop(hosts)


async def test_what_is_no_standby_is_not_promoted(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    assert (await refusal(alpha)).reason == "JAIL_NOT_STANDBY"
    assert view(alpha, "beta").message == ""
    del beta
    await stop(hosts)


async def _cut_before(alpha: FakeHost, what: str) -> None:
    """Carry out a round during which the network fails at one call."""
    network = alpha.network
    network.calls.clear()
    network.at, network.fault, network.counting = (what, 0), Fault.CUT, True
    await rounds(alpha)
    network.counting = False
    assert network.down


async def test_a_standby_that_is_told_of_another_owner_while_it_takes_the_jail_over_says_that_it_has(
    tmp_path: Path,
) -> None:
    """Its claim is made of the record as it was: what it was told in between, and acknowledged, would be lost."""
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await alpha.stop()
    told = Supersession(
        jail="web", uid=(await record(beta)).uid, epoch=2, owner=gamma.core.inventory.host_id, owner_name="gamma"
    )
    hearing: list[asyncio.Task[int]] = []
    original = beta.zfs.set

    async def told_meanwhile(name: str, properties: Mapping[str, str], *others: str) -> None:
        if not hearing and '"claimed"' in properties.get(layout.JAIL_PROPERTY, ""):
            hearing.append(asyncio.create_task(beta.core.fencing.supersede(told)))
            await asyncio.wait(hearing, timeout=0.1)
        await original(name, properties, *others)

    beta.zfs.set = told_meanwhile  # type: ignore[method-assign]
    done = await promote(beta, down=True, confirm=DOWN)
    assert reason_of(done) == "", done.failure
    assert await hearing[0] == (await record(beta)).epoch > told.epoch
    await stop((beta, gamma))


async def test_a_promoted_jail_is_as_old_as_it_was(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    created = (await record(alpha)).created
    assert (await record(beta)).created == created
    assert (await promote(beta)).failure is None
    assert (await record(beta)).created == created > 0.0
    await stop((alpha, beta))
