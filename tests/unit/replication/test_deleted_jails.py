"""A jail that was deleted stays deleted: a host that was away, and has an older copy of it, never starts that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import ForcedFailover, JailRecord, Ownership, encode
from jaild.model.problems import Severity
from jaild.model.replication import deleted
from jaild.model.replication.deleted import DeletedJail, left_of, surplus
from jaild.model.replication.policy import LEAP, Orphaned, claimable
from jaild.model.replication.protocol import DELETED, Known, ReplicaOffer
from jaild.model.views import JailState
from tests.fakes.host import ROOT, FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import delete, ended, reason_of, serves
from tests.hosts.cutoff import back, cut, fix, replaced
from tests.hosts.migrating import migrate
from tests.hosts.standbys import hosts_with, promote, record, rounds, stop

Three = tuple[FakeHost, FakeHost, FakeHost]
DOWN = "alpha is down"


@pytest.fixture
async def hosts(quick_path: Path) -> AsyncIterator[Three]:
    """alpha, dead, with its old copy; beta, which took the jail over; and gamma, which has nothing of it."""
    alpha, beta, gamma = await replaced(quick_path)
    yield alpha, beta, gamma
    await stop((alpha, beta, gamma))


async def is_fenced(host: FakeHost) -> None:
    """See that an old copy is kept, read-only, and does not run."""
    assert host.core.use_cases.jails.get("web").state is JailState.FENCED
    assert invariants.running((host,), "web") == []
    for dataset in await host.zfs.datasets(f"{ROOT}/jails/web"):
        assert dataset.readonly
        assert not dataset.mounted


async def test_the_old_copy_of_a_jail_that_was_deleted_is_kept_and_never_starts(hosts: Three) -> None:
    alpha, beta, _ = hosts
    assert reason_of(await delete(beta, force=True)) == ""
    await back(alpha)
    await alpha.quiet()
    await is_fenced(alpha)
    await beta.quiet()
    assert beta.core.deleted.untold() == []
    assert reason_of(await delete(alpha)) == ""


async def cleanup_pending(host: FakeHost) -> list[str]:
    return [e.message async for e in host.core.use_cases.events.watch(0, "", False) if e.kind == "jail.cleanup-pending"]


async def test_who_deletes_the_old_copy_of_a_jail_that_moved_onto_its_standby_is_not_sent_to_delete_the_original(
    quick_path: Path,
) -> None:
    alpha, beta = await hosts_with(quick_path, "beta")
    assert reason_of(await ended(alpha, migrate(alpha, beta))) == ""
    assert (await record(alpha)).standbys == ("beta",)
    jails = alpha.core.use_cases.jails
    plan = (await jails.delete("web", force=False, etag="", validate_only=True, caller=caller())).plan
    assert plan is not None
    assert plan.steps == ("destroy the copy that is kept here (state moved); the jail is that of beta",)
    cut(alpha.network, alpha, beta)
    assert reason_of(await delete(alpha)) == ""
    assert await cleanup_pending(alpha) == []
    assert serves(beta, 1)
    await stop((alpha, beta))


async def test_who_deletes_a_jail_whose_standby_cannot_be_reached_is_told_to_look_before_it_is_deleted_there(
    quick_path: Path,
) -> None:
    alpha, beta = await hosts_with(quick_path, "beta")
    cut(alpha.network, alpha, beta)
    assert reason_of(await delete(alpha, force=True)) == ""
    (message,) = await cleanup_pending(alpha)
    assert message.startswith("beta may still keep a replica (PEER_UNREACHABLE): delete it there if ")
    await stop((alpha, beta))


async def test_that_it_was_deleted_is_remembered_over_a_restart_and_told_to_a_host_that_does_not_ask(
    quick_path: Path,
) -> None:
    alpha, beta = await hosts_with(quick_path, "beta")
    cut(alpha.network, alpha, beta)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    assert reason_of(await delete(beta, force=True)) == ""
    await beta.restart()
    await beta.core.supervisor.over("boot")
    assert serves(alpha, 1)  # it is cut off: nobody can tell it
    assert [row.untold for row in beta.core.deleted.untold()] == [("alpha",)]
    fix(alpha.network, alpha, beta)
    await beta.quiet()
    await is_fenced(alpha)
    assert beta.core.deleted.untold() == []
    await stop((alpha, beta))


async def test_a_deletion_that_a_crash_cut_short_is_remembered_too(hosts: Three) -> None:
    alpha, beta, _ = hosts
    written = advance(await record(beta), Ownership.DELETING)  # and the daemon died
    await beta.zfs.set(f"{ROOT}/jails/web", {"jaild:jail": encode(written)})
    await beta.restart(reboot=True)
    assert await invariants.records(beta) == {}
    await back(alpha)
    await alpha.quiet()
    await is_fenced(alpha)


async def test_a_standby_whose_replica_was_withdrawn_with_the_jail_remembers_it_as_well(quick_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(quick_path, "beta", "gamma")
    await alpha.stop()
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    assert (await record(gamma)).epoch > LEAP  # it was told
    assert reason_of(await delete(beta, force=True)) == ""
    assert await invariants.records(gamma) == {}
    await beta.stop()
    await back(alpha)
    await alpha.core.start_guard.settled()
    await is_fenced(alpha)
    await stop((alpha, beta, gamma))


async def test_a_host_whose_copy_was_finalized_remembers_whose_the_jail_became(hosts: Three) -> None:
    alpha, beta, gamma = hosts
    moved = await ended(beta, migrate(beta, gamma))
    assert reason_of(moved) == ""
    finalize = beta.core.use_cases.migrations.finalize(moved.facts["migration"], caller=caller())
    assert reason_of(await ended(beta, finalize)) == ""
    assert await invariants.records(beta) == {}
    await back(alpha)
    await alpha.quiet()
    await is_fenced(alpha)
    assert (await record(alpha)).owner == (await record(gamma)).owner
    assert serves(gamma, 1)


async def test_a_host_that_deleted_the_jail_keeps_no_replica_for_its_former_owner(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha, beta = await hosts_with(quick_path, "beta")
    store, offers = beta.core.replica_store, []
    take = store.offer

    async def noted(offer: ReplicaOffer) -> object:
        offers.append(offer)
        return await take(offer)

    monkeypatch.setattr(store, "offer", noted)
    await rounds(alpha)
    cut(alpha.network, alpha, beta)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    epoch = (await record(beta)).epoch
    assert reason_of(await delete(beta, force=True)) == ""
    with pytest.raises(FailedPreconditionError) as refused:
        await take(offers[-1])
    assert refused.value.reason == "OWNER_SUPERSEDED"
    assert int(refused.value.detail["epoch"]) == epoch
    assert await invariants.records(beta) == {}
    fix(alpha.network, alpha, beta)
    await stop((alpha, beta))


async def test_the_plan_of_a_deletion_names_who_was_not_told_yet(hosts: Three) -> None:
    alpha, beta, _ = hosts
    jails = beta.core.use_cases.jails
    asked = await jails.delete("web", force=True, etag="", validate_only=True, caller=caller())
    assert asked.plan is not None
    lost, note = asked.plan.problems
    assert (lost.severity, lost.code) == (Severity.WARNING, "ONLY_COPY")
    assert (note.severity, note.code, note.evidence) == (Severity.NOTE, "FORMER_OWNER_UNTOLD", ("alpha",))
    await back(alpha)
    await alpha.quiet()
    await beta.quiet()
    asked = await jails.delete("web", force=True, etag="", validate_only=True, caller=caller())
    assert asked.plan is not None
    assert [problem.code for problem in asked.plan.problems] == ["ONLY_COPY"]


# -- the rules


def test_only_an_end_of_the_jail_or_of_what_moved_away_is_remembered_and_only_if_an_older_copy_can_exist() -> None:
    def kept(state: Ownership, epoch: int = LEAP) -> bool:
        copy = JailRecord(uid="u", owner="id-beta", epoch=epoch, state=state, generation=1)
        return left_of("web", copy, owner_name="beta", is_owner=True, now=5.0) is not None

    assert [state for state in Ownership if kept(state)] == [Ownership.MOVED, Ownership.DELETING]
    assert not kept(Ownership.DELETING, 1)
    assert kept(Ownership.DELETING, 2)


def test_a_host_that_only_had_a_copy_tells_nobody_in_the_owners_name() -> None:
    failover = ForcedFailover(host="alpha", at=1.0, untold=("alpha",))
    copy = JailRecord(uid="u", owner="b", epoch=9, state=Ownership.DELETING, generation=1, failover=failover)
    for is_owner, untold in ((True, ("alpha",)), (False, ())):
        row = left_of("web", copy, owner_name="beta", is_owner=is_owner, now=5.0)
        assert row is not None
        assert row.untold == untold


def test_the_oldest_are_forgotten_but_none_that_somebody_is_still_to_be_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deleted, "KEPT", 2)
    rows = {
        uid: DeletedJail(
            uid=uid, jail="web", epoch=2, owner="b", owner_name="beta", deleted=at, untold=("alpha",) if at < 2 else ()
        )
        for uid, at in (("a", 0.0), ("b", 1.0), ("d", 3.0), ("c", 2.0))
    }
    assert [row.uid for row in surplus(rows)] == ["c", "d"]
    del rows["c"], rows["a"]
    assert surplus(rows) == []


def test_who_takes_a_jail_over_that_was_deleted_elsewhere_says_so_and_gets_an_epoch_above_what_is_remembered() -> None:
    here = JailRecord(uid="u", owner="a", epoch=1, state=Ownership.STANDBY, generation=1, peer="alpha")
    answers = {"alpha": None, "beta": Known(state=DELETED, owner="b", owner_name="beta", epoch=1500)}
    assert claimable("web", here, answers) == Orphaned(
        "alpha is down, web is wanted again, though beta has deleted it", 1500
    )
    copy = {"alpha": None, "beta": Known(state=DELETED, owner="c", owner_name="gamma", epoch=1500)}
    assert claimable("web", here, copy) == Orphaned("alpha is down", 1500)
